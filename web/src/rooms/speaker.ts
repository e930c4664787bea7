// Saying something in a room: what is said is signed when it is sent, by what is known of the room a moment before.

import { Problem } from "../model.ts";
import type { Account } from "../ports.ts";
import { type Bytes, Refused, unhex } from "../protocol/bytes.ts";
import { encode as encodeBody } from "../protocol/canonical.ts";
import { currentEpoch, mayWrite, needsEpoch, roleOf, type RoomState } from "../protocol/chain.ts";
import { type Draft, encode, makeEvent } from "../protocol/event.ts";
import { parseKey } from "../protocol/keys.ts";
import { encodeLive, type Live, liveLife, liveSubject } from "../protocol/presence.ts";
import type { HubBook } from "../hub/book.ts";
import { messageBody, messageType, saySubject } from "./judge.ts";
import type { Keyring } from "./keyring.ts";

const fresh = 5_000; // milliseconds for which a room is as it was when it was looked at

/** Speaker makes what this device says in rooms. */
export class Speaker {
  readonly #looked = new Map<string, number>(); // when a room's chain was brought up to date

  constructor(
    private readonly account: Account,
    private readonly book: HubBook,
    private readonly keyring: Keyring,
  ) {}

  /** look brings a room up to date, unless it was a moment ago: who types has it done before they are ready to send. */
  async look(room: string, within = fresh): Promise<RoomState> {
    const at = this.#looked.get(room) ?? -Infinity;
    const known = performance.now() - at < within ? await this.book.knownRoom(room) : undefined;
    if (known) return known;
    const state = await this.book.room(room);
    this.#looked.set(room, performance.now());
    return state;
  }

  /** message makes a message: id is its event's. */
  async message(room: string, text: string, id: Uint8Array): Promise<Bytes> {
    let state = await this.look(room);
    this.book.clocks();
    const { account } = this.account.keys;
    if (!mayWrite(roleOf(state, account, Date.now()))) throw new Problem("refused", "You may read in this room, not write.");
    if (await this.#wantsEpoch(state)) state = await this.#beginEpoch(room);
    const draft: Partial<Draft> = { id, type: messageType, subject: saySubject(room, account) };
    return this.#made(state, draft, encodeBody(messageBody, { text }));
  }

  /** presence says a state by what is known of the room; no epoch is begun for it. Undefined: it cannot be said. */
  async presence(room: string, live: Live): Promise<Bytes | undefined> {
    const state = await this.book.knownRoom(room);
    const { account } = this.account.keys;
    const now = Date.now();
    if (!state || roleOf(state, account, now) === "") return undefined;
    const draft: Partial<Draft> = { type: "room.live", subject: liveSubject(room, account), time: BigInt(now), notAfter: BigInt(now + liveLife) };
    try {
      this.book.clocks();
      return await this.#made(state, draft, encodeLive(live));
    } catch (error) {
      if (error instanceof Refused || error instanceof Problem) return undefined;
      throw error;
    }
  }

  async #made(state: RoomState, draft: Partial<Draft>, body: Uint8Array): Promise<Bytes> {
    const { hub, keys } = this.account;
    const whole = { ...draft, author: parseKey("A", keys.account), audience: hub.id, head: unhex(state.head, 32) } as Draft;
    if (state.kind === "open") return encode(await makeEvent(whole, body, keys.device));
    const { current } = state; // the chain may go on while its key is opened
    const key = await this.keyring.key(state, current);
    return encode(await makeEvent({ ...whole, epoch: unhex(current, 32) }, body, keys.device, { key }));
  }

  /** #wantsEpoch: the readers of the current one are not those entitled, or whoever began it gave us no key of use. */
  async #wantsEpoch(state: RoomState): Promise<boolean> {
    if (state.kind !== "sealed") return false;
    if (needsEpoch(state, Date.now()) || !currentEpoch(state)) return true;
    try {
      await this.keyring.key(state, state.current);
      return false;
    } catch (error) {
      if (error instanceof Refused) return true;
      throw error;
    }
  }

  async #beginEpoch(room: string): Promise<RoomState> {
    await this.book.appendRoom(room, "room.epoch", async (state) => {
      if (!(await this.#wantsEpoch(state))) return undefined; // another was first
      return this.newEpoch(state, (await this.keyring.name(state)) ?? "room");
    });
    return (await this.book.knownRoom(room))!;
  }

  /** newEpoch is the body of an epoch for exactly those entitled now. */
  newEpoch(state: RoomState, name: string): Promise<unknown> {
    return this.keyring.newEpoch(state, name, Date.now(), async (account) => (await this.book.person(account)).xkey);
  }
}
