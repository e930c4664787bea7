// Whose a handle is, is remembered when it is first seen. Handles are never given to another, so of two accounts that have
// the same the hub made one up.

import type { Store } from "../ports.ts";
import { exclusively, Forked, short } from "./chains.ts";

/** Pins are whose handles are, shared by all tabs. */
export class Pins {
  #known: Promise<Map<string, string>> | undefined;

  constructor(
    private readonly store: Store,
    private readonly lock: string,
  ) {}

  #read(): Promise<Map<string, string>> {
    this.#known ??= this.store.all<string>("pins").then((all) => new Map(all));
    return this.#known;
  }

  /** pin remembers whose handle it is, and refuses a change. */
  async pin(handle: string, account: string): Promise<void> {
    const known = await this.#read();
    const before = known.get(handle);
    if (before === account) return;
    if (before !== undefined) throw anotherKey(handle, account, before);
    await exclusively(this.lock, async () => {
      const stored = await this.store.get<string>("pins", handle); // another tab may have seen it first
      known.set(handle, stored ?? account);
      if (stored === undefined) await this.store.put("pins", handle, account);
    });
    if (known.get(handle) !== account) throw anotherKey(handle, account, known.get(handle)!);
  }

  /** settle makes a handle an account's, whosever it was before: words were compared. */
  async settle(handle: string, account: string): Promise<void> {
    const known = await this.#read();
    await exclusively(this.lock, () => this.store.put("pins", handle, account));
    known.set(handle, account);
  }
}

const anotherKey = (handle: string, account: string, before: string): Forked =>
  new Forked(`The hub says that ${handle} has another key than before (${short(account)}, it was ${short(before)}); do not trust it.`);
