// What was typed and is not stored by the hub yet. It lies in the store, where a reload finds it, and is signed when it is sent.

import { exclusively } from "../hub/chains.ts";
import { Problem } from "../model.ts";
import type { Message } from "../model.ts";
import type { Store } from "../ports.ts";
import { Refused, text as decodeText, utf8 } from "../protocol/bytes.ts";
import { newID, uuid } from "../protocol/event.ts";
import { isObject } from "../protocol/json.ts";
import { longestText } from "./judge.ts";

const answerTime = 5_000;
const publishTries = 3;
const staleAfter = 5 * 60_000; // what was signed longer ago is signed anew
const againAfter = 5_000;

/** Item is something that was typed. Its id is that of the event it becomes, however often that is signed. */
export interface Item {
  key: string;
  id: Uint8Array;
  room: string;
  text: string;
  typed: number;
  /** tab that sends it. */
  tab: string;
  /** signed bytes, since when, and whether they may have reached the hub. */
  signed?: { data: Uint8Array; at: number };
  state: Message["state"];
  why?: string;
  /** seq: stored, and not come back yet. */
  seq?: number;
}

/** Post is how an outbox reaches the hub. */
export interface Post {
  online(): boolean;
  sign(item: Item): Promise<Uint8Array>;
  publish(item: Item, data: Uint8Array, options: { timeout: number; headers: Record<string, string> }): Promise<Uint8Array>;
  /** stored is the sequence of a message that is in the room already. */
  stored(item: Item): Promise<number | undefined>;
  changed(room: string): void;
}

/** Outbox sends what was typed, room by room, in order. */
export class Outbox {
  readonly #items = new Map<string, Item[]>(); // by room
  readonly #busy = new Set<string>();
  readonly #tab = crypto.randomUUID();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #typed = 0;
  #leave: () => void = () => undefined;
  #closed = false;

  constructor(
    private readonly store: Store,
    private readonly post: Post,
    private readonly lock: string,
  ) {
    // Whoever holds the lock of a tab's name is that tab: what one leaves behind when it ends, another takes over.
    const stays = new Promise<void>((resolve) => (this.#leave = resolve));
    void exclusively(this.#name(this.#tab), () => (globalThis.navigator?.locks ? stays : Promise.resolve()));
  }

  #name = (tab: string): string => `${this.lock} ${tab}`;

  /** load takes over what tabs that are gone have left behind. */
  async load(): Promise<void> {
    const left = (await this.store.all<Item>("queue")).filter(([, item]) => item.tab !== this.#tab);
    for (const [key] of left.sort(([a], [b]) => (a < b ? -1 : 1))) await this.#adopt(key);
    for (const room of this.#items.keys()) this.send(room);
  }

  async #adopt(key: string): Promise<void> {
    const before = await this.store.get<Item>("queue", key);
    if (!before) return;
    const take = async (): Promise<void> => {
      const item = await this.store.get<Item>("queue", key);
      if (!item || item.tab !== before.tab) return;
      item.tab = this.#tab;
      if (item.state === "sending") item.state = "queued";
      await this.store.put("queue", key, item);
      this.#list(item.room).push(item);
      this.post.changed(item.room);
    };
    const locks = globalThis.navigator?.locks;
    if (!locks) return take();
    await locks.request(this.#name(before.tab), { ifAvailable: true }, (lock) => (lock ? take() : undefined));
  }

  #list(room: string): Item[] {
    let list = this.#items.get(room);
    if (!list) this.#items.set(room, (list = []));
    return list;
  }

  /** of are the items of a room, in the order in which they were typed. */
  of(room: string): readonly Item[] {
    return this.#items.get(room) ?? [];
  }

  /** say takes what was typed; it is sent at once where it can be. */
  say(room: string, text: string): void {
    const typed = Math.max(Date.now(), this.#typed + 1); // what is typed in one go keeps its order
    this.#typed = typed;
    const id = newID(typed);
    const item: Item = { key: `${typed.toString().padStart(15, "0")} ${uuid(id)}`, id, room, text, typed, tab: this.#tab, state: "queued" };
    this.#list(room).push(item);
    const length = utf8(text).length;
    if (length < 1 || length > longestText) this.#fails(item, `A message has 1 to ${longestText} bytes; this one has ${length}.`);
    else this.#keep(item);
    this.send(room);
    this.post.changed(room);
  }

  /** came is for a message of one's own that has come back: true if it was waited for. */
  came(room: string, id: string): Item | undefined {
    const item = this.of(room).find((one) => uuid(one.id) === id);
    if (item) this.#remove(item);
    return item;
  }

  again(room: string, id: string): void {
    const item = this.of(room).find((one) => uuid(one.id) === id && one.state === "failed");
    if (!item) return;
    item.state = "queued";
    delete item.why;
    this.#keep(item);
    this.send(room);
    this.post.changed(room);
  }

  drop(room: string, id: string): void {
    const item = this.of(room).find((one) => uuid(one.id) === id && one.state !== "sending");
    if (!item) return;
    this.#remove(item);
    this.post.changed(room);
  }

  #remove(item: Item): void {
    const list = this.#list(item.room);
    const at = list.indexOf(item);
    if (at >= 0) list.splice(at, 1);
    void this.store.delete("queue", item.key).catch(() => undefined); // it is found to be stored, and goes then
  }

  /** #keep writes an item down; losing that is no reason not to send it. */
  #keep(item: Item): void {
    if (this.#closed) return; // the store may be somebody else's by now
    void this.store.put("queue", item.key, { ...item }).catch(() => undefined);
  }

  #fails(item: Item, why: string): void {
    item.state = "failed";
    item.why = why;
    this.#keep(item);
  }

  /** send sends what waits in a room, one after the other. */
  send(room: string): void {
    if (this.#busy.has(room) || this.#closed) return;
    this.#busy.add(room);
    void this.#run(room).finally(() => this.#busy.delete(room));
  }

  /** sendAll is for when there is a network again. */
  sendAll(): void {
    for (const room of this.#items.keys()) this.send(room);
  }

  async #run(room: string): Promise<void> {
    for (;;) {
      const item = this.of(room).find((one) => one.state === "queued");
      if (!item || this.#closed || !this.post.online()) return;
      item.state = "sending";
      try {
        await this.#send(item);
      } catch (error) {
        if (!this.#settle(item, error)) return this.#later();
      } finally {
        this.post.changed(room);
      }
    }
  }

  /** #settle says what becomes of an item that could not be sent: false if it waits for better times. */
  #settle(item: Item, error: unknown): boolean {
    const problem = error instanceof Problem ? error : undefined;
    if (problem?.code === "unavailable" || problem?.code === "cancelled") {
      item.state = "queued";
      return false;
    }
    const why = problem?.message ?? (error instanceof Refused ? `It cannot be said just now (${error.message}).` : "It could not be sent; try again.");
    this.#fails(item, why);
    return true;
  }

  #later(): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.sendAll(), againAfter);
  }

  async #send(item: Item): Promise<void> {
    const doubtful = item.signed !== undefined; // it may have reached the hub
    if (doubtful) {
      const seq = await this.post.stored(item);
      if (seq !== undefined) return this.#stored(item, seq);
    }
    if (!item.signed || Date.now() - item.signed.at > staleAfter) {
      item.signed = { data: await this.post.sign(item), at: Date.now() };
      this.#keep(item);
    }
    this.#stored(item, await this.#publish(item, item.signed.data));
  }

  /** #publish sends the event until the stream has acknowledged it; the same event twice is stored once. */
  async #publish(item: Item, data: Uint8Array): Promise<number> {
    for (let left = publishTries; ; left--) {
      try {
        return ackOf(await this.post.publish(item, data, { timeout: answerTime, headers: { "Nats-Msg-Id": uuid(item.id) } }));
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "unavailable" || left === 1 || !this.post.online()) throw error;
      }
    }
  }

  #stored(item: Item, seq: number): void {
    if (!this.of(item.room).includes(item)) return; // it has come back already
    item.state = "stored";
    item.seq = seq;
    void this.store.delete("queue", item.key).catch(() => undefined); // as above
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#leave();
  }
}

/** ackOf is the sequence that the stream gave a message. */
function ackOf(answer: Uint8Array): number {
  let ack: unknown;
  try {
    ack = JSON.parse(decodeText(answer));
  } catch {
    ack = undefined;
  }
  if (!isObject(ack)) throw new Problem("unavailable", "The hub did not say whether it has stored the message; try again.");
  const error = ack["error"];
  if (isObject(error)) throw new Problem("refused", `The hub did not take the message: ${String(error["description"] ?? "it did not say why")}.`);
  if (!Number.isSafeInteger(ack["seq"])) throw new Problem("unavailable", "The hub did not say whether it has stored the message; try again.");
  return ack["seq"] as number;
}
