// The owner's side of transfers (docs/protocol/transfers.md), which no browser has: it is here because the vectors have it.

import { concat, equal, hex, need, Reader } from "../../src/protocol/bytes.ts";
import { encode } from "../../src/protocol/canonical.ts";
import { hash, hkdf, label, open, seal, unbox } from "../../src/protocol/crypto.ts";
import { check, decode, type Event, meant, signedHash } from "../../src/protocol/event.ts";
import {
  blockData, leaf, maxReads, openContext, openLife, parseRequest, type Reason, reasonType, refusalData, top,
} from "../../src/protocol/transfers.ts";

const skew = 600000n;

/** Place is where and when an open comes in. */
export interface Place {
  hub: string;
  owner: string;
  reader: Uint8Array;
  subject: string;
  now: number;
  xkey: Uint8Array;
  byDevice: (ev: Event) => boolean;
}

/** judgeOpen is what an owner does with an open. */
export async function judgeOpen(data: Uint8Array, { hub, owner, reader, subject, now, xkey, byDevice }: Place) {
  const ev = decode(data);
  meant(ev, "transfer.open", subject, owner);
  await check(ev);
  const at = BigInt(now);
  need(ev.notAfter !== 0n && ev.notAfter - ev.time <= BigInt(openLife), "time", "it lives too long");
  need(ev.time <= at + skew && at - skew <= ev.notAfter, "time", "from another time");
  need(equal(ev.author, reader), "author");
  need(byDevice(ev), "device");
  const request = await parseRequest(await unbox(xkey, "open", openContext(ev), ev.body));
  need(request.hub === hub, "hub");
  return { request, hash: await signedHash(ev) };
}

/** proof are the siblings of a block, from the leaf up. */
export async function proof(leaves: readonly Uint8Array[], index: number): Promise<Uint8Array[]> {
  if (leaves.length === 1) return [];
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const [left, right] = [leaves.slice(0, half), leaves.slice(half)];
  return index < half ? [...(await proof(left, index)), await top(right)] : [...(await proof(right, index - half)), await top(left)];
}

export const leavesOf = (data: Uint8Array, size: number, count: number): Promise<Uint8Array[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => leaf(data.subarray(i * size, (i + 1) * size))));

/** Owner has the keys of one transfer, and can show them. */
export class Owner {
  private constructor(
    readonly id: Uint8Array,
    readonly read: Uint8Array,
    readonly block: Uint8Array,
  ) {}

  static async of(id: Uint8Array, key: Uint8Array, opened: Uint8Array): Promise<Owner> {
    return new Owner(id, await hkdf(key, opened, label("read")), await hkdf(key, opened, label("block")));
  }

  get keys(): string[] {
    return [hex(this.read), hex(this.block)];
  }

  async openRead(message: Uint8Array): Promise<{ counter: bigint; indexes: number[] }> {
    const indexes = (message.length - 16 - 12 - 10 - 16) / 4;
    need(Number.isInteger(indexes) && indexes >= 0 && indexes <= maxReads, "malformed", "length");
    need(equal(message.subarray(0, 16), this.id), "sealed", "another transfer");
    const reader = new Reader(await open(this.read, message.subarray(16), this.id), "malformed");
    const counter = reader.u64();
    need(counter > 0n && reader.u16() === indexes, "malformed", "counter or count");
    return { counter, indexes: Array.from({ length: indexes }, () => reader.u32()) };
  }

  async sealBlock(position: number, index: number, data: Uint8Array, siblings: readonly Uint8Array[], nonce: Uint8Array): Promise<Uint8Array> {
    const sealed = await seal(this.block, nonce, concat(data, ...siblings), blockData(this.id, index, data.length));
    return concat(Uint8Array.of(1, position), sealed);
  }

  async sealRefusal(counter: number, reason: Reason, nonce: Uint8Array): Promise<Uint8Array> {
    return concat(Uint8Array.of(2), await seal(this.block, nonce, encode(reasonType, reason), refusalData(this.id, counter)));
  }
}

/** Window takes each counter once, down to 1024 below the highest. */
export class Window {
  #highest = 0;
  #seen = new Set<number>();

  accept(counter: number): boolean {
    if (counter <= 0 || counter < this.#highest - 1024 || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#highest = Math.max(this.#highest, counter);
    for (const old of this.#seen) if (old < this.#highest - 1024) this.#seen.delete(old);
    return true;
  }
}

/** topOfBatch and leafOfBatch are the tree over the events of a batch, which only who signs one makes. */
export async function topOfBatch(leaves: readonly Uint8Array[]): Promise<Uint8Array> {
  if (leaves.length === 1) return leaves[0]!;
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return hash(Uint8Array.of(1), await topOfBatch(leaves.slice(0, half)), await topOfBatch(leaves.slice(half)));
}

