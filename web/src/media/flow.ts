// Somebody who reads a content in order, with blocks under way ahead of them.

import type { Bytes } from "../protocol/bytes.ts";
import { blockSize } from "../protocol/transfers.ts";
import type { Content, Wanted } from "./content.ts";

const perRead = 4;
// Blocks that are asked for at once. Many a reader wants no more; and a player that seeks shows a picture sooner while
// nothing else is opened.
const first = 2;
const linger = 500; // milliseconds in which whoever reads on comes back

/** Flow hands over the bytes from start to end, a block or a part of one at a time. */
export class Flow {
  /** at is the next byte. */
  at: number;
  /** eager is how many blocks ahead this reader has shown to want. */
  eager: number;
  #end: number;
  #until: number; // blocks up to here are asked for ahead
  #asked: number; // the next block to ask for
  #under: Wanted[] = [];
  #content: Content;

  constructor(content: Content, start: number, end: number, until: number, eager: number) {
    this.#content = content;
    this.at = start;
    this.eager = Math.max(first, eager);
    this.#end = end;
    this.#until = Math.ceil(until / blockSize);
    this.#asked = Math.floor(start / blockSize);
  }

  get done(): boolean {
    return this.at >= this.#end;
  }

  /** next is what comes next; not to be called when all is done, nor before the last one came. */
  async next(): Promise<Bytes> {
    this.#ask();
    const under = this.#under[0];
    if (!under) throw new RangeError("nothing was asked for");
    const block = await under.block;
    const base = under.index * blockSize;
    const from = this.at - base;
    const to = Math.min(this.#end - base, block.length);
    this.at = base + to;
    if (to === block.length) {
      this.#under.shift();
      this.eager = Math.min(this.eager + 1, this.#content.pace.ahead);
    }
    if (this.done) this.#finish();
    else this.#ask();
    return block.subarray(from, to);
  }

  /** #ask asks for what there is room for, several blocks in a read. */
  #ask(): void {
    const room = Math.min(this.eager, this.#content.pace.ahead) - this.#under.length;
    const left = this.#until - this.#asked;
    if (left <= 0 || (room < Math.min(perRead, this.eager >> 1, left) && this.#under.length > 0)) return;
    const count = Math.min(Math.max(room, 1), left);
    this.#under.push(...this.#content.want(this.#asked, count));
    this.#asked += count;
  }

  /** #finish ends it; what was asked for beyond the end comes, for whoever reads on. */
  #finish(): void {
    const beyond = this.#under;
    this.#under = [];
    setTimeout(() => beyond.forEach((wanted) => wanted.drop()), linger);
    this.#content.leave(this);
  }

  /** cancel gives back what was asked for and is not wanted any more. */
  cancel(): void {
    for (const wanted of this.#under) wanted.drop();
    this.#under = [];
    this.#end = this.at;
    this.#content.leave(this);
  }
}
