// Signed events (docs/protocol/events.md): their fields, their bytes, and what makes one hold. Those that share a signature
// are in batch.ts.

import { sha512_256 } from "@noble/hashes/sha2.js";

import { batchLead, type Batch, decodeBatch, rootOf, signedRoot } from "./batch.ts";
import { concat, equal, isZero, need, random, Reader, type Bytes, text, u16, u64, utf8 } from "./bytes.ts";
import { hash, label, open, seal, type SealKey } from "./crypto.ts";
import { verify } from "./ed25519.ts";

export const maxBody = 512 << 10;
const none = new Uint8Array(0);
const last = 2n ** 62n - 1n; // moment
const skew = 10 * 60 * 1000;

/** Fields are what an event says but its body. Times are milliseconds. */
export interface Fields {
  id: Uint8Array;
  author: Uint8Array;
  device: Uint8Array;
  time: bigint;
  notAfter: bigint;
  seq: bigint;
  prev: Uint8Array;
  head: Uint8Array;
  epoch: Uint8Array;
  bodyHash: Uint8Array;
  type: string;
  subject: string;
  audience: string;
  /** cause is the hash of the event out of which this one came. */
  cause?: Uint8Array;
  /** digest 1: the body's hash is SHA-512/256. */
  digest?: 1;
  content?: string;
  receipt?: string;
}

/** Event is a signed event; batch instead of signatures where it shares one with others. */
export interface Event extends Fields {
  signatures: Uint8Array[];
  batch?: Batch;
  body: Uint8Array;
}

const str16 = (value: string) => concat(u16(utf8(value).length), utf8(value));

/** token is the token of an event, with another body hash where one is given. */
export function token(ev: Fields, bodyHash = ev.bodyHash): Bytes {
  return concat(
    ev.id, ev.author, ev.device, u64(ev.time), u64(ev.notAfter), u64(ev.seq), ev.prev, ev.head, ev.epoch, bodyHash,
    str16(ev.type), str16(ev.subject), str16(ev.audience), further(ev),
  );
}

/** further are the fields that are there only where they say something. */
function further(ev: Fields): Bytes {
  const values = [ev.cause ?? none, ev.digest ? Uint8Array.of(ev.digest) : none, utf8(ev.content ?? ""), utf8(ev.receipt ?? "")];
  return concat(...values.map((value, i) => (value.length > 0 ? concat(Uint8Array.of(i + 1), u16(value.length), value) : none)));
}

/** bodyHash is the hash of a body by the digest that the event names. */
export const bodyHash = async (ev: Pick<Event, "body" | "digest">): Promise<Uint8Array> => (ev.digest === 1 ? sha512_256(ev.body) : hash(ev.body));

export const signed = (ev: Fields): Bytes => concat(label("event"), token(ev));

/** eventHash names an event in chains. */
export const eventHash = (ev: Fields): Promise<Bytes> => hash(signed(ev));

/** signedHash names this very signed statement. */
export const signedHash = (ev: Event): Promise<Bytes> => hash(signed(ev), ev.batch ? ev.batch.signature : ev.signatures[0]!);

/** encode is the compact form, or that of an event of a batch. */
export function encode(ev: Event, body = ev.body): Bytes {
  const bytes = token(ev);
  if (ev.batch) return concat(batchLead(ev.batch, bytes), body);
  return concat(Uint8Array.of(1, ev.signatures.length), u16(bytes.length), bytes, ...ev.signatures, body);
}

/** withheld is the compact form without its body. */
export const withheld = (ev: Event): Bytes => encode(ev, none);

/** decode reads the compact form and checks its bounds. It verifies nothing. */
export function decode(data: Uint8Array): Event {
  const reader = new Reader(data, "malformed");
  need(reader.u8() === 1, "malformed", "version");
  const count = reader.u8();
  need(count === 1 || count === 2, "malformed", "number of signatures");
  const fields = decodeToken(reader.take(reader.u16()));
  const signatures = Array.from({ length: count }, () => reader.take(64));
  return { ...fields, signatures, body: bodyOf(reader) };
}

/** decodeAny is decode for events that may have been signed in a batch. */
export function decodeAny(data: Uint8Array): Event {
  if (data[0] !== 2) return decode(data);
  const reader = new Reader(data.subarray(1), "malformed");
  const hashes = reader.u8();
  const fields = decodeToken(reader.take(reader.u16()));
  const batch = decodeBatch(reader, hashes);
  return { ...fields, signatures: [], batch, body: bodyOf(reader) };
}

function bodyOf(reader: Reader): Uint8Array {
  const body = reader.take(reader.left);
  need(body.length <= maxBody, "malformed", "body");
  return body;
}

function decodeToken(data: Uint8Array): Fields {
  const reader = new Reader(data, "malformed");
  const fields: Fields = {
    id: reader.take(16), author: reader.take(32), device: reader.take(32), time: reader.u64(), notAfter: reader.u64(), seq: reader.u64(),
    prev: reader.take(32), head: reader.take(32), epoch: reader.take(32), bodyHash: reader.take(32),
    type: reader.str16(), subject: reader.str16(), audience: reader.str16(),
  };
  decodeFurther(reader, fields);
  need(fields.id[6]! >> 4 === 7 && fields.id[8]! >> 6 === 2, "malformed", "id");
  need(!isZero(fields.author) && !isZero(fields.device), "malformed", "author or device");
  need(fields.time >= 1n && fields.time <= last && fields.notAfter <= last, "malformed", "time");
  need(fields.seq <= 1n === isZero(fields.prev), "malformed", "seq and prev");
  need(/^[a-z0-9.-]{1,64}$/.test(fields.type), "malformed", "type");
  need(isSubject(fields.subject), "malformed", "subject");
  need(utf8(fields.audience).length <= 128, "malformed", "audience");
  return fields;
}

/** decodeFurther reads the further fields: each once, in their order, and no other. */
function decodeFurther(reader: Reader, fields: Fields): void {
  for (let before = 0; reader.left > 0; ) {
    const tag = reader.u8();
    const value = reader.take(reader.u16());
    need(tag > before && value.length > 0, "malformed", "further fields");
    before = tag;
    if (tag === 1) {
      need(value.length === 32 && !isZero(value), "malformed", "cause");
      fields.cause = value;
    } else if (tag === 2) {
      need(value.length === 1 && value[0] === 1, "malformed", "digest");
      fields.digest = 1;
    } else if (tag === 3) {
      fields.content = text(value, "malformed");
      need(value.length <= 100 && mediaType.test(fields.content), "malformed", "content");
    } else {
      need(tag === 4, "malformed", "further fields");
      fields.receipt = text(value, "malformed");
      need(isSubject(fields.receipt), "malformed", "receipt");
    }
  }
}

const word = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
const mediaType = new RegExp(`^${word}/${word}( *; *${word}=(${word}|"[ !#-\\[\\]-~]*"))*$`);

const isSubject = (subject: string) => utf8(subject).length <= 255 && subject.split(".").every(isSubjectToken);

const isSubjectToken = (part: string) => part !== "" && part !== "*" && part !== ">" && !/[\u0000-\u0020\u007f]/.test(part);

/** meant refuses an event that was made for another place. */
export function meant(ev: Fields, type: string, subject: string, audience: string): void {
  need(ev.type === type && ev.subject === subject && ev.audience === audience, "not-meant");
}

/** check verifies body and signature. */
export async function check(ev: Event): Promise<void> {
  need(equal(await bodyHash(ev), ev.bodyHash), "body");
  await checkWithheld(ev);
}

/** checkWithheld verifies the signature of an event without its body. */
export async function checkWithheld(ev: Event): Promise<void> {
  if (ev.batch) {
    const root = await rootOf(ev.batch, await eventHash(ev));
    need(await verify(ev.device, signedRoot(ev.batch.count, root), ev.batch.signature), "signature");
    return;
  }
  need(await verify(ev.device, signed(ev), ev.signatures[0]!), "signature");
}

/** checkCoSignature verifies the second signature. */
export async function checkCoSignature(ev: Event, key: Uint8Array): Promise<void> {
  need(ev.signatures.length === 2 && (await verify(key, signed(ev), ev.signatures[1]!)), "co-signature");
}

/** fresh refuses an event that can't be acted on now; times are milliseconds. */
export function fresh(ev: Pick<Fields, "time" | "notAfter">, now: number): void {
  need(ev.time <= BigInt(now + skew), "time", "from the future");
  need(ev.notAfter === 0n || BigInt(now) <= ev.notAfter, "time", "past its end");
}

// Making.

/** By is what an event is signed with. */
export interface By {
  readonly raw: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Draft is an event that is not signed: what is left out is zero, and an id is drawn. */
export type Draft = Pick<Fields, "author" | "type" | "subject" | "audience"> & Partial<Omit<Fields, "device" | "bodyHash">>;

/** newID is an event id (UUID of version 7) of a moment. */
export function newID(now: number): Bytes {
  const id = random(16);
  id.set(u64(now).subarray(2), 0);
  id[6] = (id[6]! & 0x0f) | 0x70;
  id[8] = (id[8]! & 0x3f) | 0x80;
  return id;
}

function fieldsOf(draft: Draft, device: Uint8Array): Fields {
  const zero = () => new Uint8Array(32);
  const time = draft.time ?? BigInt(Date.now());
  const rest = { notAfter: 0n, seq: 0n, prev: zero(), head: zero(), epoch: zero(), bodyHash: zero() };
  return { id: newID(Number(time)), ...rest, ...draft, time, device };
}

/** makeEvent signs an event; a second signer co-signs. With a key its body is sealed. */
export async function makeEvent(draft: Draft, body: Uint8Array, by: By, options: { co?: By; key?: SealKey } = {}): Promise<Event> {
  const fields = fieldsOf(draft, by.raw);
  const sealed = options.key ? await sealBody(fields, options.key, random(12), body) : body;
  const ev: Event = { ...fields, body: sealed, signatures: [] };
  ev.bodyHash = await bodyHash(ev);
  const statement = signed(ev);
  ev.signatures.push(await by.sign(statement));
  if (options.co) ev.signatures.push(await options.co.sign(statement));
  return ev;
}

// Sealed bodies.

export const sealData = (ev: Fields): Bytes => concat(label("sealed"), token(ev, new Uint8Array(32)));
export const openBody = (ev: Event, key: SealKey): Promise<Bytes> => open(key, ev.body, sealData(ev));
export const sealBody = (ev: Fields, key: SealKey, nonce: Uint8Array, plaintext: Uint8Array): Promise<Bytes> => seal(key, nonce, plaintext, sealData(ev));

/** uuid is the text of an event's id. */
export function uuid(id: Uint8Array): string {
  const digits = Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join("-");
}
