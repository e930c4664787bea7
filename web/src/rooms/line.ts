// The connection to ROOMS: one for all rooms, which the server lets live for a while only. A wider one is made, and subscribed, before
// the one before it is let go: nothing is missed in between.

import { effect, signal } from "@preact/signals";

import type { Wire } from "../ports.ts";
import { Turns } from "../hub/chains.ts";

const againAfter = 15_000; // a renewal that failed
export const mostRooms = 64; // of a connection

type Message = Parameters<Parameters<Wire["subscribe"]>[1]>[0];

interface Subscription {
  subject: string;
  each: (message: Message) => void;
  refused: (why: string) => void;
  end?: () => void;
}

/** Link is a connection with those who wait for an answer on it. */
interface Link {
  wire: Wire;
  rooms: ReadonlySet<string>;
  users: number;
  old: boolean;
  forget: () => void;
}

/** Line is the connection to ROOMS as rooms see it: it does not change. */
export class Line {
  readonly state = signal<"online" | "connecting" | "offline">("connecting");
  readonly #subscriptions = new Set<Subscription>();
  readonly #turns = new Turns();
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** connect makes a connection with the rights for some rooms; life is how many seconds the server lets it live. */
  constructor(
    private readonly connect: (rooms: readonly string[]) => Wire,
    private readonly life: number,
  ) {}

  /** reach has the connection hold the rights for these rooms, and more that it may as well have. Those who ask together are one. */
  reach(rooms: readonly string[], also: () => Iterable<string>): Promise<void> {
    const there = (): boolean => this.#link !== undefined && rooms.every((room) => this.#link?.rooms.has(room));
    if (there()) return Promise.resolve();
    return this.#turns.take("", async () => {
      if (there() || this.#closed) return;
      const wanted = new Set(rooms);
      for (const room of also()) if (wanted.size < mostRooms) wanted.add(room);
      await this.#replace(wanted);
    });
  }

  /** has says whether the connection holds rights that it asked for in a room. */
  has(room: string): boolean {
    return this.#link?.rooms.has(room) ?? false;
  }

  /** renew makes the same connection anew: rights have changed, or its time is nearly over. */
  renew(): Promise<void> {
    return this.#turns.take("", async () => {
      if (this.#link && !this.#closed) await this.#replace(this.#link.rooms);
    });
  }

  async #replace(rooms: ReadonlySet<string>): Promise<void> {
    const wire = this.connect(Array.from(rooms));
    const ends = new Map(Array.from(this.#subscriptions, (one) => [one, wire.subscribe(one.subject, one.each, one.refused)]));
    try {
      await wire.flush();
    } catch (error) {
      if (this.#link) { // the old one goes on
        void wire.close();
        throw error;
      }
    }
    if (this.#closed) return void wire.close();
    const before = this.#link;
    for (const [one, end] of ends) {
      if (this.#subscriptions.has(one)) one.end = end;
      else end();
    }
    const missed = Array.from(this.#subscriptions).filter((one) => !ends.has(one));
    for (const one of missed) one.end = wire.subscribe(one.subject, one.each, one.refused);
    this.#link = { wire, rooms, users: 0, old: false, forget: () => undefined };
    this.#link.forget = effect(() => {
      if (wire.state.value !== "closed") this.state.value = wire.state.value;
    });
    if (before) this.#letGo(before);
    this.#schedule();
  }

  /** #letGo closes a connection when nobody waits on it any more. */
  #letGo(link: Link): void {
    link.old = true;
    link.forget();
    if (link.users === 0) void link.wire.close();
  }

  #schedule(wait = this.life * 1000 * (1 / 2 + Math.random() / 6)): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.renew().catch(() => this.#schedule(againAfter));
    }, Math.min(wait, 2 ** 31 - 1));
  }

  /** subscribe hears a subject on this connection and those after it. */
  subscribe(subject: string, each: (message: Message) => void, refused: (why: string) => void): () => void {
    const one: Subscription = { subject, each, refused };
    this.#subscriptions.add(one);
    if (this.#link) one.end = this.#link.wire.subscribe(subject, each, refused);
    return () => {
      this.#subscriptions.delete(one);
      one.end?.();
    };
  }

  publish(subject: string, data: Uint8Array): void {
    if (this.#link?.wire.state.peek() === "online") this.#link.wire.publish(subject, data);
  }

  /** request publishes and waits for the answer. */
  async request(subject: string, data: Uint8Array, options: { timeout: number; headers: Record<string, string> }): Promise<Uint8Array> {
    const link = this.#link!;
    link.users++;
    try {
      return await link.wire.request(subject, data, options);
    } finally {
      link.users--;
      if (link.old && link.users === 0) void link.wire.close();
    }
  }

  async flush(): Promise<void> {
    await this.#link?.wire.flush();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#link?.forget();
    const wire = this.#link?.wire;
    if (wire?.state.peek() === "online") await wire.flush().catch(() => undefined); // what was said last goes out
    void wire?.close();
  }
}
