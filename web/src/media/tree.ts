// Blocks held against the address of their content. Each comes with a proof of its own, a dozen hashes for a film; but what one
// proof has shown of the tree holds for the next, so most blocks cost one hash and a comparison.

import { type Bytes, equal, need } from "../protocol/bytes.ts";
import { hash } from "../protocol/crypto.ts";
import { blockLength, blocks, blockSize, root as addressOf } from "../protocol/transfers.ts";

const most = 1 << 15; // nodes that are kept: a megabyte or so
const widest = 2 ** 26; // blocks of a content of which nodes are kept: the two ends of one fit a number

/** Step is a node on the way from a block up to the top, and which side its sibling is on. */
interface Step {
  /** own and sibling name nodes by the blocks below them. */
  own: number;
  sibling: number;
  siblingIsLeft: boolean;
}

const name = (from: number, to: number): number => from * widest + to;

/** way is the way from block index up to the top of a tree of so many blocks. */
export function way(count: number, index: number): Step[] {
  const steps: Step[] = [];
  for (let [from, to] = [0, count]; to - from > 1; ) {
    const middle = from + 2 ** (Math.ceil(Math.log2(to - from)) - 1); // the largest power of two below
    const [left, right] = [name(from, middle), name(middle, to)];
    if (index < middle) {
      steps.push({ own: left, sibling: right, siblingIsLeft: false });
      to = middle;
    } else {
      steps.push({ own: right, sibling: left, siblingIsLeft: true });
      from = middle;
    }
  }
  return steps.reverse();
}

const node = (left: Uint8Array, right: Uint8Array): Promise<Bytes> => hash(Uint8Array.of(1), left, right);

// WebCrypto takes a copy of what it hashes before it returns, so one piece of memory serves all blocks.
const space = new Uint8Array(1 + blockSize);

function leaf(data: Uint8Array): Promise<Bytes> {
  space.set(data, 1);
  return hash(space.subarray(0, 1 + data.length));
}

/** Tree is what is known of the tree of a content that has an address. */
export class Tree {
  readonly size: number;
  readonly address: Uint8Array;
  #known = new Map<number, Uint8Array>();

  constructor(address: Uint8Array, size: number) {
    this.address = address;
    this.size = size;
  }

  /** check refuses data that is not the block at index. */
  async check(index: number, data: Uint8Array, proof: Uint8Array): Promise<void> {
    const count = blocks(this.size);
    need(index < count && data.length === blockLength(this.size, index), "root", "place or length");
    const steps = way(count, index);
    need(proof.length === 32 * steps.length, "root", "length of the proof");
    const seen: [number, Uint8Array][] = [];
    let at: Uint8Array = await leaf(data);
    for (const [i, step] of steps.entries()) {
      const known = this.#known.get(step.own);
      if (known) {
        need(equal(known, at), "root");
        return this.#keep(count, seen);
      }
      const sibling = proof.slice(32 * i, 32 * (i + 1));
      seen.push([step.own, at], [step.sibling, sibling]);
      at = await (step.siblingIsLeft ? node(sibling, at) : node(at, sibling));
    }
    need(equal(await addressOf(this.size, at), this.address), "root");
    this.#keep(count, seen);
  }

  #keep(count: number, nodes: [number, Uint8Array][]): void {
    if (count > widest) return;
    if (this.#known.size + nodes.length > most) this.#known.clear();
    for (const [of, value] of nodes) this.#known.set(of, value);
  }
}
