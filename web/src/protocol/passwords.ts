// What a password or a passkey becomes, and the logins that it opens (docs/protocol/web.md#logins).

import { base64, base64url, type Bytes, concat, equal, hex, isZero, need, random, Refused, utf8 } from "./bytes.ts";
import { bytes, encode, hash as hashType, integer, object, type Of, optional, parse, string } from "./canonical.ts";
import { hash, hkdf, hkdfKey, label, seal, type SealKey } from "./crypto.ts";
import { type By, check, decode, type Event, makeEvent, meant } from "./event.ts";
import { fingerprint, keyText } from "./keys.ts";
import { backupType, type Backup, maxBlob, readBackup } from "./recovery.ts";

/** Cost is how dear it is to try a password: memory in KiB, and passes over it. */
export interface Cost {
  memory: number;
  passes: number;
}

/** usual is what a browser of this app asks of itself: about a second on a telephone. */
export const usual: Cost = { memory: 65536, passes: 3 };

const saltLength = 16;
const maxCredential = 1023; // bytes, as WebAuthn has it

/** checkCost refuses what a browser does not compute: too little to protect, or more than it has. */
export function checkCost({ memory, passes }: Cost): void {
  need(Number.isSafeInteger(memory) && memory >= 8192 && memory <= 1048576, "cost", "memory");
  need(Number.isSafeInteger(passes) && passes >= 1 && passes <= 16, "cost", "passes");
}

/** Salted is everything Argon2id needs. */
export interface Salted extends Cost {
  password: Uint8Array;
  salt: Uint8Array;
}

/** salted is a password as Argon2id takes it: one text, however it was typed. */
export function salted(password: string, salt: Uint8Array, cost: Cost): Salted {
  checkCost(cost);
  need(salt.length === saltLength, "malformed", "salt");
  need(password.isWellFormed(), "malformed", "password");
  return { password: utf8(password.normalize("NFKC")), salt, memory: cost.memory, passes: cost.passes };
}

export const newSalt = (): Bytes => random(saltLength);

/** PasswordSecrets are what a password's master becomes: the hub gets the verifier, and never the wrapping key. */
export interface PasswordSecrets {
  verifier: Bytes;
  wrapping: CryptoKey;
}

export async function passwordSecrets(master: Uint8Array, hub: string): Promise<PasswordSecrets> {
  const salt = await fingerprint(hub);
  const verifier = await hkdf(master, salt, label("password-verifier"));
  return { verifier, wrapping: await hkdfKey(master, salt, label("password-wrap")) };
}

/** passkeyInput is what a passkey's PRF is asked. */
export const passkeyInput: Bytes = label("passkey");

/** passkeyWrapping is the key that the output of the PRF becomes. */
export const passkeyWrapping = async (output: Uint8Array, hub: string): Promise<CryptoKey> => hkdfKey(output, await fingerprint(hub), label("passkey-wrap"));

const passwordType = object({ salt: bytes, memory: integer, passes: integer, verifier: hashType, blob: bytes });
const passkeyType = object({ credential: string, blob: bytes });
const removeType = object({ credential: optional(string) });

export const passwordData = (hub: string, author: Uint8Array) => concat(label("password"), utf8(hub), Uint8Array.of(0), author);
export const passkeyData = (hub: string, author: Uint8Array, credential: Uint8Array) =>
  concat(label("passkey"), utf8(hub), Uint8Array.of(0), author, credential);

const draftOf = (type: string, hub: string, identity: By, now: number) =>
  ({ type, author: identity.raw, subject: `login.${keyText("A", identity.raw)}`, audience: hub, time: BigInt(now) });

const sealBackup = (backup: Backup, key: SealKey, data: Uint8Array) => seal(key, random(12), encode(backupType, backup), data);

/** makePasswordLogin signs a login by password; identity is whose it is. */
export async function makePasswordLogin(hub: string, identity: By, salt: Uint8Array, cost: Cost, secrets: PasswordSecrets, backup: Backup, now: number): Promise<Event> {
  const blob = await sealBackup(backup, secrets.wrapping, passwordData(hub, identity.raw));
  const verifier = hex(await hash(secrets.verifier));
  const body = { salt: base64.write(salt), memory: cost.memory, passes: cost.passes, verifier, blob: base64.write(blob) };
  return makeEvent(draftOf("login.password", hub, identity, now), encode(passwordType, body), identity);
}

/** makePasskeyLogin signs a login by a passkey with PRF. */
export async function makePasskeyLogin(hub: string, identity: By, credential: Uint8Array, wrapping: SealKey, backup: Backup, now: number): Promise<Event> {
  const blob = await sealBackup(backup, wrapping, passkeyData(hub, identity.raw, credential));
  const body = { credential: base64url.write(credential), blob: base64.write(blob) };
  return makeEvent(draftOf("login.passkey", hub, identity, now), encode(passkeyType, body), identity);
}

/** makeLoginRemoval signs that the password, or a passkey's blob, is taken away. */
export async function makeLoginRemoval(hub: string, identity: By, credential: Uint8Array | undefined, now: number): Promise<Event> {
  const body: Of<typeof removeType> = credential ? { credential: base64url.write(credential) } : {};
  return makeEvent(draftOf("login.remove", hub, identity, now), encode(removeType, body), identity);
}

/** Login is what a login event says: one of the three. */
export type Login =
  | { type: "login.password"; salt: Bytes; memory: number; passes: number; blob: Bytes }
  | { type: "login.passkey"; credential: string; blob: Bytes }
  | { type: "login.remove"; credential?: string };

/** readLogin refuses a login event that its author did not sign for this hub, or that cannot be. */
export async function readLogin(hub: string, data: Uint8Array): Promise<{ ev: Event; login: Login }> {
  const ev = decode(data);
  meant(ev, ev.type, `login.${keyText("A", ev.author)}`, hub);
  await check(ev);
  need(equal(ev.device, ev.author), "signature", "not signed by the identity itself");
  need(ev.seq === 0n && isZero(ev.epoch) && ev.notAfter === 0n, "malformed", "not a login");
  return { ev, login: loginOf(ev) };
}

function loginOf(ev: Event): Login {
  if (ev.type === "login.password") {
    const { salt, verifier: _, blob, ...cost } = parse(passwordType, ev.body, "malformed");
    const read = { salt: base64.read(salt, "malformed"), blob: blobOf(blob) };
    need(read.salt.length === saltLength, "malformed", "salt");
    asMalformed(() => checkCost(cost));
    return { type: ev.type, ...cost, ...read };
  }
  if (ev.type === "login.passkey") {
    const { credential, blob } = parse(passkeyType, ev.body, "malformed");
    checkCredential(credential);
    return { type: ev.type, credential, blob: blobOf(blob) };
  }
  need(ev.type === "login.remove", "not-meant", "another type");
  const { credential } = parse(removeType, ev.body, "malformed");
  if (credential === undefined) return { type: ev.type };
  checkCredential(credential);
  return { type: ev.type, credential };
}

function asMalformed(judge: () => void): void {
  try {
    judge();
  } catch (error) {
    throw error instanceof Refused ? new Refused("malformed", error.message) : error;
  }
}

function checkCredential(said: string): void {
  const { length } = base64url.read(said, "malformed");
  need(length > 0 && length <= maxCredential, "malformed", "credential");
}

function blobOf(said: string): Bytes {
  const blob = base64.read(said, "malformed");
  need(blob.length >= 28 && blob.length <= maxBlob, "malformed", "no backup");
  return blob;
}

/** openPasswordLogin judges a login by password and opens the backup in it. */
export async function openPasswordLogin(hub: string, wrapping: SealKey, data: Uint8Array): Promise<Backup> {
  const { ev, login } = await readLogin(hub, data);
  need(login.type === "login.password", "not-meant", "no password");
  return (await readBackup(hub, ev.author, wrapping, login.blob, passwordData(hub, ev.author))).backup;
}

/** openPasskeyLogin judges a login by a passkey and opens the backup in it. */
export async function openPasskeyLogin(hub: string, wrapping: SealKey, credential: Uint8Array, data: Uint8Array): Promise<Backup> {
  const { ev, login } = await readLogin(hub, data);
  need(login.type === "login.passkey" && login.credential === base64url.write(credential), "not-meant", "of another passkey");
  return (await readBackup(hub, ev.author, wrapping, login.blob, passkeyData(hub, ev.author, credential))).backup;
}
