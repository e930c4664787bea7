// Backups of a person (docs/protocol/recovery.md), and what is sealed like them: the keys that a login opens.

import { type Bytes, concat, equal, isZero, need, Refused, utf8 } from "./bytes.ts";
import { hash as hashType, integer, list, object, type Of, parse, string } from "./canonical.ts";
import { ed25519Public, label, open, type SealKey } from "./crypto.ts";
import { check, checkCoSignature, decode, meant } from "./event.ts";
import { keyText, parseSeed, type RecoveryCode } from "./keys.ts";

export const backupType = object({
  hub: string, account: string, handle: string, identity: string, xkeys: list(string), device: string, seq: integer, head: hashType,
  catalogs: list(object({ name: string, id: string, dir: string })),
});

/** Backup is everything that makes a person: seeds of the identity and of the xkeys, the newest first. */
export type Backup = Of<typeof backupType>;

export const maxBlob = 64 << 10;

export const backupData = (hub: string, recoveryKey: Uint8Array): Bytes => concat(label("recovery"), utf8(hub), Uint8Array.of(0), recoveryKey);

/** readBackup opens a blob and refuses a backup that is not one person's, who is the author. */
export async function readBackup(hub: string, author: Uint8Array, key: SealKey, blob: Uint8Array, data: Uint8Array): Promise<{ backup: Backup; plaintext: Bytes }> {
  need(blob.length <= maxBlob, "malformed", "too long for a backup");
  const plaintext = await open(key, blob, data);
  const backup = parse(backupType, plaintext);
  let identity: Uint8Array;
  try {
    identity = await ed25519Public(parseSeed("A", backup.identity));
  } catch {
    throw new Refused("content", "no identity");
  }
  need(equal(identity, author) && backup.account === keyText("A", identity), "content", "of somebody else");
  need(backup.hub === hub && backup.xkeys.length > 0, "content", "of another hub, or without keys");
  return { backup, plaintext };
}

/** openBackup judges a backup and opens it with its code. */
export async function openBackup(hub: string, code: Pick<RecoveryCode, "seed" | "wrap">, data: Uint8Array) {
  const ev = decode(data);
  const key = await ed25519Public(code.seed);
  meant(ev, "recovery.put", `recovery.${keyText("U", key)}`, hub);
  await check(ev);
  await checkCoSignature(ev, key);
  need(equal(ev.device, ev.author), "signature", "not signed by the identity itself");
  need(ev.seq === 0n && isZero(ev.epoch) && ev.notAfter === 0n && ev.body.length <= maxBlob, "malformed", "not a backup");
  return { ...(await readBackup(hub, ev.author, code.wrap, ev.body, backupData(hub, key))), blob: ev.body };
}
