// Signed events, alone and in batches (docs/protocol/events.md), the keys of epochs (rooms.md), backups (recovery.md).

import { concat, equal, isZero, need, Reader, Refused, text, u16, u32, u64, utf8 } from "./bytes.mjs";
import { list, object, parse, string, integer, hash as hashType } from "./canonical.mjs";
import { ed25519Public, hash, label, open, seal, unbox } from "./crypto.mjs";
import { verify } from "./ed25519.mjs";
import { keyText, parseSeed } from "./keys.mjs";
import { sha512x256 } from "./sha512.mjs";

export const maxBody = 512 << 10;
const none = new Uint8Array(0);
const last = 2n ** 62n - 1n; // moment
const skew = 10 * 60 * 1000;

const str16 = (value) => concat(u16(utf8(value).length), utf8(value));

/** token is the token of an event, with another body hash where one is given. */
export function token(ev, bodyHash = ev.bodyHash) {
  return concat(
    ev.id, ev.author, ev.device, u64(ev.time), u64(ev.notAfter), u64(ev.seq), ev.prev, ev.head, ev.epoch, bodyHash,
    str16(ev.type), str16(ev.subject), str16(ev.audience), further(ev),
  );
}

/** further are the fields that are there only where they say something. */
function further(ev) {
  const values = [ev.cause ?? none, ev.digest ? Uint8Array.of(ev.digest) : none, utf8(ev.content ?? ""), utf8(ev.receipt ?? "")];
  return concat(...values.map((value, i) => (value.length > 0 ? concat(Uint8Array.of(i + 1), u16(value.length), value) : none)));
}

/** bodyHash is the hash of a body by the digest that the event names. */
export const bodyHash = (ev) => (ev.digest === 1 ? sha512x256(ev.body) : hash(ev.body));

export const signed = (ev) => concat(label("event"), token(ev));

/** eventHash names an event in chains. */
export const eventHash = (ev) => hash(signed(ev));

/** signedHash names this very signed statement. */
export const signedHash = (ev) => hash(signed(ev), ev.batch ? ev.batch.signature : ev.signatures[0]);

/** encode is the compact form, or that of an event of a batch. */
export function encode(ev, body = ev.body) {
  const bytes = token(ev);
  if (ev.batch) {
    const { signature, count, index, path } = ev.batch;
    return concat(Uint8Array.of(2, path.length), u16(bytes.length), bytes, signature, u32(count), u32(index), ...path, body);
  }
  return concat(Uint8Array.of(1, ev.signatures.length), u16(bytes.length), bytes, ...ev.signatures, body);
}

/** withheld is the compact form without its body. */
export const withheld = (ev) => encode(ev, none);

/** decode reads the compact form and checks its bounds. It verifies nothing. */
export function decode(data) {
  const reader = new Reader(data, "malformed");
  need(reader.u8() === 1, "malformed", "version");
  const count = reader.u8();
  need(count === 1 || count === 2, "malformed", "number of signatures");
  const ev = decodeToken(reader.take(reader.u16()));
  ev.signatures = Array.from({ length: count }, () => reader.take(64));
  ev.body = reader.take(reader.left);
  need(ev.body.length <= maxBody, "malformed", "body");
  return ev;
}

const maxBatch = 4096;

/** pathLength is how many hashes stand beside the way of an event up a batch's tree. */
export function pathLength(count, index) {
  let length = 0;
  for (let [n, i] = [count, index]; n > 1; [n, i] = [Math.ceil(n / 2), i >> 1]) if ((i ^ 1) < n) length++;
  return length;
}

/** decodeAny is decode for events that may have been signed in a batch. */
export function decodeAny(data) {
  if (data[0] !== 2) return decode(data);
  const reader = new Reader(data.subarray(1), "malformed");
  const hashes = reader.u8();
  const ev = decodeToken(reader.take(reader.u16()));
  const batch = { signature: reader.take(64), count: reader.u32(), index: reader.u32() };
  need(batch.count >= 2 && batch.count <= maxBatch && batch.index < batch.count, "malformed", "place in the batch");
  need(hashes === pathLength(batch.count, batch.index), "malformed", "length of the path");
  batch.path = Array.from({ length: hashes }, () => reader.take(32));
  ev.batch = batch;
  ev.body = reader.take(reader.left);
  need(ev.body.length <= maxBody, "malformed", "body");
  return ev;
}

export const leaf = async (ev) => hash(Uint8Array.of(0), await eventHash(ev));
const node = (left, right) => hash(Uint8Array.of(1), left, right);

/** top is the root of the tree over leaves. */
export async function top(leaves) {
  if (leaves.length === 1) return leaves[0];
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return node(await top(leaves.slice(0, half)), await top(leaves.slice(half)));
}

/** rootOf is the root that an event of a batch leads to. */
export async function rootOf(ev) {
  let at = await leaf(ev);
  const path = [...ev.batch.path];
  for (let [n, i] = [ev.batch.count, ev.batch.index]; n > 1; [n, i] = [Math.ceil(n / 2), i >> 1]) {
    if ((i ^ 1) < n) at = i % 2 === 0 ? await node(at, path.shift()) : await node(path.shift(), at);
  }
  return at;
}

/** signedRoot is what is signed of a batch. */
export const signedRoot = (count, root) => concat(label("events"), u32(count), root);

function decodeToken(bytes) {
  const reader = new Reader(bytes, "malformed");
  const ev = { id: reader.take(16), author: reader.take(32), device: reader.take(32), time: reader.u64(), notAfter: reader.u64(), seq: reader.u64() };
  for (const field of ["prev", "head", "epoch", "bodyHash"]) ev[field] = reader.take(32);
  for (const field of ["type", "subject", "audience"]) ev[field] = reader.str16();
  decodeFurther(reader, ev);
  need(ev.id[6] >> 4 === 7 && ev.id[8] >> 6 === 2, "malformed", "id");
  need(!isZero(ev.author) && !isZero(ev.device), "malformed", "author or device");
  need(ev.time >= 1n && ev.time <= last && ev.notAfter <= last, "malformed", "time");
  need(ev.seq <= 1n === isZero(ev.prev), "malformed", "seq and prev");
  need(/^[a-z0-9.-]{1,64}$/.test(ev.type), "malformed", "type");
  need(isSubject(ev.subject), "malformed", "subject");
  need(utf8(ev.audience).length <= 128, "malformed", "audience");
  return ev;
}

/** decodeFurther reads the further fields: each once, in their order, and no other. */
function decodeFurther(reader, ev) {
  for (let before = 0; reader.left > 0; ) {
    const tag = reader.u8();
    const value = reader.take(reader.u16());
    need(tag > before && value.length > 0, "malformed", "further fields");
    before = tag;
    if (tag === 1) {
      need(value.length === 32 && !isZero(value), "malformed", "cause");
      ev.cause = value;
    } else if (tag === 2) {
      need(value.length === 1 && value[0] === 1, "malformed", "digest");
      ev.digest = 1;
    } else if (tag === 3) {
      ev.content = text(value, "malformed");
      need(value.length <= 100 && mediaType.test(ev.content), "malformed", "content");
    } else {
      need(tag === 4, "malformed", "further fields");
      ev.receipt = text(value, "malformed");
      need(isSubject(ev.receipt), "malformed", "receipt");
    }
  }
}

const word = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
const mediaType = new RegExp(`^${word}/${word}( *; *${word}=(${word}|"[ !#-\\[\\]-~]*"))*$`);

const isSubject = (subject) => utf8(subject).length <= 255 && subject.split(".").every(subjectToken);

const subjectToken = (part) => part !== "" && part !== "*" && part !== ">" && !/[\u0000-\u0020\u007f]/.test(part);

/** meant refuses an event that was made for another place. */
export function meant(ev, type, subject, audience) {
  need(ev.type === type && ev.subject === subject && ev.audience === audience, "not-meant");
}

/** check verifies body and signature. */
export async function check(ev) {
  need(equal(await bodyHash(ev), ev.bodyHash), "body");
  await checkWithheld(ev);
}

/** checkWithheld verifies the signature of an event without its body. */
export async function checkWithheld(ev) {
  if (ev.batch) {
    need(await verify(ev.device, signedRoot(ev.batch.count, await rootOf(ev)), ev.batch.signature), "signature");
    return;
  }
  need(await verify(ev.device, signed(ev), ev.signatures[0]), "signature");
}

/** checkCoSignature verifies the second signature. */
export async function checkCoSignature(ev, key) {
  need(ev.signatures.length === 2 && (await verify(key, signed(ev), ev.signatures[1])), "co-signature");
}

/** fresh refuses an event that can't be acted on now; times are milliseconds. */
export function fresh(ev, now) {
  need(ev.time <= BigInt(now + skew), "time", "from the future");
  need(ev.notAfter === 0n || BigInt(now) <= ev.notAfter, "time", "past its end");
}

// Sealed bodies.

export const sealData = (ev) => concat(label("sealed"), token(ev, new Uint8Array(32)));
export const openBody = (ev, key) => open(key, ev.body, sealData(ev));
export const sealBody = (ev, key, nonce, plaintext) => seal(key, nonce, plaintext, sealData(ev));

// Epochs.

export const commitment = (room, key) => hash(label("epoch"), utf8(room), key);

/** openEpochKey opens a member's box and holds the key against the commitment. */
export async function openEpochKey(secret, room, committed, box) {
  const key = await unbox(secret, "epoch", concat(utf8(room), committed), box);
  need(key.length === 32, "length", "no epoch key");
  need(equal(await commitment(room, key), committed), "commitment");
  return key;
}

const nameData = (room) => concat(label("room-name"), utf8(room));
export const openName = (room, key, sealed) => open(key, sealed, nameData(room));
export const sealName = (room, key, nonce, name) => seal(key, nonce, utf8(name), nameData(room));

// Backups.

const backupType = object({
  hub: string, account: string, handle: string, identity: string, xkeys: list(string), device: string, seq: integer, head: hashType,
  catalogs: list(object({ name: string, id: string, dir: string })),
});

export const backupData = (hub, recoveryKey) => concat(label("recovery"), utf8(hub), Uint8Array.of(0), recoveryKey);

/** openBackup judges a backup and opens it with its code. */
export async function openBackup(hub, code, data) {
  const ev = decode(data);
  const key = await ed25519Public(code.seed);
  meant(ev, "recovery.put", `recovery.${keyText("U", key)}`, hub);
  await check(ev);
  await checkCoSignature(ev, key);
  need(equal(ev.device, ev.author), "signature", "not signed by the identity itself");
  need(ev.seq === 0n && isZero(ev.epoch) && ev.notAfter === 0n && ev.body.length <= 64 << 10, "malformed", "not a backup");
  const plaintext = await open(code.wrap, ev.body, backupData(hub, key));
  const backup = parse(backupType, plaintext);
  let identity;
  try {
    identity = await ed25519Public(parseSeed("A", backup.identity));
  } catch {
    throw new Refused("content", "no identity");
  }
  need(equal(identity, ev.author) && backup.account === keyText("A", identity), "content", "of somebody else");
  need(backup.hub === hub && backup.xkeys.length > 0, "content", "of another hub, or without keys");
  return { backup, plaintext, blob: ev.body };
}
