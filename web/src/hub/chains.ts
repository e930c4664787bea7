// Chains as a hub shows them: page by page, never with another past than before.

import { Problem } from "../model.ts";
import { hex, Refused } from "../protocol/bytes.ts";
import type { Place } from "../protocol/chain.ts";
import { decode, eventHash, type Event } from "../protocol/event.ts";
import { isObject } from "../protocol/json.ts";

/** Entry is an event as the hub stored it: seq is its place in a chain, or the sequence of the stream in a history. */
export interface Entry {
  seq: number;
  /** time of the stream, in milliseconds. */
  time: number;
  data: Uint8Array;
  withheld: boolean;
}

/** Forked is the problem of a hub that shows a chain with another past than before. It is remembered. */
export class Forked extends Problem {
  constructor(message: string) {
    super("refused", message);
  }
}

/** short is a long name as far as people need it. */
export const short = (text: string): string => (text.length > 12 ? `${text.slice(0, 12)}…` : text);

const unreadable = (): Problem => new Problem("unavailable", "The hub answered something that cannot be read; try again later.");

/** number reads a place or a sequence. */
export function number(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw unreadable();
  return value as number;
}

/** entries reads the entries of a chain or a history. */
export function entries(value: unknown): Entry[] {
  if (!Array.isArray(value)) throw unreadable();
  return value.map((one: unknown) => {
    if (!isObject(one) || typeof one["event"] !== "string" || typeof one["time"] !== "string") throw unreadable();
    const time = Date.parse(one["time"]);
    if (Number.isNaN(time)) throw unreadable();
    return { seq: number(one["seq"]), time, data: bytes(one["event"]), withheld: one["withheld"] === true };
  });
}

function bytes(text: string): Uint8Array {
  try {
    const binary = atob(text);
    const out = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
    return out;
  } catch {
    throw unreadable();
  }
}

/** Page asks for the events of a chain after a place. */
export type Page = (after: number) => Promise<unknown>;

async function read(page: Page, after: number): Promise<{ events: Entry[]; head: number }> {
  const answer = await page(after);
  if (!isObject(answer)) throw unreadable();
  return { events: entries(answer["events"]), head: number(answer["head"]) };
}

/**
 * follow brings a chain up to date: of is its name for people, known its place, apply folds an event in. The newest event that is
 * known is asked for again: a hub that does not show the same one has changed the past.
 */
export async function follow(of: string, page: Page, known: () => Place, apply: (ev: Event, entry: Entry) => Promise<void>): Promise<void> {
  for (;;) {
    const before = known().seq;
    let { events, head } = await read(page, Math.max(before, 1) - 1);
    events = await continued(of, events, head, known());
    if (events.length === 0 && before < head) { // what is known may fill a page
      ({ events, head } = await read(page, before));
      if (events.length === 0) {
        throw new Problem("unavailable", `The hub does not show the chain ${of} to its end (${before} of ${head} events); try again.`);
      }
    }
    for (const entry of events) await apply(decode(entry.data), entry);
    if (known().seq === 0) throw new Refused("place", "it is not there");
    if (known().seq >= head) return;
  }
}

/** continued checks that a page begins with the newest event that is known and gives those after it. */
async function continued(of: string, events: Entry[], head: number, known: Place): Promise<Entry[]> {
  if (known.seq === 0) return events;
  const first = events[0];
  if (head < known.seq || !first) {
    throw new Problem("refused", `The hub has rolled the chain ${of} back (from place ${known.seq} to ${head}); do not trust it.`);
  }
  const ev = decode(first.data);
  const hash = hex(await eventHash(ev));
  if (ev.seq !== BigInt(known.seq) || hash !== known.head) {
    throw new Forked(
      `The hub shows another past of the chain ${of}: event ${short(hash)} stands where ${short(known.head)} was seen; do not trust it.`,
    );
  }
  return events.slice(1);
}

/** Turns has what is done to one thing done in turn. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  take<T>(key: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(task, task);
    this.#last.set(key, turn);
    const done = (): void => {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    };
    turn.then(done, done);
    return turn;
  }
}

/** Shared is like Turns for what comes to the same for all who wait: those who come before it begins share it. What has one turn goes in turn. */
export class Shared<T> {
  readonly #turns = new Turns();
  readonly #waiting = new Map<string, Promise<T>>();

  take(key: string, task: () => Promise<T>, turn = key): Promise<T> {
    const waiting = this.#waiting.get(key);
    if (waiting) return waiting;
    const done = this.#turns.take(turn, () => {
      this.#waiting.delete(key);
      return task();
    });
    this.#waiting.set(key, done);
    return done;
  }
}

/** exclusively does something that no other tab does at the same time, where the browser can say so. */
export async function exclusively<T>(name: string, task: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return task();
  return (await locks.request(name, task)) as T;
}
