// What the ways in have in common: a house to come into, and the connection as somebody who is not in yet.

import { keepNames } from "../catalogs/names.ts";
import { HubAccount } from "../hub/account.ts";
import { HubBook } from "../hub/book.ts";
import { openSession } from "../hub/session.ts";
import { withoutDead } from "../hub/wire.ts";
import { Problem } from "../model.ts";
import type { Hub, Signer, Store } from "../ports.ts";
import type { PersonState } from "../protocol/chain.ts";
import { parseKey, words } from "../protocol/keys.ts";
import type { Backup } from "../protocol/recovery.ts";
import { makeToken } from "../protocol/tokens.ts";
import type { Database } from "../vault/database.ts";
import { type Held, keysOf, lock } from "../vault/held.ts";
import { opens } from "../vault/logins.ts";
import { generateSigner, KeySigner } from "../vault/signers.ts";
import { freeName } from "./names.ts";

const day = 86_400;
const tokenLife = 365 * day;
const renewWhen = 90 * day; // left of a token when it is renewed

/** House is where the door leads: keyhall.ts. */
export interface House {
  readonly database: Database;
  /** hub proved who it is. */
  hub(): Promise<Hub>;
  /** settle keeps who has come in, and shows them in. */
  settle(held: Held, visit: Visit): Promise<void>;
}

/** Visit is a connection to a person's account, with what was verified over it. */
export interface Visit {
  account: HubAccount;
  book: HubBook;
  store: Store;
}

export type Progress = (what: string) => void;

/** visit connects to the person's account, behind the caller's back: account.arrived says how that went. */
export function visit(house: House, hub: Hub, held: Held): Visit {
  const account = new HubAccount(hub, keysOf(held));
  const store = house.database.of(held.account);
  return { account, book: new HubBook(account, store), store };
}

/** arrive is visit for who must be there before going on; it fails where that is refused, or nobody answers. */
export function arrive(house: House, hub: Hub, held: Held): Promise<Visit> {
  return withoutDead(async () => {
    const by = visit(house, hub, held);
    try {
      await by.account.arrived();
      return by;
    } catch (error) {
      await by.account.wire.close();
      throw error;
    }
  });
}

/** settle opens a session for the device of a visit and shows the person in. */
export async function settle(house: House, held: Held, by: Visit, progress: Progress): Promise<void> {
  progress("Opening a session");
  const { hub } = by.account;
  const [fingerprint] = await Promise.all([ownWords(hub, held.account), openSession(hub, keysOf(held))]);
  await house.settle({ ...held, fingerprint }, by);
}

async function ownWords(hub: Hub, account: string): Promise<string> {
  const { english } = await import("../protocol/english.ts");
  const raw = parseKey("A", account);
  return (await words(english, hub.id, raw, raw)).words;
}

/** issue is a token for a device, good for a year. */
export async function issue(identity: Signer, device: string, name: string): Promise<string> {
  const issued = Math.floor(Date.now() / 1000);
  return makeToken({ account: identity.text, device, name, issued, expires: issued + tokenLife }, identity);
}

/**
 * renewToken is this device's token where it has another than before: one that another device has given it, with a new name say, or one for
 * another year, where the identity is here and the old one ends soon.
 */
export async function renewToken({ account, book }: Visit): Promise<string | undefined> {
  const { identity, device } = account.keys;
  const fact = (await book.me()).devices[device.text];
  if (fact && fact.revoked === 0 && fact.token !== account.keys.token) return fact.token;
  if (!identity || !fact || fact.revoked !== 0 || fact.expires - Date.now() / 1000 > renewWhen) return undefined;
  const token = await issue(identity, device.text, fact.name);
  await book.append("people", "person.device", () => ({ token }), identity);
  return token;
}

/**
 * comeIn makes this browser a device of the person whose backup it opened: the identity vouches for it. A backup from before
 * the xkey was renewed is refused, unless older says that it is about to be renewed again.
 */
export async function comeIn(
  house: House, backup: Backup, name: string, progress: Progress, how: { device?: KeySigner; older?: boolean } = {},
): Promise<{ held: Held; by: Visit; person: PersonState }> {
  const hub = await house.hub();
  progress("Making this browser your device");
  const key = how.device ?? (await generateSigner("U"));
  const keys = await lock(backup);
  const identity = new KeySigner(keys.identity);
  const held: Held = { account: backup.account, handle: backup.handle, token: await issue(identity, key.text, name), device: key.kept, ...keys };
  const by = await arrive(house, hub, held);
  try {
    await checkPast(await by.book.me(), backup, how.older ?? false);
    await keepNames(by.store, backup.catalogs);
    return { held, by, person: await enlist(held, by, identity, name) };
  } catch (error) {
    await by.account.wire.close();
    throw error;
  }
}

async function checkPast(person: PersonState, backup: Backup, older: boolean): Promise<void> {
  if (person.places[backup.head] !== backup.seq) {
    throw new Problem("refused", "The hub shows another past of you than when your keys were put there; do not trust it, and ask its host.");
  }
  if (!older && !(await opens(backup, person.xkey))) {
    throw new Problem("conflict", "That opens keys from before they were renewed, and would show you nothing new. Use your recovery code, or link this browser from another device.");
  }
}

/** enlist has the device entered into the person's chain, as the first try did or now. */
async function enlist(held: Held, { account, book }: Visit, identity: KeySigner, name: string): Promise<PersonState> {
  const person = await book.me();
  const device = account.keys.device.text;
  const known = person.devices[device];
  if (known && known.revoked !== 0) throw new Problem("refused", "This browser was revoked meanwhile; load the page again and try anew.");
  held.handle = person.handle;
  held.token = known?.token ?? (await issue(identity, device, freeName(name, person)));
  account.renew(keysOf(held));
  if (!known) await book.append("people", "person.device", () => ({ token: held.token }), identity);
  return book.me();
}
