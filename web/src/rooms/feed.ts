// One room's messages in their order, none lost and none twice (docs/protocol/rooms.md#stream-feed-history).

import { type Entry, entries, number, Turns } from "../hub/chains.ts";
import { Problem } from "../model.ts";
import { isObject } from "../protocol/json.ts";

/** History is an answer of rooms.history. */
export interface History {
  messages: Entry[];
  through: number;
  last: number;
}

/** Received is a message of a feed. */
export interface Received {
  data: Uint8Array;
  headers(name: string): string[];
}

/** Request asks for a part of a room's history. */
export type Request = { after: number; limit?: number } | { last: true; limit: number } | { before: number; limit: number };

/** beyond is above every sequence: who asks for what is after it learns how far the room is. */
export const beyond = 2 ** 52;

/** readHistory reads an answer and refuses one that does not fit together. */
export function readHistory(answer: unknown, request: Request): History {
  if (!isObject(answer)) throw unfit();
  const history = { messages: entries(answer["messages"]), through: number(answer["through"]), last: number(answer["last"]) };
  const after = "after" in request ? request.after : 0;
  const end = "before" in request ? request.before - 1 : Infinity;
  let before = after;
  for (const { seq } of history.messages) {
    if (seq <= before || seq > history.through || seq > end) throw unfit();
    before = seq;
  }
  if (history.through > Math.max(history.last, after)) throw unfit();
  return history;
}

const unfit = (): Problem => new Problem("refused", "What the hub shows of this room does not fit together; do not trust it.");

/** Sink is where a feed's messages go, and whom it asks for what it lacks. */
export interface Sink {
  history(request: Request): Promise<History>;
  /** show takes messages in their order; it gives the sequence of the last one that it could judge, and fails if the hub does not answer. */
  show(entry: Entry, live: boolean): Promise<boolean>;
  problem(problem: unknown): void;
}

/** Feed keeps to the gap rule. */
export class Feed {
  /** known is the newest sequence that was handled. */
  known = 0;
  #began = 0; // newest sequence when it began
  #shown = 0; // newest sequence of a message that was shown
  #ready = false;
  #closed = false;
  readonly #turns = new Turns();

  constructor(private readonly sink: Sink) {}

  get ready(): boolean {
    return this.#ready;
  }

  /** begin reads the newest messages. What comes live waits until then: so it has to be listened to before. */
  begin(limit: number): Promise<History> {
    return this.#turns.take("", async () => {
      const history = await this.sink.history({ last: true, limit });
      for (const entry of history.messages) await this.#show(entry, false);
      this.known = this.#began = history.last;
      this.#ready = true;
      return history;
    });
  }

  /** receive takes a message of the feed. A sequence that stands there twice was put there by its publisher: it is discarded. */
  receive(message: Received): void {
    const [seq, last] = [single(message, "Nats-Sequence"), single(message, "Nats-Last-Sequence")];
    if (seq === undefined || last === undefined) return;
    const time = Date.now();
    void this.#turns.take("", async () => {
      if (this.#closed || !this.#ready || seq <= this.known) return;
      if (last !== this.known) return this.#catchUp();
      await this.#show({ seq, time, data: message.data, withheld: false }, true).catch(this.#failed);
    });
  }

  /** compare looks whether there is more than is known. */
  compare(): Promise<void> {
    return this.#turns.take("", async () => {
      if (!this.#closed && this.#ready) await this.#catchUp();
    });
  }

  close(): void {
    this.#closed = true;
  }

  readonly #failed = (error: unknown): void => {
    if (!this.#closed) this.sink.problem(error);
  };

  async #catchUp(): Promise<void> {
    try {
      while (!this.#closed && !(await this.#nextPage()));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** #nextPage fetches what is above what is known; true: that was all. */
  async #nextPage(): Promise<boolean> {
    const after = this.known;
    const history = await this.sink.history({ after });
    if (history.last < after) {
      this.#goBack(history.last);
      return this.known === history.last;
    }
    for (const entry of history.messages) await this.#show(entry, true);
    this.known = Math.max(this.known, history.through);
    if (this.known >= history.last) return true;
    if (this.known > after) return false;
    throw new Problem("unavailable", `The hub does not show this room to its end (message ${after} of ${history.last}); try again.`);
  }

  /**
   * #goBack is for a room that ends before what is known of it. What was handled beyond its end and not shown was no message, and may have been
   * cleared away; messages do not go. Either way it goes on from what there is: nothing is shown twice.
   */
  #goBack(last: number): void {
    if (last < this.#shown) {
      this.#failed(new Problem("refused", `The hub shows less of this room than before (up to message ${last}, and ${this.#shown} was shown); do not trust it.`));
      this.#shown = 0;
    }
    this.known = Math.min(last, Math.max(this.#began, this.#shown));
  }

  /** #show passes a message on. One that could not be judged because the hub does not answer is not passed over. */
  async #show(entry: Entry, live: boolean): Promise<void> {
    if (this.#closed) return;
    if (await this.sink.show(entry, live)) this.#shown = Math.max(this.#shown, entry.seq);
    this.known = Math.max(this.known, entry.seq);
  }
}

/** single is the number in a header that is there once. */
export function single(message: Received, name: string): number | undefined {
  const values = message.headers(name);
  if (values.length !== 1 || !/^[0-9]{1,15}$/.test(values[0]!)) return undefined;
  return Number(values[0]);
}
