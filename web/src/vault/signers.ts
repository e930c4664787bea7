// Keys that sign and open without being seen: WebCrypto's, which IndexedDB keeps as they are.

import type { Opener, Signer } from "../ports.ts";
import { own } from "../protocol/bytes.ts";
import { ed25519Key, ed25519Public, sign, unbox, unwrapX25519, type Wrapped, wrapX25519, x25519Key, x25519Public } from "../protocol/crypto.ts";
import { type Kind, keyText } from "../protocol/keys.ts";

/** Kept is a key as a store keeps it: a structured clone, its secret half behind the CryptoKey. */
export interface Kept {
  kind: Kind;
  raw: Uint8Array;
  key: CryptoKey;
  /** wrapped: the key is not the one itself, but unwraps it, where a browser cannot clone that one. */
  wrapped?: Wrapped;
}

/** KeySigner is a Signer that can be kept. */
export class KeySigner implements Signer {
  readonly text: string;
  readonly raw: Uint8Array;

  constructor(readonly kept: Kept) {
    this.raw = kept.raw;
    this.text = keyText(kept.kind, kept.raw);
  }

  sign(message: Uint8Array): Promise<Uint8Array> {
    return sign(this.kept.key, message);
  }
}

/** KeyOpener is an Opener that can be kept. */
export class KeyOpener implements Opener {
  readonly text: string;
  readonly raw: Uint8Array;
  #key: Promise<CryptoKey> | undefined;

  constructor(readonly kept: Kept) {
    this.raw = kept.raw;
    this.text = keyText("X", kept.raw);
  }

  async open(purpose: string, context: Uint8Array, box: Uint8Array): Promise<Uint8Array> {
    const { key, wrapped } = this.kept;
    this.#key ??= wrapped ? unwrapX25519(key, wrapped) : Promise.resolve(key);
    return unbox(await this.#key, purpose, context, box);
  }
}

/** generateSigner makes a key whose seed nobody has ever seen. */
export async function generateSigner(kind: Kind): Promise<KeySigner> {
  const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return new KeySigner({ kind, raw, key: pair.privateKey });
}

/** signerFromSeed takes a seed in; whoever had it may forget it then. */
export async function signerFromSeed(kind: Kind, seed: Uint8Array): Promise<KeySigner> {
  return new KeySigner({ kind, raw: await ed25519Public(seed), key: await ed25519Key(own(seed)) });
}

/** openerFromSeed is signerFromSeed for an xkey. WebKit keeps keys of this kind in no store: there it is wrapped. */
export async function openerFromSeed(seed: Uint8Array, keeps = clones): Promise<KeyOpener> {
  const raw = await x25519Public(seed);
  const key = await x25519Key(own(seed));
  return new KeyOpener({ kind: "X", raw, ...(keeps(key) ? { key } : await wrapX25519(seed)) });
}

function clones(key: CryptoKey): boolean {
  try {
    return structuredClone(key) instanceof CryptoKey;
  } catch {
    return false;
  }
}
