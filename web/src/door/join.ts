// Becoming a member: keys are made, the invite's holder and the identity sign the admission, and everything that brings the
// person back is at the hub, sealed, before they are in. An admission whose answer was lost is taken up by the next try.

import { connectGuest } from "../hub/wire.ts";
import { Problem } from "../model.ts";
import type { Hub } from "../ports.ts";
import { equal, hex, random, type Bytes } from "../protocol/bytes.ts";
import { written } from "../protocol/chain.ts";
import { encode, eventHash, makeEvent } from "../protocol/event.ts";
import { type Invite, keyText, makeRecovery, parseInvite, parseKey, parseRecovery, seedText } from "../protocol/keys.ts";
import { type Backup, openBackup } from "../protocol/recovery.ts";
import { generateSigner, type Kept, KeySigner, openerFromSeed, signerFromSeed } from "../vault/signers.ts";
import { backupMade, sealedBackup } from "../vault/backup.ts";
import { type Held, lock } from "../vault/held.ts";
import { handleOf, longEnough, newSecrets, type Salted, setPassword } from "../vault/logins.ts";
import { inURL } from "./code.ts";
import { arrive, type House, issue, type Progress, settle, type Visit } from "./house.ts";
import { deviceNameOf } from "./names.ts";

export interface JoinRequest {
  code: string;
  handle: string;
  password?: string;
  device: string;
}

/** Pending is a join on its way, kept until it is whole. The recovery code opens the backup in it; it goes with the rest. */
interface Pending {
  invite: string;
  handle: string;
  name: string;
  admission: Bytes;
  backup: Bytes;
  recovery: string;
  device: Kept;
  token: string;
}

/** readInvite reads an invite and refuses one of another hub. */
export async function readInvite(hub: Hub, text: string): Promise<Invite> {
  let invite: Invite;
  try {
    invite = await parseInvite(inURL(text));
  } catch {
    throw new Problem("malformed", "This is not an invite, or not all of it: it begins with kh-. Open the whole link, or copy the whole code.");
  }
  if (!equal(invite.hub, hub.fingerprint)) throw new Problem("refused", "This invite is for another hub; nothing was sent to this one.");
  return invite;
}

/** isHosts says whether the host made an invite. */
export const isHosts = (hub: Hub, invite: Invite): boolean => equal(invite.inviter, parseKey("O", hub.id));

/** join makes a person, and gives the recovery code, which is kept nowhere. */
export async function join(house: House, request: JoinRequest, progress: Progress): Promise<string> {
  const hub = await house.hub();
  const invite = await readInvite(hub, request.code);
  const handle = handleOf(request.handle);
  const name = deviceNameOf(request.device);
  if (request.password) longEnough(request.password);
  const secrets = request.password ? newSecrets(hub, request.password) : undefined;
  secrets?.catch(() => undefined); // it is awaited where it is used
  const before = await house.database.get<Pending>("pending");
  const resumed = before && (await resume(house, hub, before, progress));
  if (resumed) return finish(house, resumed, before, request.password, secrets, progress);

  const same = before?.invite === invite.key && before.handle === handle && before.name === name;
  const pending = same ? before : await prepare(house, hub, invite, handle, name, progress);
  progress("Asking to be let in");
  await admit(house, hub, invite, pending.admission);
  const by = await arrive(house, hub, await heldOf(hub, pending));
  return finish(house, by, pending, request.password, secrets, progress);
}

/** resume takes up a join whose admission went through: its keys open an account already. */
async function resume(house: House, hub: Hub, pending: Pending, progress: Progress): Promise<Visit | undefined> {
  progress("Taking up where you left off");
  try {
    return await arrive(house, hub, await heldOf(hub, pending));
  } catch (error) {
    if (error instanceof Problem && error.code === "refused") return undefined;
    throw error;
  }
}

const backupOf = async (hub: Hub, pending: Pending): Promise<Backup> => (await openBackup(hub.id, await parseRecovery(pending.recovery), pending.backup)).backup;

async function heldOf(hub: Hub, pending: Pending): Promise<Held> {
  const backup = await backupOf(hub, pending);
  return { account: backup.account, handle: pending.handle, token: pending.token, device: pending.device, ...(await lock(backup)) };
}

/** prepare makes everything that is signed or sealed: nothing is asked of the hub before it is kept here. */
async function prepare(house: House, hub: Hub, invite: Invite, handle: string, name: string, progress: Progress): Promise<Pending> {
  progress("Making your keys");
  const seeds = { identity: random(32), xkey: random(32) };
  const identity = await signerFromSeed("A", seeds.identity);
  const device = await generateSigner("U");
  const token = await issue(identity, device.text, name);
  const admission = await admissionOf(hub, invite, identity, handle, (await openerFromSeed(seeds.xkey)).text, token);
  const code = await makeRecovery(hub.fingerprint);
  const backup: Backup = {
    hub: hub.id, account: identity.text, handle, identity: seedText("A", seeds.identity), xkeys: [seedText("X", seeds.xkey)],
    device: device.text, seq: 1, head: admission.hash, catalogs: [],
  };
  const pending: Pending = {
    invite: invite.key, handle, name, admission: admission.event, backup: await sealedBackup(hub, identity, code, backup, Date.now()),
    recovery: code.code, device: device.kept, token,
  };
  await house.database.put("pending", pending);
  return pending;
}

/** admissionOf is the event by which a person begins: only inviter and joiner can have the key that co-signs. */
async function admissionOf(hub: Hub, invite: Invite, identity: KeySigner, handle: string, xkey: string, token: string): Promise<{ event: Bytes; hash: string }> {
  const key = await signerFromSeed("U", invite.seed);
  const inviter = isHosts(hub, invite) ? hub.id : keyText("A", invite.inviter);
  const body = written("person.admit", { handle, account: identity.text, xkey, device: token, invite: key.text, inviter });
  const draft = { author: identity.raw, type: "person.admit", subject: `ledger.person.${identity.text}`, audience: hub.id, seq: 1n };
  const event = await makeEvent(draft, body, identity, { co: key });
  return { event: encode(event), hash: hex(await eventHash(event)) };
}

/** admit asks as a newcomer, who may ask for nothing else. What is refused for good is forgotten. */
async function admit(house: House, hub: Hub, invite: Invite, admission: Uint8Array): Promise<void> {
  const key = await signerFromSeed("U", invite.seed);
  try {
    const wire = await connectGuest(hub, "admit", key).catch((error: unknown) => {
      if (!(error instanceof Problem) || error.code !== "refused") throw error;
      throw new Problem("expired", "This invite is used up, has expired, or was never made by anybody here; ask for a new one.");
    });
    try {
      await wire.request(`admission.${key.text}.admit`, admission, { timeout: 20_000 });
    } finally {
      void wire.close();
    }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "unavailable") await house.database.delete("pending");
    throw error;
  }
}

/** finish leaves what brings the person back at the hub, and shows them in. */
async function finish(house: House, by: Visit, pending: Pending, password: string | undefined, secrets: Promise<Salted> | undefined, progress: Progress): Promise<string> {
  const { account, book } = by;
  try {
    progress("Keeping a way back for you");
    const own = await book.me();
    const held = { ...(await heldOf(account.hub, pending)), handle: own.handle };
    await leaveBackup(by, pending);
    if (password !== undefined && secrets && account.keys.identity) {
      await setPassword(account, account.keys.identity, await backupOf(account.hub, pending), password, secrets);
    }
    await settle(house, held, by, progress);
  } catch (error) {
    await account.wire.close();
    throw error;
  }
  await house.database.delete("pending");
  return pending.recovery;
}

/** leaveBackup leaves the backup that was made with the keys, unless an earlier try did. */
async function leaveBackup({ account }: Visit, pending: Pending): Promise<void> {
  try {
    await account.send("recovery.put", pending.backup);
  } catch (error) {
    const there = error instanceof Problem && error.code !== "unavailable" && (await backupMade(account)) !== undefined;
    if (!there) throw error;
  }
}

