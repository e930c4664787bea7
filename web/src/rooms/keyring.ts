// The keys of epochs: opened once, held against their commitment, and kept where scripts cannot read them.

import type { Account } from "../ports.ts";
import { base64, type Bytes, compare, random, Refused, unhex, utf8 } from "../protocol/bytes.ts";
import { type Bodies, currentEpoch, entitled, type EpochFact, type RoomState } from "../protocol/chain.ts";
import { box, sealKey } from "../protocol/crypto.ts";
import { checkEpochKey, commitment, epochContext, openName, sealName } from "../protocol/epoch.ts";
import { parseXKey } from "../protocol/keys.ts";
import { isName } from "../protocol/names.ts";
import { hex } from "../protocol/bytes.ts";
import { Problem } from "../model.ts";

const mostReaders = 2000;

/** Keyring holds the keys of a person's epochs, by the hash of the epoch. */
export class Keyring {
  readonly #keys = new Map<string, Promise<CryptoKey>>();

  constructor(private readonly account: Account) {}

  /** key is the person's key of an epoch; refused as no-key if it was never theirs. */
  key(state: RoomState, epoch: string): Promise<CryptoKey> {
    const known = this.#keys.get(epoch);
    if (known) return known;
    const key = this.#raw(state, epoch).then(sealKey);
    this.#keys.set(epoch, key);
    key.catch(() => this.#keys.delete(epoch)); // a box may come with a later grant
    return key;
  }

  async #raw(state: RoomState, epoch: string): Promise<Bytes> {
    const fact = Object.hasOwn(state.epochs, epoch) ? state.epochs[epoch] : undefined;
    const sealed = fact?.boxes[this.account.keys.account];
    if (!fact || !sealed) throw new Refused("no-key", "no key for it");
    const committed = unhex(fact.commitment, 32);
    const raw = await this.#unbox(epochContext(state.id, committed), base64.read(sealed, "box"));
    await checkEpochKey(state.id, committed, raw);
    return raw as Bytes;
  }

  /** #unbox opens a box by whichever of the person's xkeys it was sealed to. */
  async #unbox(context: Uint8Array, sealed: Uint8Array): Promise<Uint8Array> {
    for (const key of this.account.keys.xkeys) {
      try {
        return await key.open("epoch", context, sealed);
      } catch (error) {
        if (!(error instanceof Refused) || error.check !== "box") throw error;
      }
    }
    throw new Refused("box", "its box does not open");
  }

  /** name is a room's name as far as the person can know it, by the newest epoch that they have the key of. */
  async name(state: RoomState): Promise<string | undefined> {
    if (state.name !== "") return state.name;
    const epochs = Object.entries(state.epochs).sort(([, a], [, b]) => b.number - a.number);
    for (const [hash, fact] of epochs) {
      const name = await this.#name(state, hash, fact);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  async #name(state: RoomState, hash: string, fact: EpochFact): Promise<string | undefined> {
    try {
      const name = await openName(state.id, await this.key(state, hash), base64.read(fact.name, "sealed"));
      const text = new TextDecoder().decode(name);
      return isName(text) ? text : undefined;
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  /** newEpoch is the body of an epoch for exactly those entitled now; xkeyOf says where each reader's key is sealed to. */
  async newEpoch(state: RoomState, name: string, now: number, xkeyOf: (account: string) => Promise<string>): Promise<Bodies["room.epoch"]> {
    const raw = random(32);
    const committed = await commitment(state.id, raw);
    const readers = entitled(state, now).sort((a, b) => compare(utf8(a), utf8(b)));
    if (readers.length > mostReaders) throw new Problem("too-large", `A sealed room has at most ${mostReaders} members.`);
    const keys = [];
    for (const account of readers) keys.push({ account, key: await sealTo(await xkeyOf(account), state.id, committed, raw) });
    const current = currentEpoch(state);
    return {
      number: (current?.number ?? 0) + 1,
      ...(current ? { previous: state.current } : {}),
      commitment: hex(committed),
      keys,
      name: base64.write(await sealName(state.id, raw, random(12), name)),
    };
  }

  /** handOver is what a grant says of the current epoch; nothing where there is none to hand over. */
  async handOver(state: RoomState, account: string, xkey: string): Promise<{ epoch?: string; key?: string }> {
    const current = currentEpoch(state);
    if (state.kind !== "sealed" || !current || Object.hasOwn(current.boxes, account)) return {};
    if (Object.hasOwn(state.members, account)) return {}; // who was away does not read what was said meanwhile
    try {
      const raw = await this.#raw(state, state.current);
      return { epoch: state.current, key: await sealTo(xkey, state.id, unhex(current.commitment, 32), raw) };
    } catch (error) {
      if (error instanceof Refused) return {}; // whoever sends next begins an epoch for both
      throw error;
    }
  }
}

async function sealTo(xkey: string, room: string, committed: Uint8Array, raw: Uint8Array): Promise<string> {
  return base64.write((await box(await parseXKey(xkey), "epoch", epochContext(room, committed), raw)).box);
}
