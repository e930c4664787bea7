// How far ahead of whoever reads blocks are asked for. What is under way cannot be called back: when a player seeks, it has to
// come first. So no more is asked for than comes within a moment.

const few = 4;
const most = 32; // eight megabytes
const quick = 600; // milliseconds from asking to the last block
const slow = 1500;

/** Pace is how many blocks may be under way or wait, learned from how long reads take. */
export class Pace {
  #ahead = 4;

  get ahead(): number {
    return this.#ahead;
  }

  /** took learns from a read of so many blocks. */
  took(milliseconds: number, blocks: number): void {
    if (milliseconds <= quick) this.#ahead = Math.min(most, this.#ahead + blocks);
    else if (milliseconds > slow) this.#ahead = Math.max(few, this.#ahead >> 1);
  }
}
