// What a browser holds of the person whose device it is. No script reads the secret halves: they are WebCrypto's.

import type { Keys } from "../ports.ts";
import { parseSeed } from "../protocol/keys.ts";
import type { Backup } from "../protocol/recovery.ts";
import { type Kept, KeyOpener, KeySigner, openerFromSeed, signerFromSeed } from "./signers.ts";

/** Held is kept in IndexedDB as it is. */
export interface Held {
  account: string;
  handle: string;
  token: string;
  /** fingerprint are the person's own words. */
  fingerprint?: string;
  device: Kept;
  identity?: Kept;
  /** xkeys, the newest first. */
  xkeys: Kept[];
}

/** keysOf are the keys of ports.ts. */
export function keysOf(held: Held): Keys {
  return {
    account: held.account,
    handle: held.handle,
    token: held.token,
    device: new KeySigner(held.device),
    ...(held.identity ? { identity: new KeySigner(held.identity) } : {}),
    xkeys: held.xkeys.map((kept) => new KeyOpener(kept)),
  };
}

/** lock takes the keys of a backup in: from here on they sign and open, and are not seen again. */
export async function lock(backup: Pick<Backup, "identity" | "xkeys">): Promise<{ identity: Kept; xkeys: Kept[] }> {
  const identity = await signerFromSeed("A", parseSeed("A", backup.identity));
  return { identity: identity.kept, xkeys: await lockXKeys(backup.xkeys) };
}

export async function lockXKeys(seeds: readonly string[]): Promise<Kept[]> {
  const openers = await Promise.all(seeds.map((seed) => openerFromSeed(parseSeed("X", seed))));
  return openers.map((opener) => opener.kept);
}
