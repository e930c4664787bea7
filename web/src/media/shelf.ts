// Blocks that were read a moment ago: a player often comes back for the rest of one.

import type { Bytes } from "../protocol/bytes.ts";

/** Shelf keeps the blocks that were used last, up to so many bytes. */
export class Shelf {
  #kept = new Map<string, Bytes>(); // the one used last comes last
  #held = 0;

  constructor(readonly most: number) {}

  get held(): number {
    return this.#held;
  }

  get(name: string): Bytes | undefined {
    const found = this.#kept.get(name);
    if (found) {
      this.#kept.delete(name);
      this.#kept.set(name, found);
    }
    return found;
  }

  put(name: string, block: Bytes): void {
    this.drop(name);
    this.#kept.set(name, block);
    this.#held += block.byteLength;
    for (const oldest of this.#kept.keys()) {
      if (this.#held <= this.most) break;
      this.drop(oldest);
    }
  }

  drop(name: string): void {
    this.#held -= this.#kept.get(name)?.byteLength ?? 0;
    this.#kept.delete(name);
  }
}
