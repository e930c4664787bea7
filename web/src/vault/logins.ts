// How a password, a passkey or a recovery code brings a person's keys (docs/protocol/web.md#logins), and how they are set.

import { ask } from "../hub/http.ts";
import { Problem, type Unlock } from "../model.ts";
import type { Account, Hub, Signer } from "../ports.ts";
import { base64, base64url, random } from "../protocol/bytes.ts";
import { encode } from "../protocol/event.ts";
import { keyText } from "../protocol/keys.ts";
import { name as normal } from "../protocol/names.ts";
import {
  type Cost, makeLoginRemoval, makePasskeyLogin, makePasswordLogin, newSalt, openPasskeyLogin, openPasswordLogin, passkeyWrapping, type PasswordSecrets, usual,
} from "../protocol/passwords.ts";
import type { Backup } from "../protocol/recovery.ts";
import { secretsOf } from "./argon2.ts";
import { after, fetchBackup, readCode } from "./backup.ts";
import { lockXKeys } from "./held.ts";
import { assert, create, type CreationJSON, type RequestJSON } from "./passkey.ts";

const shortest = 8; // characters of a new password

/** wrong is what somebody is told who knows no such name or password: not which. */
const wrong = "The name or the password is not right. If you have never set a password here, use your recovery code or another device.";

/** byPassword fetches what a password opens, and opens it. */
export async function byPassword(hub: Hub, name: string, password: string, progress: (what: string) => void): Promise<Backup> {
  const handle = handleOf(name);
  progress("Asking the hub");
  const { salt, memory, passes } = await ask<Cost & { salt: string }>("POST", "/api/login/begin", { name: handle });
  progress("Turning the password into a key");
  const secrets = await secretsOf(hub.id, password, base64.read(salt, "malformed"), { memory, passes });
  progress("Fetching your keys");
  const event = await verified(handle, base64.write(secrets.verifier));
  try {
    return await openPasswordLogin(hub.id, secrets.wrapping, base64.read(event, "malformed"));
  } catch {
    throw new Problem("refused", "What the hub has under this password is not yours; ask its host, or use your recovery code.");
  }
}

async function verified(name: string, verifier: string): Promise<string> {
  try {
    return (await ask<{ event: string }>("POST", "/api/login/finish", { name, verifier })).event;
  } catch (error) {
    throw error instanceof Problem && error.code === "refused" ? new Problem("refused", wrong) : error;
  }
}

/** handleOf is a handle in its normal form. */
export function handleOf(text: string): string {
  try {
    return normal(text.trim());
  } catch {
    throw new Problem("malformed", `“${text.trim()}” cannot be a name: names have 1 to 32 letters, digits, - and _, of one script, and begin with a letter or digit.`);
  }
}

/** Shown is whose a passkey is, and what it opens; backup is missing where it brings no keys. */
export interface Shown {
  account: string;
  handle: string;
  backup?: Backup;
}

/** byPasskey has a passkey shown, and opens what it brings. */
export async function byPasskey(hub: Hub): Promise<Shown> {
  const { options } = await ask<{ options: RequestJSON }>("POST", "/api/passkey/begin");
  const shown = await assert(options);
  const said = await ask<{ account: string; handle: string; event?: string }>("POST", "/api/passkey/finish", { credential: shown.credential });
  const { account, handle } = said;
  if (!said.event || !shown.output) return { account, handle };
  const id = base64url.read(shown.id, "malformed");
  const backup = await openPasskeyLogin(hub.id, await passkeyWrapping(shown.output, hub.id), id, base64.read(said.event, "malformed"));
  if (backup.account !== account) throw new Problem("refused", "The hub answered with somebody else's keys; do not sign in, and tell the host.");
  return { account, handle, backup };
}

/** unlocked opens the person's own backup anew: its seeds are there as long as the caller holds them. xkey is theirs now. */
export async function unlocked(account: Account, xkey: string, unlock: Unlock, progress: (what: string) => void = () => undefined): Promise<Backup> {
  const backup = await opened(account, unlock, progress);
  if (backup.account !== account.keys.account) throw new Problem("refused", "That opens another person's keys, not yours.");
  if (!(await opens(backup, xkey))) throw new Problem("conflict", "That opens keys from before they were renewed; use the recovery code that you used last.");
  return backup;
}

/** opens says whether a backup has an xkey: one from before a renewal lacks it. */
export async function opens(backup: Backup, xkey: string): Promise<boolean> {
  for (const kept of await lockXKeys(backup.xkeys)) if (keyText("X", kept.raw) === xkey) return true;
  return false;
}

async function opened({ hub, keys }: Account, unlock: Unlock, progress: (what: string) => void): Promise<Backup> {
  if ("password" in unlock) return byPassword(hub, keys.handle, unlock.password, progress);
  if ("recovery" in unlock) return fetchBackup(hub, await readCode(hub, unlock.recovery));
  const { backup } = await byPasskey(hub);
  if (!backup) throw new Problem("refused", "This passkey says who you are, but brings no keys; use your password or the recovery code.");
  return backup;
}

/** longEnough refuses a new password that is guessed too soon: whoever has the hub's disk may try. */
export function longEnough(password: string): void {
  if (Array.from(password.normalize("NFKC")).length >= shortest) return;
  throw new Problem("malformed", `A password needs ${shortest} characters or more: it opens your keys. A few words that do not belong together are good.`);
}

/** LoginState is when the password was set, and when it was changed or taken away last. */
interface LoginState {
  password?: string;
  changed?: string;
}

const moment = (text: string | undefined): Date | undefined => {
  const at = text ? new Date(text) : undefined;
  return at && at.getFullYear() > 1 ? at : undefined; // the zero time is none
};

/** passwordSet is when the person's password was set. */
export const passwordSet = async (account: Account): Promise<Date | undefined> => moment((await account.call<LoginState>("logins.state", {})).password);

/** setPassword makes a password open a backup, in the place of the one before. */
export async function setPassword(account: Account, identity: Signer, backup: Backup, password: string, secrets: Promise<Salted>): Promise<void> {
  longEnough(password);
  const { salt, made } = await secrets;
  const state = await account.call<LoginState>("logins.state", {});
  const at = after(moment(state.changed) ?? moment(state.password));
  await account.send("logins.put", encode(await makePasswordLogin(account.hub.id, identity, salt, usual, made, backup, at)));
}

/** Salted are the secrets of a new password, with the salt that they were made with. */
export interface Salted {
  salt: Uint8Array;
  made: PasswordSecrets;
}

/** newSecrets begins what takes a second. */
export async function newSecrets(hub: Hub, password: string): Promise<Salted> {
  longEnough(password);
  const salt = newSalt();
  return { salt, made: await secretsOf(hub.id, password, salt, usual) };
}

/** removeLogin takes the password away, or the keys of a passkey (its id). */
export async function removeLogin(account: Account, identity: Signer, credential?: string): Promise<void> {
  const state = credential === undefined ? await account.call<LoginState>("logins.state", {}) : {};
  const at = after(moment(state.changed) ?? moment(state.password));
  const id = credential === undefined ? undefined : base64url.read(credential, "malformed");
  await account.send("logins.put", encode(await makeLoginRemoval(account.hub.id, identity, id, at)));
}

/** Passkey is one of the person's. */
export interface Passkey {
  id: string;
  name: string;
  made: Date;
  opens: boolean;
}

export async function passkeys(): Promise<Passkey[]> {
  const { passkeys: all } = await ask<{ passkeys: (Omit<Passkey, "made"> & { made: string })[] }>("GET", "/api/passkeys");
  return all.map(({ id, name, made, opens: brings }) => ({ id, name, made: new Date(made), opens: brings }));
}

/** addPasskey makes a passkey; with a backup it brings the keys, where the authenticator can do that. */
export async function addPasskey(account: Account, name: string, backup: Backup | undefined): Promise<void> {
  const { hub, keys } = account;
  const { options } = await ask<{ options: CreationJSON }>("POST", "/api/passkeys/begin");
  const made = await create(options);
  const { id } = await ask<{ id: string }>("POST", "/api/passkeys/finish", { credential: made.credential, name });
  if (!backup || !keys.identity) return;
  const without = new Problem("unavailable", "The passkey is made and says who you are, but this authenticator cannot keep keys: to sign in on a new device you need a password or the recovery code besides.");
  if (!made.opens) throw without;
  const output = made.output ?? (await assert(only(options, made.id))).output;
  if (!output) throw without;
  const wrapping = await passkeyWrapping(output, hub.id);
  await account.send("logins.put", encode(await makePasskeyLogin(hub.id, keys.identity, base64url.read(id, "malformed"), wrapping, backup, Date.now())));
}

/** only asks the passkey that was just made for its secret: the answer is for this page alone, so the challenge is its own. */
function only(options: CreationJSON | { publicKey: CreationJSON }, id: string): RequestJSON {
  const { rp } = "publicKey" in options ? options.publicKey : options;
  return { challenge: base64url.write(random(32)), allowCredentials: [{ id, type: "public-key" }], ...(rp.id ? { rpId: rp.id } : {}) };
}
