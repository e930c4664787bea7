// node dist-test/book.test.mjs: what is believed of chains that a hub shows, one that lies among them; without a browser or
// a hub.

import process from "node:process";

import { HubBook } from "../src/hub/book.ts";
import { Problem } from "../src/model.ts";
import type { Account, Keys, Store } from "../src/ports.ts";
import { hex } from "../src/protocol/bytes.ts";
import { timeText } from "../src/protocol/canonical.ts";
import { needsEpoch, roleAt, roleOf, written } from "../src/protocol/chain.ts";
import { type By, decode, encode, type Event, eventHash, makeEvent, withheld } from "../src/protocol/event.ts";
import { fingerprint, keyText, makeInvite, newRandomID } from "../src/protocol/keys.ts";
import { makeToken } from "../src/protocol/tokens.ts";
import { Keyring } from "../src/rooms/keyring.ts";
import { generateSigner, type KeySigner, openerFromSeed, signerFromSeed } from "../src/vault/signers.ts";

Promise.withResolvers ??= function <T>(this: PromiseConstructor): PromiseWithResolvers<T> {
  const made = {} as PromiseWithResolvers<T>;
  made.promise = new this<T>((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

async function refuses(what: string, done: Promise<unknown>, pattern: RegExp): Promise<void> {
  try {
    await done;
    failed++;
    console.log(`${what}: taken`);
  } catch (error) {
    if (error instanceof Problem && pattern.test(error.message)) return;
    failed++;
    console.log(`${what}: ${String(error)}, want ${pattern}`);
  }
}

function memory(): Store {
  const values = new Map<string, unknown>();
  return {
    get: async <T>(table: string, key: string) => structuredClone(values.get(`${table} ${key}`)) as T | undefined,
    put: async (table, key, value) => void values.set(`${table} ${key}`, structuredClone(value)),
    delete: async (table, key) => void values.delete(`${table} ${key}`),
    all: async <T>(table: string) =>
      Array.from(values).filter(([name]) => name.startsWith(`${table} `)).map(([name, value]) => [name.slice(table.length + 1), structuredClone(value)] as [string, T]),
    wipe: async () => values.clear(),
  };
}

// A ledger, and people who write in it.

interface Link {
  seq: bigint;
  hash: string;
  data: Uint8Array;
  bare: Uint8Array;
}

/** Ledger is what a hub has; shown is what it shows of it. */
class Ledger {
  readonly id: string;
  readonly chains = new Map<string, Link[]>();
  pages = 3; // events in one answer
  withheld = new Set<string>(); // hashes of events whose body is kept back

  constructor(readonly operator: KeySigner) {
    this.id = keyText("O", operator.raw);
  }

  chain(subject: string): Link[] {
    let chain = this.chains.get(subject);
    if (!chain) this.chains.set(subject, (chain = []));
    return chain;
  }

  async add(ev: Event): Promise<string> {
    const hash = hex(await eventHash(ev));
    this.chain(ev.subject).push({ seq: ev.seq, hash, data: encode(ev), bare: withheld(ev) });
    return hash;
  }

  page(subject: string, after: number): unknown {
    const chain = this.chain(subject);
    if (chain.length === 0) throw new Problem("not-found", "no such chain");
    const part = chain.slice(after, after + this.pages);
    const time = "2026-11-22T00:00:00Z";
    const events = part.map(({ seq, hash, data, bare }) => {
      const kept = this.withheld.has(hash);
      return { seq: Number(seq), time, event: btoa(String.fromCharCode(...(kept ? bare : data))), ...(kept ? { withheld: true } : {}) };
    });
    return { events, head: chain.length };
  }
}

/** Member is somebody with a device. */
class Member {
  identity!: KeySigner;
  device!: KeySigner;
  keys!: Keys;

  constructor(
    readonly ledger: Ledger,
    readonly handle: string,
  ) {}

  get account(): string {
    return this.identity.text;
  }

  get subject(): string {
    return `ledger.person.${this.account}`;
  }

  async join(inviter?: Member): Promise<this> {
    const now = Math.floor(Date.now() / 1000);
    const { ledger } = this;
    [this.identity, this.device] = [await generateSigner("A"), await generateSigner("U")];
    const invite = await makeInvite(await fingerprint(ledger.id), inviter?.identity.raw ?? ledger.operator.raw);
    const announced = { invite: invite.key, uses: 1, expires: timeText(new Date((now + 3600) * 1000)) };
    if (inviter) await inviter.does("person.invite", announced);
    else await this.#next("ledger.hub", "hub.invite", announced, ledger.operator, ledger.operator.raw, "");
    const token = await makeToken({ account: this.account, device: this.device.text, name: "laptop", issued: now, expires: now + 86400 }, this.identity);
    const opener = await openerFromSeed(crypto.getRandomValues(new Uint8Array(32)));
    const body = { handle: this.handle, account: this.account, xkey: opener.text, device: token, invite: invite.key, inviter: inviter?.account ?? ledger.id };
    const co = await signerFromSeed("U", invite.seed);
    await this.#next(this.subject, "person.admit", body, this.identity, this.identity.raw, "", co);
    this.keys = { account: this.account, handle: this.handle, device: this.device, token, xkeys: [opener] };
    return this;
  }

  async #next(subject: string, type: string, body: unknown, by: By, author: Uint8Array, head: string, co?: By): Promise<string> {
    const chain = this.ledger.chain(subject);
    const newest = chain.at(-1)?.hash ?? "";
    const draft = {
      author, type, subject, audience: this.ledger.id, seq: BigInt(chain.length) + 1n, prev: raw(newest), head: raw(subject.startsWith("ledger.room") ? head : newest),
    };
    return this.ledger.add(await makeEvent(draft, written(type, body), by, co ? { co } : {}));
  }

  does(type: string, body: unknown, by: By = this.device): Promise<string> {
    return this.#next(this.subject, type, body, by, this.identity.raw, "");
  }

  inRoom(room: string, type: string, body: unknown, by: By = this.device, head = this.ledger.chain(this.subject).at(-1)!.hash): Promise<string> {
    return this.#next(`ledger.room.${room}`, type, body, by, this.identity.raw, head);
  }

  /** account as far as a book needs it: what it asks, the ledger answers. */
  at(ledger = this.ledger): Account {
    const call = async (verb: string, request: Record<string, unknown>): Promise<unknown> => {
      if (verb === "people.chain") return ledger.page(request["account"] === "hub" ? "ledger.hub" : `ledger.person.${String(request["account"])}`, Number(request["after"]));
      if (verb === "rooms.chain") return ledger.page(`ledger.room.${String(request["room"])}`, Number(request["after"]));
      if (verb === "people.find") return { account: this.found ?? "" };
      throw new Problem("malformed", verb);
    };
    const hub = { id: ledger.id, signingKeys: [ledger.id] };
    return { hub, keys: this.keys, call, clock: () => this.ahead } as unknown as Account;
  }

  found: string | undefined;
  ahead = 0;
}

const raw = (hash: string): Uint8Array => (hash === "" ? new Uint8Array(32) : Uint8Array.from(hash.match(/../g)!, (digits) => parseInt(digits, 16)));

async function hall(): Promise<{ ledger: Ledger; alice: Member; bob: Member; store: Store; book: HubBook }> {
  const ledger = new Ledger(await generateSigner("O"));
  const alice = await new Member(ledger, "alice").join();
  const bob = await new Member(ledger, "bob").join(alice);
  const store = memory();
  return { ledger, alice, bob, store, book: new HubBook(alice.at(), store) };
}

async function pagesAndPins(): Promise<void> {
  const { ledger, alice, bob, store, book } = await hall();
  for (let i = 0; i < 7; i++) await bob.does("share.decline", { grant: newRandomID(), owner: alice.account });
  const seen = await book.person(bob.account);
  same("a chain comes in pages", [seen.seq, seen.handle, seen.head], [8, "bob", ledger.chain(bob.subject).at(-1)!.hash]);
  ledger.pages = 1;
  await bob.does("share.decline", { grant: newRandomID(), owner: alice.account });
  same("what is known fills a page", (await book.person(bob.account)).seq, 9);
  same("the host invited alice, alice bob", [await book.hostInvited((await book.me()).invite), await book.hostInvited(seen.invite)], [true, false]);
  const reloaded = new HubBook(alice.at(), store);
  same("a reload knows what was seen", (await reloaded.known(bob.account))?.seq, 9);

  const mallory = await new Member(ledger, "bob").join(bob);
  await refuses("another with a handle that is known", reloaded.person(mallory.account), /bob has another key than before/);
  alice.found = mallory.account;
  await refuses("found by that handle", reloaded.find("bob"), /bob has another key than before/);
  alice.found = alice.account;
  await refuses("another handle than was asked for", reloaded.find("bob"), /that account's own name is alice/);
  await reloaded.markVerified(mallory.account);
  same("words settle whose it is", (await reloaded.person(mallory.account)).account, mallory.account);
}

async function pasts(): Promise<void> {
  const { ledger, alice, bob, store, book } = await hall();
  const decline = () => ({ grant: newRandomID(), owner: alice.account });
  await bob.does("share.decline", decline());
  const honest = Array.from(ledger.chain(bob.subject));
  await book.person(bob.account);
  ledger.chain(bob.subject).pop();
  await refuses("a chain that is shorter", book.person(bob.account), /rolled the chain of .* back \(from place 2 to 1\)/);
  await bob.does("share.decline", decline());
  await refuses("a chain with another past", book.person(bob.account), /another past of the chain/);
  ledger.chains.set(bob.subject, honest);
  await refuses("one that was forked once", book.person(bob.account), /another past of the chain/);
  await refuses("and is after a reload", new HubBook(alice.at(), store).person(bob.account), /another past of the chain/);
  same("others are not harmed", (await book.me()).handle, "alice");

  // Two tabs, each of which is shown another past.
  const shared = memory();
  await new HubBook(alice.at(), shared).person(bob.account);
  ledger.chains.set(bob.subject, honest.slice(0, 1));
  await bob.does("share.decline", decline());
  await refuses("a tab that was shown another past", new Blind(alice.at(), shared).person(bob.account), /another tab/);
}

/** Blind is the book of a tab that read the store before another wrote into it. */
class Blind extends HubBook {
  override kept(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

async function bodies(): Promise<void> {
  const { ledger, alice, bob, book } = await hall();
  const grant = newRandomID();
  const catalog = newRandomID();
  const hash = await bob.does("share.grant", { grant, catalog, to: alice.account, sealed: btoa("x") });
  ledger.withheld.add(hash);
  const seen = await book.person(bob.account);
  same("a body that is withheld is missing, the chain whole", [seen.seq, seen.withheld, Object.keys(seen.granted)], [2, 1, []]);
  ledger.withheld.clear();
  same("it is read again", Object.keys((await book.again(bob.account)).granted), [grant]);
  const invited = await bob.does("person.invite", { invite: (await generateSigner("U")).text, uses: 1, expires: timeText(new Date(Math.ceil(Date.now() / 1000) * 1000 + 60000)) });
  ledger.withheld.add(invited);
  await refuses("only shares are withheld", book.person(bob.account), /does not hold/);
  const mine = await alice.does("share.decline", { grant, owner: bob.account });
  ledger.withheld.add(mine);
  await refuses("nothing of one's own is", book.me(), /withholds from you what you did yourself/);
}

const turns = async (count: number): Promise<void> => {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setTimeout(resolve, 1));
};

/** A chain that goes on while it is read anew is no other past. */
async function meanwhile(): Promise<void> {
  const { ledger, alice, bob, store } = await hall();
  const decline = () => bob.does("share.decline", { grant: newRandomID(), owner: alice.account });
  const account = alice.at();
  const call = account.call;
  let during: (() => Promise<unknown>) | undefined;
  account.call = async <T>(verb: string, request: unknown): Promise<T> => {
    const answer = await call<T>(verb, request);
    const [then] = [during, (during = undefined)];
    await then?.();
    return answer;
  };
  const book = new HubBook(account, store);
  await book.person(bob.account);
  let other: Promise<{ seq: number }> | undefined;
  during = async () => {
    await decline();
    other = book.person(bob.account);
    await Promise.race([other, turns(200)]); // it waits for its turn, as it should, or does not
  };
  same("a chain is read anew while it goes on", (await book.again(bob.account)).seq, 1);
  same("and is brought up to date then", (await other!).seq, 2);
  same("it is not forked", (await book.person(bob.account)).head, ledger.chain(bob.subject).at(-1)!.hash);
}

/** What is made by what is known of a chain is made for that place: a chain that went on has it made again. */
async function places(): Promise<void> {
  const { alice, bob, store } = await hall();
  const room = newRandomID();
  await alice.inRoom(room, "room.create", { room, kind: "open", listed: true, name: "square" });
  const account = alice.at();
  const sent: number[] = [];
  account.send = async (_verb, data) => {
    sent.push(Number(decode(data).seq));
    throw new Problem(sent.length === 1 ? "conflict" : "malformed", "no");
  };
  const book = new HubBook(account, store);
  const grant = () => ({ grant: newRandomID(), account: bob.account, role: "reader" });
  const body = async () => {
    if (sent.length === 0) await alice.inRoom(room, "room.grant", grant());
    await book.room(room);
    return grant();
  };
  await refuses("the hub says no", book.appendRoom(room, "room.grant", body), /^no$/);
  same("first for the place that was known, then for the next", sent, [2, 3]);
}

/** names that objects have of themselves are nobody's devices, members or epochs. */
async function hostileNames(): Promise<void> {
  for (const name of ["constructor", "__proto__", "toString"]) {
    const { alice, bob, book } = await hall();
    await bob.does("person.revoke", { device: name });
    await refuses(`the device ${name} is revoked`, book.person(bob.account), /no such device/);
    const room = newRandomID();
    await alice.inRoom(room, "room.create", { room, kind: "sealed", listed: false });
    await alice.inRoom(room, "room.revoke", { account: name });
    await refuses(`the member ${name} is put out`, book.room(room), /no such member/);
  }
}

async function roomsOf(): Promise<void> {
  const { ledger, alice, bob, book } = await hall();
  const room = newRandomID();
  await alice.inRoom(room, "room.create", { room, kind: "sealed", listed: false });
  const made = await book.room(room);
  const keyring = new Keyring(alice.at());
  const xkeyOf = async (account: string) => (await book.person(account)).xkey;
  same("a new room needs an epoch", needsEpoch(made, Date.now()), true);
  await alice.inRoom(room, "room.epoch", await keyring.newEpoch(made, "kitchen", Date.now(), xkeyOf));
  const begun = await book.room(room);
  same("it has one, and a name", [needsEpoch(begun, Date.now()), await keyring.name(begun)], [false, "kitchen"]);
  const handed = await keyring.handOver(begun, bob.account, await xkeyOf(bob.account));
  await alice.inRoom(room, "room.grant", { grant: newRandomID(), account: bob.account, role: "writer", ...handed });
  const theirs = await new HubBook(bob.at(), memory()).room(room);
  same("whoever is let in has its key", [await new Keyring(bob.at()).name(theirs), needsEpoch(theirs, Date.now())], ["kitchen", false]);
  await alice.inRoom(room, "room.revoke", { account: bob.account });
  const after = await book.room(room);
  same("then and now", [roleAt(after, bob.account, 3, Date.now()), roleOf(after, bob.account, Date.now())], ["writer", ""]);
  same("who was put out has no part in the next", [needsEpoch(after, Date.now()), await keyring.handOver(after, bob.account, await xkeyOf(bob.account))], [true, {}]);
  await alice.inRoom(room, "room.epoch", await keyring.newEpoch(after, "kitchen", Date.now(), xkeyOf));
  same("nor is it handed over when they come back", await keyring.handOver(await book.room(room), bob.account, await xkeyOf(bob.account)), {});

  // A device that was revoked cannot add to the chain by naming an old head, once its owner has named a newer one there.
  const old = ledger.chain(alice.subject).at(-1)!.hash;
  const phone = await generateSigner("U");
  const now = Math.floor(Date.now() / 1000);
  const token = await makeToken({ account: alice.account, device: phone.text, name: "phone", issued: now, expires: now + 86400 }, alice.identity);
  await alice.does("person.device", { token }, alice.identity);
  await alice.does("person.revoke", { device: alice.device.text }, alice.identity);
  await alice.inRoom(room, "room.grant", { grant: newRandomID(), account: bob.account, role: "reader" }, alice.device, old);
  same("while nobody can know better", roleOf(await book.room(room), bob.account, Date.now()), "reader");
  await alice.inRoom(room, "room.grant", { grant: newRandomID(), account: bob.account, role: "writer" }, phone);
  same("the owner goes on", roleOf(await book.room(room), bob.account, Date.now()), "writer");
  await alice.inRoom(room, "room.revoke", { account: bob.account }, alice.device, old);
  await refuses("and the revoked device does not", book.room(room), /the device was revoked before/);
}

async function clocks(): Promise<void> {
  const { alice, book } = await hall();
  const room = newRandomID();
  await alice.inRoom(room, "room.create", { room, kind: "open", listed: true, name: "square" });
  alice.ahead = 9 * 60000;
  book.clocks();
  alice.ahead = 11 * 60000;
  await refuses("clocks that are far apart", book.appendRoom(room, "room.leave", () => ({})), /11 minutes apart/);
}

await pagesAndPins();
await pasts();
await bodies();
await meanwhile();
await places();
await hostileNames();
await roomsOf();
await clocks();
console.log(failed === 0 ? "book: all as it should be" : `book: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
