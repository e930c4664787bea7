// Events that share a signature (docs/protocol/events.md#batches): each carries its way up to what was signed.

import { type Bytes, concat, need, type Reader, u16, u32 } from "./bytes.ts";
import { hash, label } from "./crypto.ts";

const maxBatch = 4096;

/** Batch is what proves that an event is one of several. */
export interface Batch {
  signature: Uint8Array;
  count: number;
  index: number;
  path: Uint8Array[];
}

/** pathLength is how many hashes stand beside the way of an event up a batch's tree. */
export function pathLength(count: number, index: number): number {
  let length = 0;
  for (let [n, i] = [count, index]; n > 1; [n, i] = [Math.ceil(n / 2), i >> 1]) if ((i ^ 1) < n) length++;
  return length;
}

/** decodeBatch reads what follows the token. */
export function decodeBatch(reader: Reader, hashes: number): Batch {
  const batch = { signature: reader.take(64), count: reader.u32(), index: reader.u32() };
  need(batch.count >= 2 && batch.count <= maxBatch && batch.index < batch.count, "malformed", "place in the batch");
  need(hashes === pathLength(batch.count, batch.index), "malformed", "length of the path");
  return { ...batch, path: Array.from({ length: hashes }, () => reader.take(32)) };
}

/** batchLead is everything that stands before the body. */
export const batchLead = ({ signature, count, index, path }: Batch, token: Uint8Array): Bytes =>
  concat(Uint8Array.of(2, path.length), u16(token.length), token, signature, u32(count), u32(index), ...path);

const node = (left: Uint8Array, right: Uint8Array) => hash(Uint8Array.of(1), left, right);

/** leafOf is the leaf of an event, of which this is the hash. */
export const leafOf = (eventHash: Uint8Array): Promise<Bytes> => hash(Uint8Array.of(0), eventHash);

/** rootOf is the root to which an event of a batch leads, of which this is the hash. */
export async function rootOf(batch: Batch, eventHash: Uint8Array): Promise<Bytes> {
  let at = await leafOf(eventHash);
  const path = [...batch.path];
  for (let [n, i] = [batch.count, batch.index]; n > 1; [n, i] = [Math.ceil(n / 2), i >> 1]) {
    if ((i ^ 1) < n) at = i % 2 === 0 ? await node(at, path.shift()!) : await node(path.shift()!, at);
  }
  return at;
}

/** signedRoot is what is signed of a batch. */
export const signedRoot = (count: number, root: Uint8Array): Bytes => concat(label("events"), u32(count), root);
