// Coming back by the code on paper: each step of docs/protocol/recovery.md, in a way that can be repeated.

import { Problem } from "../model.ts";
import { random } from "../protocol/bytes.ts";
import type { PersonState } from "../protocol/chain.ts";
import { type RecoveryCode, seedText } from "../protocol/keys.ts";
import type { Backup } from "../protocol/recovery.ts";
import { renewEpochs } from "../rooms/renewal.ts";
import { fetchBackup, putBackup, readCode } from "../vault/backup.ts";
import { type Held, keysOf, lockXKeys } from "../vault/held.ts";
import { passkeys, passwordSet, removeLogin } from "../vault/logins.ts";
import { generateSigner, type Kept, KeyOpener, KeySigner } from "../vault/signers.ts";
import { comeIn, type House, type Progress, settle, type Visit } from "./house.ts";

/** Comeback is the device of a return on its way, which the next try goes on with. */
interface Comeback {
  account: string;
  device: Kept;
}

/** Recovered is what else there is to say: the name of the lost device that was ended, and what could not be done. */
export interface Recovered {
  revoked?: string;
  problems: string[];
}

export async function recover(house: House, text: string, name: string, progress: Progress): Promise<Recovered> {
  const hub = await house.hub();
  const code = await readCode(hub, text);
  progress("Fetching your backup");
  const backup = await fetchBackup(hub, code);
  const { held, by, person } = await comeIn(house, backup, name, progress, { device: await deviceFor(house, backup.account), older: true });
  try {
    progress("Ending the lost device");
    const revoked = await revokeLost(by, person, backup.device);
    progress("Renewing your keys");
    const fresh = await renewXKey(held, by, code, backup);
    progress("Renewing the keys of your rooms");
    const problems = await renewEpochs(by.account, by.book, by.store);
    problems.push(...(await forgetPassword(by)));
    await settle(house, fresh, by, progress);
    await house.database.delete("comeback");
    problems.push(...(await forgetPasskeys(by)));
    return { ...(revoked === undefined ? {} : { revoked }), problems };
  } catch (error) {
    await by.account.wire.close();
    throw unfinished(error);
  }
}

const unfinished = (error: unknown): unknown =>
  error instanceof Problem ? new Problem(error.code, `You are nearly back, but not everything is done: ${error.message} Enter the same code again.`) : error;

/** deviceFor is the device of an earlier try for the same person, or a new one. */
async function deviceFor(house: House, account: string): Promise<KeySigner> {
  const before = await house.database.get<Comeback>("comeback");
  if (before?.account === account) return new KeySigner(before.device);
  const device = await generateSigner("U");
  await house.database.put("comeback", { account, device: device.kept } satisfies Comeback);
  return device;
}

/** revokeLost ends the device that made the backup, and says its name; undefined where it was ended before. */
async function revokeLost({ account, book }: Visit, person: PersonState, lost: string): Promise<string | undefined> {
  const fact = person.devices[lost];
  if (!fact || fact.revoked !== 0 || lost === account.keys.device.text) return undefined;
  await book.append("people", "person.revoke", () => ({ device: lost }), account.keys.identity);
  return fact.name;
}

/**
 * renewXKey replaces the person's xkey, of which the lost device has the seed. The new one is in the backup before anybody
 * seals to it. One in front of the backup that the chain has never had is an earlier try's.
 */
async function renewXKey(held: Held, { account, book }: Visit, code: RecoveryCode, backup: Backup): Promise<Held> {
  let person = await book.me();
  const before = new Set(person.xkeys.map(({ xkey }) => xkey));
  const first = held.xkeys[0];
  const made = first !== undefined && !before.has(new KeyOpener(first).text);
  const seeds = made ? backup.xkeys : [seedText("X", random(32)), ...backup.xkeys];
  const xkeys = await lockXKeys(seeds);
  const fresh = { ...held, xkeys };
  account.renew(keysOf(fresh));
  person = await book.me();
  const now: Backup = { ...backup, handle: person.handle, xkeys: seeds, device: account.keys.device.text, seq: person.seq, head: person.head };
  await putBackup(account, code, now);
  const xkey = account.keys.xkeys[0]?.text ?? "";
  await book.append("people", "person.xkey", () => ({ xkey }));
  return fresh;
}

/** forgetPassword takes a password away that opens the keys from before. */
async function forgetPassword({ account }: Visit): Promise<string[]> {
  const { identity } = account.keys;
  if (!identity || !(await passwordSet(account))) return [];
  await removeLogin(account, identity);
  return ["Your password opened the old keys and was taken away; set a new one under Settings."];
}

/** forgetPasskeys is forgetPassword for passkeys, which only somebody who is in can list. */
async function forgetPasskeys({ account }: Visit): Promise<string[]> {
  const { identity } = account.keys;
  if (!identity) return [];
  try {
    const opening = (await passkeys()).filter(({ opens }) => opens);
    for (const { id } of opening) await removeLogin(account, identity, id);
    return opening.map(({ name }) => `The passkey “${name}” opened the old keys: it says who you are, and opens nothing until you make it anew.`);
  } catch {
    return ["Whether you have passkeys for the old keys could not be found out; look under Settings, and make them anew."];
  }
}
