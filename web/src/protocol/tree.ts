// Content addresses (docs/protocol/transfers.md#content-address): a tree over the blocks of a file, whose root names it.

import { type Bytes, equal, need, u32, u64 } from "./bytes.ts";
import { hash } from "./crypto.ts";

export const blockSize = 262144;
export const maxSize = 2 ** 50;

/** isSize reports whether a content can have a size. */
export const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 0 && size <= maxSize;

/** blocks is how many blocks a content of a size has; 0 where no content has that size. */
export const blocks = (size: number): number => (isSize(size) ? Math.max(1, Math.ceil(size / blockSize)) : 0);

export const blockLength = (size: number, index: number): number => (index < blocks(size) ? Math.min(blockSize, size - index * blockSize) : 0);

const split = (n: number) => 2 ** (Math.ceil(Math.log2(n)) - 1); // the largest power of two below n

export const leaf = (data: Uint8Array): Promise<Bytes> => hash(Uint8Array.of(0), data);
const node = (left: Uint8Array, right: Uint8Array) => hash(Uint8Array.of(1), left, right);

export async function top(leaves: readonly Uint8Array[]): Promise<Uint8Array> {
  if (leaves.length === 1) return leaves[0]!;
  const left = split(leaves.length);
  return node(await top(leaves.slice(0, left)), await top(leaves.slice(left)));
}

export const root = (size: number, top: Uint8Array): Promise<Bytes> => hash(Uint8Array.of(2), u64(size), u32(blockSize), top);

/** sides says for each sibling of a block, from the leaf up, whether it is the left one. */
function sides(count: number, index: number): boolean[] {
  if (count === 1) return [];
  const left = split(count);
  return index < left ? [...sides(left, index), false] : [...sides(count - left, index - left), true];
}

export const proofLength = (size: number, index: number): number => (index < blocks(size) ? sides(blocks(size), index).length : 0);

/** verifyBlock refuses data that is not the block at index of the content that root names. */
export async function verifyBlock(address: Uint8Array, size: number, index: number, data: Uint8Array, siblings: readonly Uint8Array[]): Promise<void> {
  need(index < blocks(size) && data.length === blockLength(size, index), "root", "place or length");
  const lefts = sides(blocks(size), index);
  need(siblings.length === lefts.length, "root", "length of the proof");
  let at: Uint8Array = await leaf(data);
  for (const [i, isLeft] of lefts.entries()) at = isLeft ? await node(siblings[i]!, at) : await node(at, siblings[i]!);
  need(equal(await root(size, at), address), "root");
}

/** addressOf is the root of a content. */
export async function addressOf(data: Uint8Array): Promise<Bytes> {
  const leaves: Uint8Array[] = [];
  for (let i = 0; i < blocks(data.length); i++) leaves.push(await leaf(data.subarray(i * blockSize, (i + 1) * blockSize)));
  return root(data.length, await top(leaves));
}
