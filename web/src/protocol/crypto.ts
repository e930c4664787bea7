// What WebCrypto gives, in the shapes of docs/protocol: it is the same in Node and in a browser. A secret is bytes while it is
// made or handed on, and otherwise a CryptoKey that no script can read.

import { type Bytes, concat, own, random, Refused, u16, utf8 } from "./bytes.ts";

const subtle = globalThis.crypto.subtle;

/** hash is H: SHA-256. */
export async function hash(...parts: Uint8Array[]): Promise<Bytes> {
  const data = parts.length === 1 ? own(parts[0]!) : concat(...parts);
  return new Uint8Array(await subtle.digest("SHA-256", data));
}

/** label is what separates the statements of a kind from all others. */
export const label = (kind: string): Bytes => concat(Uint8Array.of(0xff), utf8(`keyhall/${kind}/v1`), Uint8Array.of(0));

async function hmac(key: Uint8Array, ...parts: Uint8Array[]): Promise<Bytes> {
  const bytes = key.length === 0 ? new Uint8Array(32) : own(key); // the same to HMAC; WebCrypto wants a key
  const imported = await subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, concat(...parts)));
}

const extract = (salt: Uint8Array, secret: Uint8Array) => hmac(salt, secret);

/** expand gives at most 32 bytes. */
const expand = async (key: Uint8Array, info: Uint8Array, length: number) => (await hmac(key, info, Uint8Array.of(1))).slice(0, length);

const hkdfParameters = (salt: Uint8Array, info: Uint8Array) => ({ name: "HKDF", hash: "SHA-256", salt: own(salt), info: own(info) });
const hkdfSecret = (secret: Uint8Array) => subtle.importKey("raw", own(secret), "HKDF", false, ["deriveBits", "deriveKey"]);

/** hkdf is HKDF-SHA256 of 32 bytes. */
export async function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await subtle.deriveBits(hkdfParameters(salt, info), await hkdfSecret(secret), 256));
}

/** hkdfKey is hkdf for a key that seals and opens, and that nobody sees. */
export async function hkdfKey(secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Promise<CryptoKey> {
  return subtle.deriveKey(hkdfParameters(salt, info), await hkdfSecret(secret), { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/** SealKey seals and opens: 32 bytes, or a key that nobody sees. */
export type SealKey = Uint8Array | CryptoKey;

/** sealKey makes of 32 bytes a key that nobody sees. */
export async function sealKey(key: SealKey): Promise<CryptoKey> {
  if (!(key instanceof Uint8Array)) return key;
  return subtle.importKey("raw", own(key), "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** seal is nonce ‖ AES-256-GCM. */
export async function seal(key: SealKey, nonce: Uint8Array, plaintext: Uint8Array, data: Uint8Array): Promise<Bytes> {
  const parameters = { name: "AES-GCM", iv: own(nonce), additionalData: own(data) };
  return concat(nonce, new Uint8Array(await subtle.encrypt(parameters, await sealKey(key), own(plaintext))));
}

/** open opens what seal sealed; any failure is refused as sealed. */
export async function open(key: SealKey, box: Uint8Array, data: Uint8Array): Promise<Bytes> {
  if (box.length < 12 + 16) throw new Refused("sealed", "too short to be sealed");
  const parameters = { name: "AES-GCM", iv: own(box.subarray(0, 12)), additionalData: own(data) };
  try {
    return new Uint8Array(await subtle.decrypt(parameters, await sealKey(key), own(box.subarray(12))));
  } catch {
    throw new Refused("sealed", "does not open");
  }
}

const pkcs8 = (oid: number, secret: Uint8Array) =>
  concat(Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, oid, 0x04, 0x22, 0x04, 0x20), secret);

/** x25519Key is the key of a scalar. */
export const x25519Key = (secret: Uint8Array, extractable = false): Promise<CryptoKey> =>
  subtle.importKey("pkcs8", pkcs8(0x6e, secret), "X25519", extractable, ["deriveBits"]);

/** Wrapped is a secret key under another one. */
export interface Wrapped {
  iv: Bytes;
  sealed: Bytes;
}

/** wrapX25519 puts a scalar under a new key, which unwraps it and cannot be exported. */
export async function wrapX25519(secret: Uint8Array): Promise<{ key: CryptoKey; wrapped: Wrapped }> {
  const key = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "unwrapKey"]);
  const iv = random(12);
  return { key, wrapped: { iv, sealed: new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv }, key, pkcs8(0x6e, secret))) } };
}

/** unwrapX25519 gives the key, which cannot be exported either. */
export const unwrapX25519 = (key: CryptoKey, { iv, sealed }: Wrapped): Promise<CryptoKey> =>
  subtle.unwrapKey("pkcs8", sealed, key, { name: "AES-GCM", iv }, "X25519", false, ["deriveBits"]);

/** x25519 is the shared secret; a public key of small order gives none. */
export async function x25519(secret: Uint8Array | CryptoKey, publicKey: Uint8Array): Promise<Bytes> {
  try {
    const other = await subtle.importKey("raw", own(publicKey), "X25519", true, []);
    const ours = secret instanceof Uint8Array ? await x25519Key(secret) : secret;
    const bytes = new Uint8Array(await subtle.deriveBits({ name: "X25519", public: other }, ours, 256));
    if (bytes.every((byte) => byte === 0)) throw new Refused("key");
    return bytes;
  } catch {
    throw new Refused("key", "a key of small order");
  }
}

/** x25519Public is the public key of a scalar. */
export async function x25519Public(secret: Uint8Array | CryptoKey): Promise<Bytes> {
  const basePoint = new Uint8Array(32);
  basePoint[0] = 9;
  return x25519(secret, basePoint);
}

/** ed25519Key is the key of a seed. */
export const ed25519Key = (seed: Uint8Array, extractable = false): Promise<CryptoKey> =>
  subtle.importKey("pkcs8", pkcs8(0x70, seed), "Ed25519", extractable, ["sign"]);

export async function ed25519Public(seed: Uint8Array): Promise<Bytes> {
  const { x } = await subtle.exportKey("jwk", await ed25519Key(seed, true));
  return Uint8Array.from(atob(x!.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

export async function sign(key: Uint8Array | CryptoKey, message: Uint8Array): Promise<Bytes> {
  const signing = key instanceof Uint8Array ? await ed25519Key(key) : key;
  return new Uint8Array(await subtle.sign("Ed25519", signing, own(message)));
}

// HPKE (RFC 9180), base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

const version = utf8("HPKE-v1");
const kem = concat(utf8("KEM"), u16(0x0020));
const suite = concat(utf8("HPKE"), u16(0x0020), u16(0x0001), u16(0x0002));
const none = new Uint8Array(0);

const labeledExtract = (id: Uint8Array, salt: Uint8Array, name: string, secret: Uint8Array) => extract(salt, concat(version, id, utf8(name), secret));

const labeledExpand = (id: Uint8Array, key: Uint8Array, name: string, info: Uint8Array, length: number) =>
  expand(key, concat(u16(length), version, id, utf8(name), info), length);

async function schedule(shared: Uint8Array, enc: Uint8Array, recipient: Uint8Array, info: Uint8Array) {
  const prk = await labeledExtract(kem, none, "eae_prk", shared);
  const sharedSecret = await labeledExpand(kem, prk, "shared_secret", concat(enc, recipient), 32);
  const context = concat(
    Uint8Array.of(0), // base mode
    await labeledExtract(suite, none, "psk_id_hash", none),
    await labeledExtract(suite, none, "info_hash", info),
  );
  const secret = await labeledExtract(suite, sharedSecret, "secret", none);
  return {
    sharedSecret,
    key: await labeledExpand(suite, secret, "key", context, 32),
    baseNonce: await labeledExpand(suite, secret, "base_nonce", context, 12),
  };
}

const boxInfo = (purpose: string, context: Uint8Array) => concat(label("box"), utf8(purpose), Uint8Array.of(0), context);

/** box seals for a public xkey; ephemeral is the sender's scalar, random but for a vector. */
export async function box(recipient: Uint8Array, purpose: string, context: Uint8Array, plaintext: Uint8Array, ephemeral: Uint8Array = random(32)) {
  const enc = await x25519Public(ephemeral);
  const keys = await schedule(await x25519(ephemeral, recipient), enc, recipient, boxInfo(purpose, context));
  const sealed = await seal(keys.key, keys.baseNonce, plaintext, none);
  return { ...keys, enc, box: concat(enc, sealed.subarray(12)) };
}

/** unbox opens what was sealed to the xkey with this scalar; any failure is refused as box. */
export async function unbox(secret: Uint8Array | CryptoKey, purpose: string, context: Uint8Array, sealed: Uint8Array): Promise<Bytes> {
  if (sealed.length < 32 + 16) throw new Refused("box", "too short for a box");
  const enc = sealed.subarray(0, 32);
  try {
    const keys = await schedule(await x25519(secret, enc), enc, await x25519Public(secret), boxInfo(purpose, context));
    return await open(keys.key, concat(keys.baseNonce, sealed.subarray(32)), none);
  } catch {
    throw new Refused("box", "the box does not open");
  }
}
