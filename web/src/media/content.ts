// A content that is read from wherever somebody likes: several readers, each with blocks under way ahead of it, share one
// transfer, which is opened when it is needed, again when its owner has forgotten it, and closed when nobody reads.

import { Problem } from "../model.ts";
import { type Bytes, Refused } from "../protocol/bytes.ts";
import { blocks } from "../protocol/transfers.ts";
import { Flow } from "./flow.ts";
import { Pace } from "./pace.ts";
import { Lost, type Pull } from "./pull.ts";
import type { Shelf } from "./shelf.ts";
import type { Source } from "./source.ts";

const perRead = 4; // blocks
const tries = 5;
const pause = 250; // before asking again, longer each time
const networkTime = 60_000; // to come back
const idle = 15_000;

/** Coming is a block that was asked for. */
interface Coming {
  block: PromiseWithResolvers<Bytes>;
  readers: number;
}

/** Wanted is a block for one reader, who gives it back when done with it, or without. */
export interface Wanted {
  index: number;
  block: Promise<Bytes>;
  drop(): void;
}

let contents = 0;

/** Content is what stands behind an entry, or behind the empty one: the listing. */
export class Content {
  readonly pace = new Pace();
  readonly #name = `${++contents}:`;
  #pull: Promise<Pull> | undefined;
  #wasOpen = false;
  #coming = new Map<number, Coming>();
  #flows = new Set<Flow>();
  #left = { at: -1, eager: 0 }; // where the last reader stopped, and how far ahead it asked
  #leaving: ReturnType<typeof setTimeout> | undefined;

  /** failed hears why a read has failed for good. */
  constructor(
    readonly source: Pick<Source, "open" | "account" | "offer">,
    readonly size: number,
    readonly shelf: Shelf,
    readonly failed: (problem: Problem) => void = () => undefined,
  ) {}

  /** flow reads from start up to end (not included); on says that whoever reads is likely to go on there. */
  flow(start: number, end: number, on = false): Flow {
    const eager = this.#left.at === start ? this.#left.eager : 0;
    const flow = new Flow(this, start, end, on ? this.size : end, eager);
    this.#flows.add(flow);
    clearTimeout(this.#leaving);
    return flow;
  }

  /** leave ends a flow. */
  leave(flow: Flow): void {
    if (!this.#flows.delete(flow)) return;
    this.#left = { at: flow.at, eager: flow.eager };
    if (this.#flows.size > 0) return;
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => this.close(), blocks(this.size) > perRead ? idle : 0);
  }

  /** close ends the transfer; it is opened again when somebody reads. */
  close(): void {
    for (const flow of this.#flows) flow.cancel();
    clearTimeout(this.#leaving);
    const open = this.#pull;
    this.#pull = undefined;
    void open?.then((pull) => pull.close()).catch(() => undefined); // its owner forgets it in a minute anyway
  }

  /** bytes are some bytes of the content, together: for what is small. */
  async bytes(start: number, end: number): Promise<Bytes> {
    const out = new Uint8Array(end - start);
    const flow = this.flow(start, end);
    try {
      for (let at = 0; at < out.length; ) {
        const chunk = await flow.next();
        out.set(chunk, at);
        at += chunk.length;
      }
      return out;
    } finally {
      flow.cancel();
    }
  }

  /** want are blocks from first on, which are asked for unless they are here or under way. */
  want(first: number, count: number): Wanted[] {
    const missing: number[] = [];
    const wanted = Array.from({ length: count }, (_, i): Wanted => {
      const index = first + i;
      const kept = this.shelf.get(this.#name + index);
      if (kept) return { index, block: Promise.resolve(kept), drop: () => undefined };
      let coming = this.#coming.get(index);
      if (!coming) {
        coming = { block: Promise.withResolvers<Bytes>(), readers: 0 };
        coming.block.promise.catch(() => undefined); // whoever waits hears it
        this.#coming.set(index, coming);
        missing.push(index);
      }
      const one = coming;
      one.readers++;
      return { index, block: one.block.promise, drop: () => void one.readers-- };
    });
    for (let at = 0; at < missing.length; at += perRead) void this.#fetch(missing.slice(at, at + perRead));
    return wanted;
  }

  /** #fetch asks for blocks until they are here, nobody wants them, or it is of no use. */
  async #fetch(indexes: number[]): Promise<void> {
    let left = indexes;
    const take = (index: number, data: Bytes) => {
      this.shelf.put(this.#name + index, data);
      this.#settle(index, (block) => block.resolve(data));
      left = left.filter((one) => one !== index);
    };
    const wanted = () => left.some((index) => (this.#coming.get(index)?.readers ?? 0) > 0);
    let last: unknown = new Problem("cancelled", "Nobody reads this any more.");
    for (let attempt = 1; left.length > 0 && wanted(); ) {
      const opening = this.#open();
      try {
        await this.#read(await opening, left, take, wanted);
      } catch (error) {
        last = error;
        this.#forget(opening);
        if (attempt === tries || !(await this.#again(error, attempt++))) break;
      }
    }
    if (left.length > 0) this.#fail(left, this.#problem(last));
  }

  async #read(pull: Pull, indexes: number[], take: (index: number, data: Bytes) => void, wanted: () => boolean): Promise<void> {
    if (!pull.good(indexes.length)) throw new Lost("its owner has forgotten it by now");
    const began = performance.now();
    await pull.read(indexes, take, wanted);
    this.pace.took(performance.now() - began, indexes.length);
  }

  #settle(index: number, how: (block: PromiseWithResolvers<Bytes>) => void): void {
    const coming = this.#coming.get(index);
    this.#coming.delete(index);
    if (coming) how(coming.block);
  }

  #fail(indexes: readonly number[], problem: Problem): void {
    for (const index of indexes) this.#settle(index, (block) => block.reject(problem));
    if (problem.code !== "cancelled") this.failed(problem);
  }

  /** #open is the transfer, opened once for all who need it. */
  #open(): Promise<Pull> {
    if (this.#pull) return this.#pull;
    const opening = this.source.open();
    this.#pull = opening;
    opening.then(
      () => (this.#wasOpen = true),
      () => this.#forget(opening),
    );
    return opening;
  }

  #forget(pull: Promise<Pull>): void {
    if (this.#pull === pull) this.#pull = undefined;
  }

  /** #again says whether to ask again: after a while, or when the network is back. */
  async #again(error: unknown, attempt: number): Promise<boolean> {
    const lost = error instanceof Lost || (error instanceof Refused && error.check !== "root");
    const away = error instanceof Problem && error.code === "unavailable";
    if (!lost && !away) return false;
    if (this.source.account.wire.state.peek() !== "online") return this.#online();
    if (lost) return attempt === 1 || wait(attempt * pause);
    return this.#wasOpen && wait(attempt * pause); // otherwise its owner is not there
  }

  /** #online waits for the network. */
  #online(): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (back: boolean) => {
        clearTimeout(timer);
        stop();
        resolve(back);
      };
      const timer = setTimeout(() => done(false), networkTime);
      const stop = this.source.account.wire.state.subscribe((now) => {
        if (now === "online" || now === "closed") queueMicrotask(() => done(now === "online"));
      });
    });
  }

  #problem(error: unknown): Problem {
    if (error instanceof Problem) return error;
    const who = this.source.offer.ownerHandle;
    if (error instanceof Refused && error.check === "root") {
      return new Problem("refused", `What ${who}’s computer sent is not the file that was listed; nothing of it was used.`);
    }
    return new Problem("unavailable", `${who}’s computer stopped answering; try again later.`);
  }
}

const wait = (milliseconds: number): Promise<true> => new Promise((resolve) => setTimeout(() => resolve(true), milliseconds));
