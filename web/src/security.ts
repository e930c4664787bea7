// Devices, sessions, and what opens the keys of the person who is in (Security of model.ts).

import { issue, type Visit } from "./door/house.ts";
import { deviceNameOf, freeName } from "./door/names.ts";
import { Offer } from "./door/offer.ts";
import { leaveFor } from "./door/provider.ts";
import { ask } from "./hub/http.ts";
import { sessions } from "./hub/session.ts";
import { type Device, type LinkOffer, Problem, type Security, type Session, type Unlock } from "./model.ts";
import type { Signer } from "./ports.ts";
import { makeRecovery } from "./protocol/keys.ts";
import type { Backup } from "./protocol/recovery.ts";
import { backupMade, putBackup } from "./vault/backup.ts";
import * as logins from "./vault/logins.ts";

type Progress = (what: string) => void;

const nothing: Progress = () => undefined;

/** HubSecurity is the Security of model.ts. */
export class HubSecurity implements Security {
  readonly #by: Visit;
  readonly #renamed: (token: string) => Promise<void>;

  /** renamed keeps another token of this browser's own device. */
  constructor(by: Visit, renamed: (token: string) => Promise<void>) {
    this.#by = by;
    this.#renamed = renamed;
  }

  get holdsIdentity(): boolean {
    return this.#by.account.keys.identity !== undefined;
  }

  #identity(): Signer {
    const { identity } = this.#by.account.keys;
    if (identity) return identity;
    throw new Problem("refused", "This browser was linked and cannot do this: use a device that you joined or signed in with, by password or recovery code.");
  }

  /** device of this browser, as text. */
  get #own(): string {
    return this.#by.account.keys.device.text;
  }

  async devices(): Promise<readonly Device[]> {
    const [person, open] = await Promise.all([this.#by.book.me(), sessions()]);
    const browsers = new Set(open.map(({ device }) => device));
    const all = Object.entries(person.devices).map(([key, fact]): Device & { since: number } => ({
      key, name: fact.name, this: key === this.#own, added: new Date(fact.issued * 1000), expires: new Date(fact.expires * 1000),
      revoked: fact.revoked !== 0, browser: browsers.has(key), since: fact.since,
    }));
    return all.sort((a, b) => b.since - a.since);
  }

  async revoke(device: string): Promise<void> {
    if (device === this.#own) throw new Problem("refused", "This is the browser you are using; sign out instead.");
    await this.#by.book.append("people", "person.revoke", (person) => {
      const fact = person.devices[device];
      if (!fact || fact.revoked !== 0) throw new Problem("not-found", "You have no such device any more.");
      return { device };
    });
  }

  async rename(device: string, text: string): Promise<void> {
    const identity = this.#identity();
    const name = deviceNameOf(text);
    const person = await this.#by.book.me();
    const fact = person.devices[device];
    if (!fact || fact.revoked !== 0) throw new Problem("not-found", "You have no such device any more.");
    if (fact.name === name) return;
    if (freeName(name, person) !== name) throw new Problem("taken", `You have another device called ${name}.`);
    const token = await issue(identity, device, name);
    await this.#by.book.append("people", "person.device", () => ({ token }));
    if (device === this.#own) await this.#renamed(token);
  }

  /** sessions are called as the person's own chain calls their devices: which of them is ended is not the hub's to choose. */
  async sessions(): Promise<readonly Session[]> {
    const [person, open] = await Promise.all([this.#by.book.me(), sessions()]);
    return open.map((session) => ({ ...session, name: person.devices[session.device]?.name ?? session.name }));
  }

  /** end signs another browser out: its device is ended with its session, or it would open the next by itself. */
  async end(session: string): Promise<void> {
    const found = (await sessions()).find(({ id }) => id === session);
    if (!found) return;
    if (found.this) throw new Problem("refused", "This is the session you are using; sign out instead.");
    await ask("DELETE", `/api/sessions/${encodeURIComponent(session)}`);
    await this.#endDevices([found]);
  }

  async endOthers(): Promise<void> {
    const others = (await sessions()).filter((session) => !session.this);
    await ask("DELETE", "/api/sessions", { others: true });
    await this.#endDevices(others);
  }

  async #endDevices(ended: readonly Session[]): Promise<void> {
    const person = await this.#by.book.me();
    const devices = new Set(ended.map(({ device }) => device));
    for (const device of devices) {
      if (device !== this.#own && person.devices[device]?.revoked === 0) await this.revoke(device);
    }
  }

  passwordSet(): Promise<Date | undefined> {
    return logins.passwordSet(this.#by.account);
  }

  /** unlocked is the person's backup, as it would be made now. */
  async #unlocked(unlock: Unlock, progress: Progress): Promise<Backup> {
    const { account, book } = this.#by;
    const person = await book.me();
    const backup = await logins.unlocked(account, person.xkey, unlock, progress);
    return { ...backup, handle: person.handle, device: this.#own, seq: person.seq, head: person.head };
  }

  async setPassword(unlock: Unlock, password: string, progress: Progress): Promise<void> {
    const identity = this.#identity();
    logins.longEnough(password);
    const backup = await this.#unlocked(unlock, progress);
    progress("Turning the new password into a key");
    await logins.setPassword(this.#by.account, identity, backup, password, logins.newSecrets(this.#by.account.hub, password));
  }

  removePassword(): Promise<void> {
    return logins.removeLogin(this.#by.account, this.#identity());
  }

  async makeRecovery(unlock: Unlock): Promise<string> {
    this.#identity();
    const { account } = this.#by;
    const backup = await this.#unlocked(unlock, nothing);
    const code = await makeRecovery(account.hub.fingerprint);
    await putBackup(account, code, backup);
    return code.code;
  }

  recoveryMade(): Promise<Date | undefined> {
    return backupMade(this.#by.account);
  }

  passkeys(): Promise<readonly logins.Passkey[]> {
    return logins.passkeys();
  }

  async addPasskey(name: string, unlock: Unlock | undefined): Promise<void> {
    const backup = unlock ? await this.#unlocked(unlock, nothing) : undefined;
    await logins.addPasskey(this.#by.account, name, backup);
  }

  async removePasskey(id: string): Promise<void> {
    const { account } = this.#by;
    const opens = (await logins.passkeys()).some((one) => one.id === id && one.opens);
    if (opens && account.keys.identity) await logins.removeLogin(account, account.keys.identity, id);
    await ask("DELETE", `/api/passkeys/${encodeURIComponent(id)}`);
  }

  async providerBound(): Promise<boolean> {
    return (await ask<{ bound: boolean }>("GET", "/api/oidc/bound")).bound;
  }

  bindProvider(): void {
    leaveFor("bind");
  }

  async unbindProvider(): Promise<void> {
    await ask("DELETE", "/api/oidc/bound");
  }

  letIn(code: string | undefined, unlock: Unlock): LinkOffer {
    return new Offer(this.#by, code, this.#identity(), () => this.#unlocked(unlock, nothing));
  }
}
