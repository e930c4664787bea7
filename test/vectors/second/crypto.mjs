// What WebCrypto gives, in the shapes of docs/protocol: it is the same in Node and in a browser.

import { concat, Refused, u16, utf8 } from "./bytes.mjs";

const subtle = globalThis.crypto.subtle;

/** hash is H: SHA-256. */
export async function hash(...parts) {
  return new Uint8Array(await subtle.digest("SHA-256", concat(...parts)));
}

/** label is what separates the statements of a kind from all others. */
export const label = (kind) => concat(Uint8Array.of(0xff), utf8(`keyhall/${kind}/v1`), Uint8Array.of(0));

async function hmac(key, ...parts) {
  const bytes = key.length === 0 ? new Uint8Array(32) : key; // the same to HMAC; WebCrypto wants a key
  const imported = await subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, concat(...parts)));
}

const extract = (salt, secret) => hmac(salt, secret);

/** expand gives at most 32 bytes. */
const expand = async (key, info, length) => (await hmac(key, info, Uint8Array.of(1))).slice(0, length);

/** hkdf is HKDF-SHA256 of 32 bytes. */
export async function hkdf(secret, salt, info) {
  return expand(await extract(salt, secret), info, 32);
}

async function gcm(key, usage) {
  return subtle.importKey("raw", key, "AES-GCM", false, [usage]);
}

/** seal is nonce ‖ AES-256-GCM. */
export async function seal(key, nonce, plaintext, data) {
  const sealed = await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: data }, await gcm(key, "encrypt"), plaintext);
  return concat(nonce, new Uint8Array(sealed));
}

/** open opens what seal sealed; any failure is refused as sealed. */
export async function open(key, box, data) {
  if (box.length < 12 + 16) throw new Refused("sealed", "too short to be sealed");
  const parameters = { name: "AES-GCM", iv: box.subarray(0, 12), additionalData: data };
  try {
    return new Uint8Array(await subtle.decrypt(parameters, await gcm(key, "decrypt"), box.subarray(12)));
  } catch {
    throw new Refused("sealed", "does not open");
  }
}

const pkcs8 = (oid, secret) =>
  concat(Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, oid, 0x04, 0x22, 0x04, 0x20), secret);

const importX25519 = (secret) => subtle.importKey("pkcs8", pkcs8(0x6e, secret), "X25519", true, ["deriveBits"]);

/** x25519 is the shared secret; a public key of small order gives none. */
export async function x25519(secret, publicKey) {
  try {
    const other = await subtle.importKey("raw", publicKey, "X25519", true, []);
    const shared = await subtle.deriveBits({ name: "X25519", public: other }, await importX25519(secret), 256);
    const bytes = new Uint8Array(shared);
    if (bytes.every((byte) => byte === 0)) throw new Refused("key");
    return bytes;
  } catch {
    throw new Refused("key", "a key of small order");
  }
}

/** x25519Public is the public key of a scalar. */
export async function x25519Public(secret) {
  const basePoint = new Uint8Array(32);
  basePoint[0] = 9;
  return x25519(secret, basePoint);
}

export async function ed25519Key(seed) {
  return subtle.importKey("pkcs8", pkcs8(0x70, seed), "Ed25519", true, ["sign"]);
}

export async function ed25519Public(seed) {
  const { x } = await subtle.exportKey("jwk", await ed25519Key(seed));
  return Uint8Array.from(atob(x.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

export async function sign(seed, message) {
  return new Uint8Array(await subtle.sign("Ed25519", await ed25519Key(seed), message));
}

// HPKE (RFC 9180), base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

const version = utf8("HPKE-v1");
const kem = concat(utf8("KEM"), u16(0x0020));
const suite = concat(utf8("HPKE"), u16(0x0020), u16(0x0001), u16(0x0002));
const none = new Uint8Array(0);

const labeledExtract = (id, salt, name, secret) => extract(salt, concat(version, id, utf8(name), secret));
const labeledExpand = (id, key, name, info, length) => expand(key, concat(u16(length), version, id, utf8(name), info), length);

async function schedule(shared, enc, recipient, info) {
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

const boxInfo = (purpose, context) => concat(label("box"), utf8(purpose), Uint8Array.of(0), context);

/** box seals for a public xkey; ephemeral is the sender's scalar, random but for a vector. */
export async function box(recipient, purpose, context, plaintext, ephemeral) {
  const enc = await x25519Public(ephemeral);
  const keys = await schedule(await x25519(ephemeral, recipient), enc, recipient, boxInfo(purpose, context));
  const sealed = await seal(keys.key, keys.baseNonce, plaintext, none);
  return { ...keys, enc, box: concat(enc, sealed.subarray(12)) };
}

/** unbox opens what was sealed to the xkey with this scalar; any failure is refused as box. */
export async function unbox(secret, purpose, context, sealed) {
  if (sealed.length < 32 + 16) throw new Refused("box", "too short for a box");
  const enc = sealed.subarray(0, 32);
  try {
    const keys = await schedule(await x25519(secret, enc), enc, await x25519Public(secret), boxInfo(purpose, context));
    return await open(keys.key, concat(keys.baseNonce, sealed.subarray(32)), none);
  } catch {
    throw new Refused("box", "the box does not open");
  }
}

