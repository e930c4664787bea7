// A transfer that is open, on the reader's side (docs/protocol/transfers.md): it is asked for blocks.

import type { Wire } from "../ports.ts";
import { type Bytes, Refused } from "../protocol/bytes.ts";
import { open } from "../protocol/crypto.ts";
import { blockData, blockLength, blocks, parseReply, proofLength, type Transfer } from "../protocol/transfers.ts";
import type { Tree } from "./tree.ts";

const blockTime = 10_000; // without any message
const idle = 50_000; // an owner keeps a transfer for a minute without a read
const spare = 64; // blocks that an owner answers beyond twice the content's

/** Lost is the error of a transfer that its owner does not know any more, or of a read that did not come whole: ask again. */
export class Lost extends Error {}

/** Pull is an open transfer. */
export class Pull {
  #counter = 0;
  #used = Date.now();
  #left: number; // blocks that its owner still answers

  constructor(
    readonly wire: Wire,
    readonly subject: string,
    readonly transfer: Transfer,
    readonly tree: Tree,
  ) {
    this.#left = 2 * blocks(tree.size) + spare;
  }

  get size(): number {
    return this.tree.size;
  }

  /** good says whether its owner is likely to know it still, and to answer so many blocks. */
  good(count: number): boolean {
    return Date.now() - this.#used < idle && this.#left >= count;
  }

  /** read asks for blocks and hands each over as soon as it is proved; wanted says whether to go on listening. */
  async read(indexes: readonly number[], take: (index: number, data: Bytes) => void, wanted: () => boolean): Promise<void> {
    this.#used = Date.now();
    this.#left -= indexes.length;
    const request = await this.transfer.sealRead(++this.#counter, indexes);
    const opening: Promise<void>[] = [];
    let failed: unknown;
    const fail = (error: unknown) => void (failed ??= error);
    const hear = (message: Uint8Array): boolean => {
      try {
        const index = this.#heard(message, opening.length, indexes);
        opening.push(this.#block(index, message).then((data) => take(index, data)).catch(fail));
      } catch (error) {
        fail(error);
      }
      return failed === undefined && opening.length < indexes.length && wanted();
    };
    await this.wire.stream(this.subject, request, hear, { timeout: blockTime }).catch(fail);
    await Promise.all(opening);
    if (failed !== undefined) throw failed;
    if (opening.length < indexes.length && wanted()) throw new Lost("the read did not come whole");
  }

  /** #heard is the index of the block that a message brings. A refusal is worth a new open, which says why for sure. */
  #heard(message: Uint8Array, position: number, indexes: readonly number[]): number {
    const reply = parseReply(message);
    const index = indexes[position];
    if (reply.kind !== "block" || reply.position !== position || index === undefined) throw new Lost("no block");
    return index;
  }

  async #block(index: number, message: Uint8Array): Promise<Bytes> {
    const { size } = this.tree;
    const length = blockLength(size, index);
    if (message.length !== 2 + 12 + length + 32 * proofLength(size, index) + 16) throw new Refused("malformed", "length");
    const opened = await open(this.transfer.block, message.subarray(2), blockData(this.transfer.id, index, length));
    const block = opened.subarray(0, length);
    await this.tree.check(index, block, opened.subarray(length));
    return block;
  }

  /** close tells the owner that no more reads come. */
  async close(): Promise<void> {
    const request = await this.transfer.sealRead(++this.#counter, []);
    this.wire.publish(this.subject, request);
  }
}
