// The one rule about signatures, ZIP-215 (docs/protocol/keys.md#signatures). WebCrypto is stricter: its yes is yes, its no
// is asked again here. Nothing in this file is secret.

import { Point } from "@noble/ed25519";

import { concat, own } from "./bytes.ts";

const order = Point.CURVE().n;

function little(bytes: Uint8Array): bigint {
  let out = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) out = (out << 8n) | BigInt(bytes[i]!);
  return out;
}

/** holds: S is below the order, key and R are encodings of any points, and 8SB = 8R + 8kA. */
async function holds(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const [encoded, s] = [signature.subarray(0, 32), little(signature.subarray(32))];
  if (s >= order) return false;
  const k = little(new Uint8Array(await crypto.subtle.digest("SHA-512", concat(encoded, key, message)))) % order;
  try {
    const [a, r] = [Point.fromBytes(key, true), Point.fromBytes(encoded, true)];
    return Point.BASE.multiply(s, false).subtract(r).subtract(a.multiply(k, false)).clearCofactor().is0();
  } catch {
    return false; // no point at all
  }
}

const imported = new Map<string, Promise<CryptoKey>>(); // of those who were asked about last
const mostImported = 256;

function imports(key: Uint8Array): Promise<CryptoKey> {
  const name = String.fromCharCode(...key);
  let known = imported.get(name);
  if (!known) {
    if (imported.size >= mostImported) imported.delete(imported.keys().next().value!);
    known = crypto.subtle.importKey("raw", own(key), "Ed25519", true, ["verify"]);
    imported.set(name, known);
  }
  return known;
}

async function strictly(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    return await crypto.subtle.verify("Ed25519", await imports(key), own(signature), own(message));
  } catch {
    return false; // a key that it does not know as one
  }
}

/** verify reports whether a signature of a key on a message holds. */
export async function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (key.length !== 32 || signature.length !== 64) return false;
  return (await strictly(key, message, signature)) || holds(key, message, signature);
}
