// Where an entry of somebody's catalog comes from: a transfer is opened with a signed request that only the owner can read,
// and what answers it is held against the owner's chain (docs/protocol/transfers.md).

import { Problem } from "../model.ts";
import type { Account, Book } from "../ports.ts";
import { Refused, unhex } from "../protocol/bytes.ts";
import { type PersonState, type RoomState, vouchedAt, vouchedNow } from "../protocol/chain.ts";
import { unbox } from "../protocol/crypto.ts";
import { encode, type Event, newID } from "../protocol/event.ts";
import { keyText, parseKey, parseXKey } from "../protocol/keys.ts";
import { judgeAnswer, makeOpen, type Opening, Transfer } from "../protocol/transfers.ts";
import { Pull } from "./pull.ts";
import { Tree } from "./tree.ts";

const openTime = 10_000; // to answer an open
const openTries = 4;
const busyPause = 200;

export type People = Book<PersonState, RoomState>;

/** Offer is a catalog that somebody shares with this person. */
export interface Offer {
  grant: string;
  owner: string;
  ownerHandle: string;
  catalog: string;
}

/** Source is an entry of a catalog of somebody else's; the empty one is the listing. */
export class Source {
  constructor(
    readonly account: Account,
    readonly people: People,
    readonly offer: Offer,
    readonly entry: string,
    /** root is what the listing said, in hex; of the listing itself nothing is known before. */
    readonly root?: string,
  ) {}

  /** open opens a transfer; while its owner is busy, again. */
  async open(): Promise<Pull> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once();
      } catch (error) {
        const hint = error instanceof Hint ? error.code : undefined;
        if (attempt === openTries || hint === undefined || hint === "malformed") throw this.#explained(error);
        if (hint === "refused" && attempt > 1) throw this.#explained(error);
        await new Promise((resolve) => setTimeout(resolve, attempt * busyPause));
        if (hint === "refused") await this.people.person(this.offer.owner); // it may have another key now
      }
    }
  }

  async #once(): Promise<Pull> {
    const { account, offer } = this;
    const single = (await crypto.subtle.generateKey("X25519", false, ["deriveBits"])) as CryptoKeyPair; // for this open alone
    const xkey = keyText("X", new Uint8Array(await crypto.subtle.exportKey("raw", single.publicKey)));
    const { event, hash } = await this.#request(xkey);
    const from = `from.${offer.owner}.${offer.catalog}`;
    const message = await account.wire.request(`${from}.open`, encode(event), { timeout: openTime });
    const judged = await judgeAnswer(message, {
      open: hash,
      unbox: (purpose, context, sealed) => unbox(single.privateKey, purpose, context, sealed),
      subject: event.subject,
      reader: account.keys.account,
      owner: parseKey("A", offer.owner),
      byDevice: (answer) => this.#vouch(answer),
      address: this.root === undefined ? null : unhex(this.root, 32),
    });
    if (judged.hint) throw new Hint(judged.hint.code);
    if (judged.refusal?.code === "busy") throw new Hint("busy");
    if (!judged.answer) throw this.#refusal(judged.refusal?.code ?? "");
    const { id, secret, node, root, size } = judged.answer;
    const transfer = await Transfer.of(id, secret, hash);
    return new Pull(account.wire, `${from}.read.${node}`, transfer, new Tree(unhex(root, 32), size));
  }

  /** #request is the signed request, which only the owner can read. */
  async #request(xkey: string): Promise<Opening> {
    const { account, offer } = this;
    const { keys } = account;
    const owner = (await this.people.known(offer.owner)) ?? (await this.people.person(offer.owner));
    const me = (await this.people.known(keys.account)) ?? (await this.people.me());
    const now = Math.round(Date.now() + account.clock());
    const draft = {
      id: newID(now), author: parseKey("A", keys.account), subject: `catalog.${keys.account}.${offer.catalog}.open`,
      audience: offer.owner, head: unhex(me.head, 32), time: BigInt(now),
    };
    const said = { hub: account.hub.id, grant: offer.grant, entry: this.entry, ...(this.root ? { root: this.root } : {}), xkey };
    return makeOpen(draft, said, keys.device, await parseXKey(owner.xkey));
  }

  /** #vouch: the device was the owner's at the place that it names, and is now, by what is known here or the hub shows. */
  async #vouch(ev: Event): Promise<boolean> {
    const known = await this.people.known(this.offer.owner);
    if (known && holds(() => void (vouchedAt(known, ev), vouchedNow(known, ev)))) return true;
    try {
      const fresh = await this.people.person(this.offer.owner);
      return holds(() => void (vouchedAt(fresh, ev), vouchedNow(fresh, ev)));
    } catch (error) {
      const away = error instanceof Problem && error.code === "unavailable";
      if (away && known) return holds(() => vouchedNow(known, ev)); // owner and reader need nothing but each other
      throw error;
    }
  }

  #refusal(code: string): Problem {
    const who = this.offer.ownerHandle;
    switch (code) {
      case "refused":
        return new Problem("refused", `${who} does not share this with you any more.`);
      case "not-found":
        return new Problem("not-found", `${who} does not have this file any more; open the catalog again.`);
      case "changed":
        return new Problem("conflict", `${who} has changed this file since you opened the catalog; open it again.`);
    }
    return new Problem("unavailable", `${who}’s computer cannot read this just now; try again later.`);
  }

  #explained(error: unknown): unknown {
    const who = this.offer.ownerHandle;
    if (error instanceof Hint) {
      if (error.code === "busy") return new Problem("unavailable", `${who}’s computer has too much to do just now; try again in a moment.`);
      return new Problem("refused", `${who}’s computer did not let you in, and did not sign its answer; it may be the hub’s. Try again later.`);
    }
    if (error instanceof Refused) {
      if (error.check === "changed") return this.#refusal("changed");
      return new Problem("refused", `What came as ${who}’s answer is not theirs (${error.message}); nothing of it was used.`);
    }
    if (error instanceof Problem && error.code === "unavailable" && this.account.wire.state.peek() === "online") {
      return new Problem("unavailable", `${who} is not online just now; what is shared can be opened while their computer serves it.`);
    }
    return error;
  }
}

/** Hint is a refusal in the clear, which anybody on the way can have written. */
class Hint extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

function holds(judge: () => void): boolean {
  try {
    judge();
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}
