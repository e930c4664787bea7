// The sealed backup that a recovery code opens (docs/protocol/recovery.md), made, put and fetched.

import { connectGuest } from "../hub/wire.ts";
import { Problem } from "../model.ts";
import type { Account, Hub } from "../ports.ts";
import { base64, equal, random, type Bytes } from "../protocol/bytes.ts";
import { encode } from "../protocol/canonical.ts";
import { seal } from "../protocol/crypto.ts";
import { type By, encode as compact, makeEvent } from "../protocol/event.ts";
import { parseRecovery, type RecoveryCode } from "../protocol/keys.ts";
import { backupData, type Backup, backupType, maxBlob, openBackup } from "../protocol/recovery.ts";
import { signerFromSeed } from "./signers.ts";

const skew = 10 * 60 * 1000;

/** sealedBackup is the event that leaves a backup at the hub; identity is whose it is. */
export async function sealedBackup(hub: Pick<Hub, "id">, identity: By, code: RecoveryCode, backup: Backup, at: number): Promise<Bytes> {
  const recovery = await signerFromSeed("U", code.seed);
  const blob = await seal(code.wrap, random(12), encode(backupType, backup), backupData(hub.id, recovery.raw));
  if (blob.length > maxBlob) throw new Problem("too-large", "You have too many catalogs for one backup.");
  const draft = { author: identity.raw, type: "recovery.put", subject: `recovery.${recovery.text}`, audience: hub.id, time: BigInt(at) };
  return compact(await makeEvent(draft, blob, identity, { co: recovery }));
}

/** after is a time for something that replaces what was made before, by clocks that may differ. */
export function after(before: Date | undefined): number {
  const now = Date.now();
  if (!before || before.getTime() < now) return now;
  if (before.getTime() > now + skew) throw new Problem("refused", "The hub says that this was made in the future; check the clocks of this device and of the hub.");
  return before.getTime() + 1;
}

/** backupMade is when the person's backup was made, as the hub says. */
export async function backupMade(account: Account): Promise<Date | undefined> {
  const { made } = await account.call<{ made?: string }>("recovery.state", {});
  const at = made ? new Date(made) : undefined;
  return at && at.getFullYear() > 1 ? at : undefined; // the zero time is none
}

/** putBackup leaves a backup under a code; one that was there is replaced. */
export async function putBackup(account: Account, code: RecoveryCode, backup: Backup): Promise<void> {
  const { identity } = account.keys;
  if (!identity) throw new Problem("refused", "Only a device that holds your identity can make a backup.");
  const at = after(await backupMade(account));
  await account.send("recovery.put", await sealedBackup(account.hub, identity, code, backup, at));
}

/** readCode reads a recovery code and refuses one of another hub. */
export async function readCode(hub: Hub, text: string): Promise<RecoveryCode> {
  let code: RecoveryCode;
  try {
    code = await parseRecovery(text);
  } catch {
    throw new Problem("malformed", "This is not a recovery code, or not all of it: it begins with kr- and has eight groups of eight characters.");
  }
  if (!equal(code.hub, hub.fingerprint)) throw new Problem("refused", "This recovery code is for another hub; nothing was sent to this one.");
  return code;
}

/** fetchBackup gets the backup of a code and opens it. */
export async function fetchBackup(hub: Hub, code: RecoveryCode): Promise<Backup> {
  const key = await signerFromSeed("U", code.seed);
  let answer: { event: string };
  try {
    const wire = await connectGuest(hub, "recover", key);
    try {
      answer = JSON.parse(new TextDecoder().decode(await wire.request(`recovery.${key.text}.get`, "{}"))) as { event: string };
    } finally {
      void wire.close();
    }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "refused") throw error;
    throw new Problem("not-found", "The hub has no backup for this code: a newer code may have taken its place, and that is the one you need.");
  }
  try {
    return (await openBackup(hub.id, code, base64.read(answer.event, "malformed"))).backup;
  } catch {
    throw new Problem("refused", "What the hub has under this code is not your backup; ask its host.");
  }
}
