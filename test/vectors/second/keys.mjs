// Keys in their text form, ids, and the codes that people type (docs/protocol/keys.md, recovery.md).

import { base32, base32Upper, concat, equal, need, utf8 } from "./bytes.mjs";
import { ed25519Public, hash, hkdf, label, x25519 } from "./crypto.mjs";

const prefixes = { O: 14 << 3, A: 0, U: 20 << 3, X: 23 << 3 };
const seedPrefix = 18 << 3;

function checksum(bytes) {
  let crc = 0; // CRC-16/XMODEM
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
  }
  return Uint8Array.of(crc & 0xff, crc >> 8);
}

const summed = (bytes) => concat(bytes, checksum(bytes));

/** keyText is the text of a raw key of a kind. */
export const keyText = (kind, raw) => base32Upper.write(summed(concat(Uint8Array.of(prefixes[kind]), raw)));

/** parseKey reads the text of a key of a kind (O, A, U or X). */
export function parseKey(kind, text) {
  const raw = base32Upper.read(text, "key");
  need(raw.length === 35 && raw[0] === prefixes[kind], "key", `not a key of kind ${kind}`);
  need(equal(checksum(raw.subarray(0, 33)), raw.subarray(33)), "key", "checksum");
  return raw.slice(1, 33);
}

/** parseXKey reads a public xkey to which something can be sealed. */
export async function parseXKey(text) {
  const raw = parseKey("X", text);
  await x25519(new Uint8Array(32).fill(1), raw);
  return raw;
}

/** seedText is the text of a seed of a kind. */
export function seedText(kind, seed) {
  const prefix = prefixes[kind];
  return base32Upper.write(summed(concat(Uint8Array.of(seedPrefix | (prefix >> 5), (prefix & 31) << 3), seed)));
}

/** parseSeed reads the text of a seed of a kind. */
export function parseSeed(kind, text) {
  const raw = base32Upper.read(text, "key");
  need(raw.length === 36 && text === seedText(kind, raw.subarray(2, 34)), "key", `not a seed of kind ${kind}`);
  return raw.slice(2, 34);
}

/** parseID reads the 26 characters of an id. */
export function parseID(text) {
  const raw = base32.read(text, "id");
  need(raw.length === 16, "id", "length");
  return raw;
}

export const formatID = (raw) => base32.write(raw);

/** fingerprint is what codes carry of a hub. */
export const fingerprint = async (hub) => (await hash(utf8(hub))).slice(0, 16);

/** plain is a code as it was meant: without case, dashes and white space. */
const plain = (code) => code.toLowerCase().replace(/[\p{White_Space}-]/gu, "");

const grouped = (prefix, raw) => [prefix, ...base32.write(raw).match(/.{1,8}/g)].join("-");

async function read(code, prefix, length, check) {
  need(utf8(code).length <= 1024, "code", "too long");
  const text = plain(code);
  need(text.startsWith(prefix), "code", "prefix");
  const raw = base32.read(text.slice(prefix.length), "code");
  need(raw.length === length + check, "code", "length");
  const sum = await hash(raw.subarray(0, length));
  need(equal(sum.subarray(0, check), raw.subarray(length)), "code", "check");
  need(raw[0] === 1, "code", "version");
  return raw;
}

/** parseInvite reads an invite code. */
export async function parseInvite(code) {
  const raw = await read(code, "kh", 65, 4);
  const [hub, inviter, secret] = [raw.slice(1, 17), raw.slice(17, 49), raw.slice(49, 65)];
  const seed = await hkdf(secret, hub, label("invite"));
  return { hub, inviter, secret, raw, seed, key: keyText("U", await ed25519Public(seed)), code: grouped("kh", raw) };
}

/** parseRecovery reads a recovery code. */
export async function parseRecovery(code) {
  const raw = await read(code, "kr", 37, 3);
  const [hub, secret] = [raw.slice(1, 17), raw.slice(17, 37)];
  const seed = await hkdf(secret, hub, label("recovery-key"));
  const wrap = await hkdf(secret, hub, label("recovery-wrap"));
  return { hub, secret, raw, seed, wrap, key: keyText("U", await ed25519Public(seed)), code: grouped("kr", raw) };
}

/** words are the fingerprint words of two people, by the list of BIP-39. */
export async function words(list, hub, a, b) {
  const [low, high] = compareKeys(a, b) <= 0 ? [a, b] : [b, a];
  const statement = concat(label("words"), utf8(hub), Uint8Array.of(0), low, high);
  const sum = await hash(statement);
  let bits = 0n;
  for (const byte of sum.subarray(0, 11)) bits = (bits << 8n) | BigInt(byte);
  const chosen = [];
  for (let i = 7n; i >= 0n; i--) chosen.push(list[Number((bits >> (11n * i)) & 2047n)]);
  return { statement, sum, words: chosen.join(" ") };
}

function compareKeys(a, b) {
  for (let i = 0; i < 32; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
