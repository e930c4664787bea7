// The people of a hub, as far as this browser knows them.

import { Forked } from "./hub/chains.ts";
import { type HubBook, type Kept } from "./hub/book.ts";
import { Problem } from "./model.ts";
import type { Known, People } from "./model.ts";
import type { Account } from "./ports.ts";
import { timeText } from "./protocol/canonical.ts";
import type { PersonState } from "./protocol/chain.ts";
import { english } from "./protocol/english.ts";
import { makeInvite, parseKey, words } from "./protocol/keys.ts";
import { isName } from "./protocol/names.ts";

const atOnce = 8; // chains that are brought up to date at the same time
const longest = 366 * 24; // hours that an invite lasts

interface Listed {
  account: string;
  handle: string;
  head: string;
  seq: number;
}

/** HubPeople is the People of model.ts. */
export class HubPeople implements People {
  constructor(
    private readonly account: Account,
    private readonly book: HubBook,
  ) {}

  async list(): Promise<readonly Known[]> {
    const people: Known[] = [];
    for (let after = "", more = true; more; ) {
      const page = await this.account.call<{ people: Listed[]; more: boolean }>("people.list", { after });
      const last = page.people.at(-1)?.handle ?? "";
      if (page.people.length > 0 && last <= after) throw new Problem("refused", "The hub lists people without end; do not trust it.");
      people.push(...(await each(page.people, (one) => this.#listed(one))));
      [after, more] = [last, page.more && page.people.length > 0];
    }
    return people;
  }

  async find(handle: string): Promise<Known> {
    const person = await this.book.find(handle);
    return this.#known(person);
  }

  async words(account: string): Promise<string> {
    const person = await this.book.look(account);
    return (await words(english, this.account.hub.id, parseKey("A", this.book.account), parseKey("A", person.account))).words;
  }

  pin(account: string): Promise<void> {
    return this.book.markVerified(account);
  }

  async invite({ uses, hours }: { uses: number; hours: number }): Promise<{ code: string; url: string; expires: Date }> {
    if (!Number.isInteger(uses) || uses < 1 || uses > 1000) throw new Problem("malformed", "An invite is for 1 to 1000 people.");
    if (!(hours * 60 >= 1 && hours <= longest)) throw new Problem("malformed", "An invite lasts from a minute to 366 days.");
    const { hub } = this.account;
    const invite = await makeInvite(hub.fingerprint, parseKey("A", this.book.account));
    const expires = new Date(Math.floor((Date.now() + hours * 3_600_000) / 1000) * 1000);
    await this.book.append("people", "person.invite", () => ({ invite: invite.key, uses, expires: timeText(expires) }));
    return { code: invite.code, url: `${hub.origin}/join#${invite.code}`, expires };
  }

  /** #listed is somebody of the hub's list; of one who does not hold, what is wrong. */
  async #listed(one: Listed): Promise<Known> {
    try {
      const known = await this.book.known(one.account);
      const person = known && known.head === one.head ? known : await this.book.look(one.account);
      return await this.#known(person);
    } catch (error) {
      if (!(error instanceof Problem) || error.code === "unavailable") throw error;
      return { account: String(one.account), handle: isName(one.handle) ? one.handle : "?", trust: "unverified", changed: error.message };
    }
  }

  async #known(person: PersonState): Promise<Known> {
    const { account, handle } = person;
    const kept = await this.book.kept<PersonState>("people", account);
    try {
      await this.book.pins.pin(handle, account);
    } catch (error) {
      if (!(error instanceof Forked)) throw error;
      return { account, handle, trust: "unverified", changed: error.message };
    }
    return { account, handle, trust: await this.#trust(person, kept) };
  }

  async #trust(person: PersonState, kept: Kept<PersonState> | undefined): Promise<Known["trust"]> {
    if (person.account === this.book.account) return "self";
    if (kept?.verified !== undefined) return "verified";
    const me = (await this.book.known(this.book.account)) ?? (await this.book.me());
    if (me.inviter === person.account || person.inviter === me.account) return "introduced";
    return (await introduced(this.book, this.account.hub.id, person)) ? "introduced" : "unverified";
  }
}

/** introduced follows the invites from a person back to the hub's host and checks that each inviter announced the invite. */
export async function introduced(book: HubBook, hub: string, person: PersonState): Promise<boolean> {
  const met = new Set<string>();
  let at = person;
  try {
    while (at.inviter !== hub) {
      if (met.has(at.account)) return false;
      met.add(at.account);
      let inviter = await book.known(at.inviter);
      if (!inviter || !Object.hasOwn(inviter.invites, at.invite)) inviter = await book.look(at.inviter);
      if (!Object.hasOwn(inviter.invites, at.invite)) return false;
      await book.pins.pin(inviter.handle, inviter.account);
      at = inviter;
    }
    return await book.hostInvited(at.invite);
  } catch (error) {
    if (!(error instanceof Problem) || error.code === "unavailable") throw error;
    return false;
  }
}

/** each does something for all, a few at a time, and keeps their order. */
export async function each<T, R>(all: readonly T[], task: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = new Array<R>(all.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) done[at] = await task(all[at]!);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, work));
  return done;
}
