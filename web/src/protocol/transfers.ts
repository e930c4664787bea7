// Sealed transfers as their reader sees them (docs/protocol/transfers.md): the open and its answer, reads and blocks.

import { base64, type Bytes, concat, equal, hex, need, random, Refused, u32, u64, utf8 } from "./bytes.ts";
import { bytes, digest, encode, integer, object, type Of, optional, parse, string, time } from "./canonical.ts";
import { box, hkdfKey, label, open, seal } from "./crypto.ts";
import { type By, check, decode, type Event, makeEvent, meant, signedHash } from "./event.ts";
import { checkPath, checkTime } from "./listing.ts";
import { parseID, parseKey, parseXKey } from "./keys.ts";
import { blockLength, blocks, blockSize, isSize, proofLength, verifyBlock } from "./tree.ts";

export * from "./listing.ts";
export * from "./tree.ts";

export const maxReads = 16;
const maxMessage = 1024;
export const openLife = 30000;

// Bodies.

export const requestType = object({ hub: string, grant: string, entry: string, root: optional(digest), xkey: string });
const answerType = object({ open: digest, transfer: string, node: string, key: bytes, size: integer, block: integer, root: digest, expires: time });
const refusalType = object({ open: digest, code: string, message: string });
export const reasonType = object({ code: string, message: string });

/** TransferRequest is what a reader asks for; entry "" is the listing. */
export type TransferRequest = Of<typeof requestType>;

/** Answer is what an owner hands over: id and secret are transfer and key, read. */
export type Answer = Of<typeof answerType> & { id: Bytes; secret: Bytes };
export type TransferRefusal = Of<typeof refusalType>;
export type Reason = Of<typeof reasonType>;

/** bounded turns any refusal of a part into one of the whole. */
async function bounded(checks: () => void | Promise<void>): Promise<void> {
  try {
    await checks();
  } catch (error) {
    if (error instanceof Refused) throw new Refused("malformed", error.message);
    throw error;
  }
}

export async function parseRequest(data: Uint8Array): Promise<TransferRequest> {
  const request = parse(requestType, data, "malformed");
  await bounded(async () => {
    parseKey("O", request.hub);
    parseID(request.grant);
    if (request.entry !== "") checkPath(request.entry);
    await parseXKey(request.xkey);
  });
  return request;
}

export async function parseAnswer(data: Uint8Array): Promise<Answer> {
  const said = parse(answerType, data, "malformed");
  let read = { id: new Uint8Array(0), secret: new Uint8Array(0) };
  await bounded(() => {
    read = { id: parseID(said.transfer), secret: base64.read(said.key, "key") };
    parseID(said.node);
    need(read.secret.length === 32, "key");
    need(isSize(said.size) && said.block === blockSize, "size");
    checkTime(said.expires);
  });
  return { ...said, ...read };
}

export function parseRefusal(data: Uint8Array): TransferRefusal {
  const refusal = parse(refusalType, data, "malformed");
  checkReason(refusal);
  return refusal;
}

const plainCodes = ["refused", "busy", "malformed"];
const codes = [...plainCodes, "not-found", "changed", "expired", "unavailable"];

function checkReason({ code, message }: Reason, allowed = codes): void {
  need(allowed.includes(code) && utf8(message).length <= maxMessage, "malformed", "code or message");
}

function parseReason(data: Uint8Array, allowed: string[]): Reason {
  const reason = parse(reasonType, data, "malformed");
  checkReason(reason, allowed);
  return reason;
}

// The handshake.

/** openContext is what the box with a request is bound to. */
export const openContext = (ev: Pick<Event, "id" | "author" | "device">): Bytes => concat(ev.id, ev.author, ev.device);

/** Opening is a signed open, and what its answer is held against. */
export interface Opening {
  event: Event;
  /** hash is Hₒ. */
  hash: Bytes;
}

/** makeOpen signs an open: draft has the reader's id, author and place, xkey is the owner's. */
export async function makeOpen(
  draft: { id: Uint8Array; author: Uint8Array; subject: string; audience: string; time: bigint },
  request: TransferRequest,
  by: By,
  xkey: Uint8Array,
): Promise<Opening> {
  const context = openContext({ id: draft.id, author: draft.author, device: by.raw });
  const sealed = await box(xkey, "open", context, encode(requestType, request));
  const event = await makeEvent({ ...draft, type: "transfer.open", notAfter: draft.time + BigInt(openLife) }, sealed.box, by);
  return { event, hash: await signedHash(event) };
}

/** Expected is what an answer to an open has to be. */
export interface Expected {
  /** open is Hₒ. */
  open: Uint8Array;
  /** unbox opens a box to the single-use xkey of the open. */
  unbox: (purpose: string, context: Uint8Array, box: Uint8Array) => Promise<Uint8Array>;
  subject: string;
  reader: string;
  owner: Uint8Array;
  /** byDevice says whether an event is of the owner's device. */
  byDevice: (ev: Event) => boolean | Promise<boolean>;
  /** address is the content that was asked for; null where any will do. */
  address: Uint8Array | null;
}

/** Judged is one of three: the answer, a signed refusal, or a hint in the clear that anybody could have sent. */
export type Judged = { answer?: Answer; refusal?: TransferRefusal; hint?: Reason };

/** judgeAnswer is what a reader does with what came back for an open. */
export async function judgeAnswer(message: Uint8Array, expected: Expected): Promise<Judged> {
  need(message.length > 1, "malformed", "too short");
  if (message[0] === 0) return { hint: parseReason(message.subarray(1), plainCodes) };
  need(message[0] === 1, "malformed", "kind");
  const ev = decode(await expected.unbox("answer", expected.open, message.subarray(1)));
  const kind = ev.type === "transfer.refusal" ? ev.type : "transfer.answer";
  meant(ev, kind, expected.subject, expected.reader);
  await check(ev);
  need(equal(ev.author, expected.owner), "author");
  need(await expected.byDevice(ev), "device");
  if (kind === "transfer.refusal") {
    const refusal = parseRefusal(ev.body);
    need(refusal.open === hex(expected.open), "open");
    return { refusal };
  }
  const answer = await parseAnswer(ev.body);
  need(answer.open === hex(expected.open), "open");
  need(expected.address === null || answer.root === hex(expected.address), "changed");
  return { answer };
}

// Reads and what answers them.

/** blockData is what a block is sealed with. */
export const blockData = (id: Uint8Array, index: number, length: number): Bytes => concat(Uint8Array.of(1), id, u32(index), u32(length));

/** refusalData is what the refusal of a read is sealed with. */
export const refusalData = (id: Uint8Array, counter: number | bigint): Bytes => concat(Uint8Array.of(2), id, u64(counter));

/** Transfer holds the two keys of one transfer, on the reader's side. */
export class Transfer {
  private constructor(
    readonly id: Uint8Array,
    readonly read: CryptoKey,
    readonly block: CryptoKey,
  ) {}

  static async of(id: Uint8Array, key: Uint8Array, opened: Uint8Array): Promise<Transfer> {
    return new Transfer(id, await hkdfKey(key, opened, label("read")), await hkdfKey(key, opened, label("block")));
  }

  async sealRead(counter: number, indexes: readonly number[], nonce: Uint8Array = random(12)): Promise<Bytes> {
    need(counter > 0 && indexes.length <= maxReads, "malformed");
    const plaintext = concat(u64(counter), Uint8Array.of(0, indexes.length), ...indexes.map(u32));
    return concat(this.id, await seal(this.read, nonce, plaintext, this.id));
  }

  /** openBlock opens the message for a block and proves what is in it. */
  async openBlock(message: Uint8Array, position: number, address: Uint8Array, size: number, index: number): Promise<Bytes> {
    const [length, count] = [blockLength(size, index), proofLength(size, index)];
    need(index < blocks(size) && message.length === 2 + 12 + length + 32 * count + 16, "malformed", "length");
    need(message[0] === 1 && message[1] === position, "malformed", "kind or position");
    const opened = await open(this.block, message.subarray(2), blockData(this.id, index, length));
    const data = opened.subarray(0, length);
    const siblings = Array.from({ length: count }, (_, i) => opened.subarray(length + 32 * i, length + 32 * (i + 1)));
    await verifyBlock(address, size, index, data, siblings);
    return data;
  }

  async openRefusal(counter: number, message: Uint8Array): Promise<Reason> {
    need(message[0] === 2, "malformed", "kind");
    return parseReason(await open(this.block, message.subarray(1), refusalData(this.id, counter)), codes);
  }
}

const maxProof = 32;

/** Reply is what a message on the reply subject of a read is. */
export type Reply = { kind: "end" } | { kind: "plain"; reason: Reason } | { kind: "block"; position: number } | { kind: "refusal" };

/** parseReply tells what a message on the reply subject of a read is. */
export function parseReply(message: Uint8Array): Reply {
  if (message.length === 0) return { kind: "end" };
  switch (message[0]) {
    case 0:
      return { kind: "plain", reason: parseReason(message.subarray(1), plainCodes) };
    case 1:
      need(message.length >= 30 && message.length <= 30 + blockSize + 32 * maxProof && message[1]! < maxReads, "malformed", "block");
      return { kind: "block", position: message[1]! };
    case 2:
      need(message.length >= 29 && message.length <= 29 + 64 + 6 * maxMessage, "malformed", "refusal");
      return { kind: "refusal" };
    default:
      throw new Refused("malformed", "kind");
  }
}
