// Sealed transfers (docs/protocol/transfers.md): trees, the open and its answer, reads and
// blocks, listings.

import { compare, concat, equal, hex, need, Reader, Refused, u32, u64, utf8, base64 } from "./bytes.mjs";
import { bytes, digest, encode, integer, object, optional, parse, string, time } from "./canonical.mjs";
import { hash, hkdf, label, open, seal, unbox } from "./crypto.mjs";
import { check, decode, meant, signedHash } from "./event.mjs";
import { parseID, parseKey, parseXKey } from "./keys.mjs";
import { isName } from "./names.mjs";

export const blockSize = 262144;
export const maxSize = 2 ** 50;
const maxReads = 16;
const maxMessage = 1024;
const openLife = 30000n;
const skew = 600000n;

// Content addresses.

const isSize = (size) => Number.isSafeInteger(size) && size >= 0 && size <= maxSize;

/** blocks is how many blocks a content of a size has; 0 where no content has that size. */
export const blocks = (size) => (isSize(size) ? Math.max(1, Math.ceil(size / blockSize)) : 0);

export const blockLength = (size, index) => (index < blocks(size) ? Math.min(blockSize, size - index * blockSize) : 0);

const split = (n) => 2 ** (Math.ceil(Math.log2(n)) - 1); // the largest power of two below n

export const leaf = (data) => hash(Uint8Array.of(0), data);
const node = (left, right) => hash(Uint8Array.of(1), left, right);

export async function top(leaves) {
  if (leaves.length === 1) return leaves[0];
  const left = split(leaves.length);
  return node(await top(leaves.slice(0, left)), await top(leaves.slice(left)));
}

export const root = (size, top) => hash(Uint8Array.of(2), u64(size), u32(blockSize), top);

/** proof are the siblings of a block, from the leaf up. */
export async function proof(leaves, index) {
  if (leaves.length === 1) return [];
  const left = split(leaves.length);
  return index < left
    ? [...(await proof(leaves.slice(0, left), index)), await top(leaves.slice(left))]
    : [...(await proof(leaves.slice(left), index - left)), await top(leaves.slice(0, left))];
}

/** sides says for each sibling of a block, from the leaf up, whether it is the left one. */
function sides(count, index) {
  if (count === 1) return [];
  const left = split(count);
  return index < left ? [...sides(left, index), false] : [...sides(count - left, index - left), true];
}

export const proofLength = (size, index) => (index < blocks(size) ? sides(blocks(size), index).length : 0);

/** verifyBlock refuses data that is not the block at index of the content that root names. */
export async function verifyBlock(address, size, index, data, siblings) {
  need(index < blocks(size) && data.length === blockLength(size, index), "root", "place or length");
  const lefts = sides(blocks(size), index);
  need(siblings.length === lefts.length, "root", "length of the proof");
  let at = await leaf(data);
  for (const [i, isLeft] of lefts.entries()) at = isLeft ? await node(siblings[i], at) : await node(at, siblings[i]);
  need(equal(await root(size, at), address), "root");
}

// Bodies.

const requestType = object({ hub: string, grant: string, entry: string, root: optional(digest), xkey: string });
const answerType = object({ open: digest, transfer: string, node: string, key: bytes, size: integer, block: integer, root: digest, expires: time });
const refusalType = object({ open: digest, code: string, message: string });
const reasonType = object({ code: string, message: string });

/** bounded turns any refusal of a part into one of the whole. */
async function bounded(checks) {
  try {
    await checks();
  } catch (error) {
    if (error instanceof Refused) throw new Refused("malformed", error.message);
    throw error;
  }
}

export async function parseRequest(data) {
  const request = parse(requestType, data, "malformed");
  await bounded(async () => {
    parseKey("O", request.hub);
    parseID(request.grant);
    if (request.entry !== "") checkPath(request.entry);
    await parseXKey(request.xkey);
  });
  return request;
}

export async function parseAnswer(data) {
  const answer = parse(answerType, data, "malformed");
  await bounded(() => {
    answer.id = parseID(answer.transfer);
    parseID(answer.node);
    answer.secret = base64.read(answer.key, "key");
    need(answer.secret.length === 32, "key");
    need(isSize(answer.size) && answer.block === blockSize, "size");
    checkTime(answer.expires);
  });
  return answer;
}

export function parseRefusal(data) {
  const refusal = parse(refusalType, data, "malformed");
  checkReason(refusal);
  return refusal;
}

const plainCodes = ["refused", "busy", "malformed"];
const codes = [...plainCodes, "not-found", "changed", "expired", "unavailable"];

function checkReason({ code, message }, allowed = codes) {
  need(allowed.includes(code) && utf8(message).length <= maxMessage, "malformed", "code or message");
}

function parseReason(data, allowed) {
  const reason = parse(reasonType, data, "malformed");
  checkReason(reason, allowed);
  return reason;
}

function checkTime(value) {
  need(value >= "1970-01-01T00:00:00Z", "malformed", "a time before 1970");
}

// The handshake.

/** judgeOpen is what an owner does with an open; byDevice says whether it is the author's device. */
export async function judgeOpen(data, { hub, owner, reader, subject, now, xkey, byDevice }) {
  const ev = decode(data);
  meant(ev, "transfer.open", subject, owner);
  await check(ev);
  const at = BigInt(now);
  need(ev.notAfter !== 0n && ev.notAfter - ev.time <= openLife, "time", "it lives too long");
  need(ev.time <= at + skew && at - skew <= ev.notAfter, "time", "from another time");
  need(equal(ev.author, reader), "author");
  need(byDevice(ev), "device");
  const request = await parseRequest(await unbox(xkey, "open", concat(ev.id, ev.author, ev.device), ev.body));
  need(request.hub === hub, "hub");
  return { request, hash: await signedHash(ev) };
}

/** judgeAnswer is what a reader does with what came back for an open. */
export async function judgeAnswer(message, { open: opened, xkey, subject, reader, owner, byDevice, address }) {
  need(message.length > 1, "malformed", "too short");
  if (message[0] === 0) return { hint: parseReason(message.subarray(1), plainCodes) };
  need(message[0] === 1, "malformed", "kind");
  const ev = decode(await unbox(xkey, "answer", opened, message.subarray(1)));
  const kind = ev.type === "transfer.refusal" ? ev.type : "transfer.answer";
  meant(ev, kind, subject, reader);
  await check(ev);
  need(equal(ev.author, owner), "author");
  need(byDevice(ev), "device");
  if (kind === "transfer.refusal") {
    const refusal = parseRefusal(ev.body);
    need(refusal.open === hex(opened), "open");
    return { refusal };
  }
  const answer = await parseAnswer(ev.body);
  need(answer.open === hex(opened), "open");
  need(address === null || answer.root === hex(address), "changed");
  return { answer };
}

// Reads and what answers them.

/** Transfer holds the two keys of one transfer. */
export class Transfer {
  constructor(id, read, block) {
    Object.assign(this, { id, read, block });
  }

  static async of(id, key, opened) {
    return new Transfer(id, await hkdf(key, opened, label("read")), await hkdf(key, opened, label("block")));
  }

  async sealRead(counter, indexes, nonce) {
    need(counter > 0 && indexes.length <= maxReads, "malformed");
    const plaintext = concat(u64(counter), Uint8Array.of(0, indexes.length), ...indexes.map(u32));
    return concat(this.id, await seal(this.read, nonce, plaintext, this.id));
  }

  async openRead(message) {
    const indexes = (message.length - 16 - 12 - 10 - 16) / 4;
    need(Number.isInteger(indexes) && indexes >= 0 && indexes <= maxReads, "malformed", "length");
    need(equal(message.subarray(0, 16), this.id), "sealed", "another transfer");
    const reader = new Reader(await open(this.read, message.subarray(16), this.id), "malformed");
    const counter = reader.u64();
    need(counter > 0n && reader.u16() === indexes, "malformed", "counter or count");
    return { counter, indexes: Array.from({ length: indexes }, () => reader.u32()) };
  }

  #blockData(index, length) {
    return concat(Uint8Array.of(1), this.id, u32(index), u32(length));
  }

  async sealBlock(position, index, data, siblings, nonce) {
    const sealed = await seal(this.block, nonce, concat(data, ...siblings), this.#blockData(index, data.length));
    return concat(Uint8Array.of(1, position), sealed);
  }

  /** openBlock opens the message for a block and proves what is in it. */
  async openBlock(message, position, address, size, index) {
    const [length, count] = [blockLength(size, index), proofLength(size, index)];
    need(index < blocks(size) && message.length === 2 + 12 + length + 32 * count + 16, "malformed", "length");
    need(message[0] === 1 && message[1] === position, "malformed", "kind or position");
    const opened = await open(this.block, message.subarray(2), this.#blockData(index, length));
    const data = opened.subarray(0, length);
    const siblings = Array.from({ length: count }, (_, i) => opened.subarray(length + 32 * i, length + 32 * (i + 1)));
    await verifyBlock(address, size, index, data, siblings);
    return data;
  }

  #refusalData(counter) {
    return concat(Uint8Array.of(2), this.id, u64(counter));
  }

  async sealRefusal(counter, reason, nonce) {
    return concat(Uint8Array.of(2), await seal(this.block, nonce, encode(reasonType, reason), this.#refusalData(counter)));
  }

  async openRefusal(counter, message) {
    need(message[0] === 2, "malformed", "kind");
    return parseReason(await open(this.block, message.subarray(1), this.#refusalData(counter)), codes);
  }
}

const maxProof = 32;

/** parseReply tells what a message on the reply subject of a read is. */
export function parseReply(message) {
  if (message.length === 0) return { kind: "end" };
  switch (message[0]) {
    case 0:
      return { kind: "plain", reason: parseReason(message.subarray(1), plainCodes) };
    case 1:
      need(message.length >= 30 && message.length <= 30 + blockSize + 32 * maxProof && message[1] < maxReads, "malformed", "block");
      return { kind: "block", position: message[1] };
    case 2:
      need(message.length >= 29 && message.length <= 29 + 64 + 6 * maxMessage, "malformed", "refusal");
      return { kind: "refusal" };
    default:
      throw new Refused("malformed", "kind");
  }
}

/** Window takes each counter once, down to 1024 below the highest. */
export class Window {
  #highest = 0;
  #seen = new Set();

  accept(counter) {
    if (counter <= 0 || counter < this.#highest - 1024 || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#highest = Math.max(this.#highest, counter);
    for (const old of this.#seen) if (old < this.#highest - 1024) this.#seen.delete(old);
    return true;
  }
}

// Listings.

const headerType = object({ catalog: string, revision: integer, entries: integer });
const entryType = object({ path: string, size: integer, type: string, modified: time, root: digest, description: optional(string) });

/** checkPath refuses what no entry is called. */
export function checkPath(path) {
  need(path.isWellFormed() && utf8(path).length <= 4096 && !path.includes("\0"), "malformed", "path");
  need(path.split("/").every((part) => part !== "" && part !== "." && part !== ".."), "malformed", "path");
}

export function parseHeader(line) {
  const header = parse(headerType, line, "malformed");
  need(isName(header.catalog), "malformed", "catalog");
  need(header.revision >= 0 && header.entries >= 0 && header.entries <= 2 ** 21, "malformed", "revision or count");
  return header;
}

function parseEntry(line) {
  const entry = parse(entryType, line, "malformed");
  checkPath(entry.path);
  need(isSize(entry.size), "malformed", "size");
  need(/^[\x20-\x7e]*\/[\x20-\x7e]*$/.test(entry.type) && entry.type.length <= 127, "malformed", "type");
  need(utf8(entry.description ?? "").length <= 1024, "malformed", "description");
  checkTime(entry.modified);
  return entry;
}

/** parseListing reads a whole listing. */
export function parseListing(data) {
  need(data.length > 0 && data.length <= 256 << 20 && data[data.length - 1] === 10, "malformed", "its end");
  const lines = [];
  for (let at = 0; at < data.length; ) {
    const end = data.indexOf(10, at);
    lines.push(data.subarray(at, end));
    at = end + 1;
  }
  const header = parseHeader(lines[0]);
  need(lines.length === 1 + header.entries, "malformed", "count");
  const entries = lines.slice(1).map(parseEntry);
  for (let i = 1; i < entries.length; i++) {
    need(compare(utf8(entries[i - 1].path), utf8(entries[i].path)) < 0, "malformed", "order");
  }
  return { header, entries };
}

/** addressOf is the root of a content. */
export async function addressOf(data) {
  const leaves = [];
  for (let i = 0; i < blocks(data.length); i++) leaves.push(await leaf(data.subarray(i * blockSize, (i + 1) * blockSize)));
  return root(data.length, await top(leaves));
}

