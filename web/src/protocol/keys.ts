// Keys in their text form, ids, and the codes that people type (docs/protocol/keys.md, recovery.md).

import { base32, base32Upper, type Bytes, compare, concat, equal, need, random, utf8 } from "./bytes.ts";
import { ed25519Public, hash, hkdf, label, x25519 } from "./crypto.ts";

/** Kind is what a key is of: operator, account, user (a device, an invite, a recovery code) or xkey. */
export type Kind = "O" | "A" | "U" | "X";

const prefixes: Record<Kind, number> = { O: 14 << 3, A: 0, U: 20 << 3, X: 23 << 3 };
const seedPrefix = 18 << 3;

function checksum(bytes: Uint8Array): Bytes {
  let crc = 0; // CRC-16/XMODEM
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
  }
  return Uint8Array.of(crc & 0xff, crc >> 8);
}

const summed = (bytes: Uint8Array) => concat(bytes, checksum(bytes));

/** keyText is the text of a raw key of a kind. */
export const keyText = (kind: Kind, raw: Uint8Array): string => base32Upper.write(summed(concat(Uint8Array.of(prefixes[kind]), raw)));

/** parseKey reads the text of a key of a kind (O, A, U or X). */
export function parseKey(kind: Kind, text: string): Bytes {
  const raw = base32Upper.read(text, "key");
  need(raw.length === 35 && raw[0] === prefixes[kind], "key", `not a key of kind ${kind}`);
  need(equal(checksum(raw.subarray(0, 33)), raw.subarray(33)), "key", "checksum");
  return raw.slice(1, 33);
}

/** parseXKey reads a public xkey to which something can be sealed. */
export async function parseXKey(text: string): Promise<Bytes> {
  const raw = parseKey("X", text);
  await x25519(new Uint8Array(32).fill(1), raw);
  return raw;
}

/** seedText is the text of a seed of a kind. */
export function seedText(kind: Kind, seed: Uint8Array): string {
  const prefix = prefixes[kind];
  return base32Upper.write(summed(concat(Uint8Array.of(seedPrefix | (prefix >> 5), (prefix & 31) << 3), seed)));
}

/** parseSeed reads the text of a seed of a kind. */
export function parseSeed(kind: Kind, text: string): Bytes {
  const raw = base32Upper.read(text, "key");
  need(raw.length === 36 && text === seedText(kind, raw.subarray(2, 34)), "key", `not a seed of kind ${kind}`);
  return raw.slice(2, 34);
}

/** parseID reads the 26 characters of an id. */
export function parseID(text: string): Bytes {
  const raw = base32.read(text, "id");
  need(raw.length === 16, "id", "length");
  return raw;
}

export const formatID = (raw: Uint8Array): string => base32.write(raw);

/** newRandomID draws an id. */
export const newRandomID = (): string => formatID(random(16));

/** fingerprint is what codes carry of a hub. */
export const fingerprint = async (hub: string): Promise<Bytes> => (await hash(utf8(hub))).slice(0, 16);

/** plain is a code as it was meant: without case, dashes and white space. */
export function plain(code: string): string {
  need(utf8(code).length <= 1024, "code", "too long");
  return code.toLowerCase().replace(/[\p{White_Space}-]/gu, "");
}

/** grouped writes a code: its prefix and groups of so many characters. */
export const grouped = (prefix: string, raw: Uint8Array, size = 8): string =>
  [prefix, ...base32.write(raw).match(new RegExp(`.{1,${size}}`, "g"))!].join("-");

async function read(code: string, prefix: string, length: number, check: number): Promise<Bytes> {
  const text = plain(code);
  need(text.startsWith(prefix), "code", "prefix");
  const raw = base32.read(text.slice(prefix.length), "code");
  need(raw.length === length + check, "code", "length");
  const sum = await hash(raw.subarray(0, length));
  need(equal(sum.subarray(0, check), raw.subarray(length)), "code", "check");
  need(raw[0] === 1, "code", "version");
  return raw;
}

const withCheck = async (raw: Uint8Array, check: number) => concat(raw, (await hash(raw)).subarray(0, check));

/** Invite is an invite code: seed and key are those of the invite key. */
export interface Invite {
  hub: Bytes;
  inviter: Bytes;
  secret: Bytes;
  raw: Bytes;
  seed: Bytes;
  key: string;
  code: string;
}

/** parseInvite reads an invite code. */
export async function parseInvite(code: string): Promise<Invite> {
  const raw = await read(code, "kh", 65, 4);
  const [hub, inviter, secret] = [raw.slice(1, 17), raw.slice(17, 49), raw.slice(49, 65)];
  const seed = await hkdf(secret, hub, label("invite"));
  return { hub, inviter, secret, raw, seed, key: keyText("U", await ed25519Public(seed)), code: grouped("kh", raw) };
}

/** makeInvite draws an invite of an inviter for the hub with this fingerprint. */
export async function makeInvite(hub: Uint8Array, inviter: Uint8Array): Promise<Invite> {
  const raw = await withCheck(concat(Uint8Array.of(1), hub, inviter, random(16)), 4);
  return parseInvite(grouped("kh", raw));
}

/** RecoveryCode is a recovery code: seed and key are those of the recovery key, wrap opens the backup. */
export interface RecoveryCode {
  hub: Bytes;
  secret: Bytes;
  raw: Bytes;
  seed: Bytes;
  wrap: Bytes;
  key: string;
  code: string;
}

/** parseRecovery reads a recovery code. */
export async function parseRecovery(code: string): Promise<RecoveryCode> {
  const raw = await read(code, "kr", 37, 3);
  const [hub, secret] = [raw.slice(1, 17), raw.slice(17, 37)];
  const seed = await hkdf(secret, hub, label("recovery-key"));
  const wrap = await hkdf(secret, hub, label("recovery-wrap"));
  return { hub, secret, raw, seed, wrap, key: keyText("U", await ed25519Public(seed)), code: grouped("kr", raw) };
}

/** makeRecovery draws a recovery code for the hub with this fingerprint. */
export async function makeRecovery(hub: Uint8Array): Promise<RecoveryCode> {
  const raw = await withCheck(concat(Uint8Array.of(1), hub, random(20)), 3);
  return parseRecovery(grouped("kr", raw));
}

/** wordsOf are the words that the first bits of a hash choose, eleven at a time. */
export function wordsOf(list: readonly string[], sum: Uint8Array, count: number): string {
  let bits = 0n;
  const length = Math.ceil((11 * count) / 8);
  for (const byte of sum.subarray(0, length)) bits = (bits << 8n) | BigInt(byte);
  bits >>= BigInt(8 * length - 11 * count);
  const chosen: string[] = [];
  for (let i = count - 1; i >= 0; i--) chosen.push(list[Number((bits >> BigInt(11 * i)) & 2047n)]!);
  return chosen.join(" ");
}

/** words are the fingerprint words of two people, by the list of BIP-39. */
export async function words(list: readonly string[], hub: string, a: Uint8Array, b: Uint8Array) {
  const [low, high] = compare(a, b) <= 0 ? [a, b] : [b, a];
  const statement = concat(label("words"), utf8(hub), Uint8Array.of(0), low, high);
  const sum = await hash(statement);
  return { statement, sum, words: wordsOf(list, sum, 8) };
}
