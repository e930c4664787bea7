// Everything about catalogs that the pages see: what others share with this person, and what this person shares.

import { computed, signal } from "@preact/signals";

import { type Catalog, type Catalogs, type Granted, Problem, type Share } from "../model.ts";
import type { Account, Store } from "../ports.ts";
import { nameOf } from "../hub/book.ts";
import { Desk } from "../media/desk.ts";
import { Shelf } from "../media/shelf.ts";
import { type Offer, type People, Source } from "../media/source.ts";
import { register } from "../media/workers.ts";
import { base64, random } from "../protocol/bytes.ts";
import { encode } from "../protocol/canonical.ts";
import { type PersonState, standing } from "../protocol/chain.ts";
import { box } from "../protocol/crypto.ts";
import { formatID, parseXKey } from "../protocol/keys.ts";
import { OpenCatalog } from "./catalog.ts";
import { about, context, inbox } from "./inbox.ts";
import { listing } from "./listing.ts";
import { keepNames, keptName } from "./names.ts";

const lookEvery = 30_000;
const kept = 16 << 20; // bytes of blocks that were read a moment ago

/** SharedCatalogs is the Catalogs of model.ts. */
export class SharedCatalogs implements Catalogs {
  readonly #known = signal<readonly Share[] | undefined>(undefined, {
    watched: () => this.#watch(),
    unwatched: () => clearInterval(this.#looking),
  });
  // Owners are asked whether they are there while somebody looks at what they share.
  readonly shares = computed(() => this.#known.value, {
    watched: () => {
      this.#asks = true;
      if (this.#known.peek()) void this.#look(); // otherwise one is under way
    },
    unwatched: () => (this.#asks = false),
  });
  readonly offered = computed(() => (this.#known.value ?? []).filter((share) => share.state === "offered").length);
  readonly #shelf = new Shelf(kept);
  readonly #open = new Set<OpenCatalog>();
  #desk: Desk | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  #looks = 0;
  #asks = false;

  constructor(
    readonly account: Account,
    readonly people: People,
    readonly store: Store,
  ) {
    register().catch(() => undefined); // whoever wants to see a file is told
    account.wire.state.subscribe((state) => state === "closed" && this.close());
  }

  #watch(): void {
    clearInterval(this.#looking);
    this.#looking = setInterval(() => {
      if (document.visibilityState === "visible") void this.#look();
    }, lookEvery);
    void this.#look();
  }

  /** #look asks what is shared, and then, where that is shown, each owner whether they are there. What fails is asked again later. */
  async #look(): Promise<void> {
    const look = ++this.#looks;
    const known = new Map(this.#known.peek()?.map((share) => [share.grant, share.online]));
    let shares: Share[];
    try {
      shares = (await inbox(this.account, this.people)).map((share) => ({ ...share, online: known.get(share.grant) }));
    } catch {
      return; // the network's state is shown
    }
    if (look !== this.#looks) return;
    this.#known.value = shares;
    for (const share of shares) if (this.#asks && share.state === "accepted") void this.#ask(share, look);
  }

  async #ask(share: Share, look: number): Promise<void> {
    let online = true;
    try {
      await (await this.#source(share, "").open()).close();
    } catch (error) {
      online = error instanceof Problem && error.code === "unavailable" ? false : online; // who refuses is there
    }
    if (look !== this.#looks) return;
    this.#known.value = this.#known.peek()?.map((one) => (one.grant === share.grant ? { ...one, online } : one));
  }

  #source(offer: Offer, entry: string, root?: string): Source {
    return new Source(this.account, this.people, offer, entry, root);
  }

  async accept(share: Share): Promise<void> {
    const { grant, owner, catalog } = share;
    await this.people.append("shares", "share.accept", () => ({ grant, owner, catalog }));
    await this.#look();
  }

  async decline(share: Share): Promise<void> {
    const { grant, owner } = share;
    await this.people.append("shares", "share.decline", () => ({ grant, owner }));
    await this.#look();
  }

  async open(owner: string, catalog: string): Promise<Catalog> {
    const share = await this.#find(owner, catalog);
    const source = this.#source(share, "");
    try {
      const { entries } = await listing(source, this.#shelf);
      const opened = new OpenCatalog(share.owner, share.ownerHandle, share.name, entries, {
        shelf: this.#shelf,
        desk: () => (this.#desk ??= new Desk(navigator.serviceWorker)),
        source: (entry, root) => this.#source(share, entry, root),
        save,
        closed: () => this.#open.delete(opened),
      });
      this.#open.add(opened);
      return opened;
    } catch (error) {
      throw await this.#whyGone(share, error);
    }
  }

  /** #find is an accepted share, by account or handle and by id or name. */
  async #find(owner: string, catalog: string): Promise<Share> {
    const find = () =>
      this.#known.peek()?.filter((share) => [share.owner, share.ownerHandle].includes(owner) && [share.catalog, share.name].includes(catalog));
    let found = find();
    if (!found?.some((share) => share.state === "accepted")) {
      this.#known.value = await inbox(this.account, this.people);
      found = find();
    }
    const share = found?.find((one) => one.state === "accepted");
    if (share) return share;
    if (found?.[0]) throw new Problem("not-found", `${found[0].ownerHandle} offers you ${found[0].name}; accept it first.`);
    throw new Problem("not-found", "Nobody shares this with you, or not any more.");
  }

  /** #whyGone tells an owner who is away from one who has ended the share: both answer nothing. */
  async #whyGone(share: Share, error: unknown): Promise<unknown> {
    if (!(error instanceof Problem) || error.code !== "unavailable") return error;
    const owner = await this.people.person(share.owner).catch(() => undefined);
    if (!owner || standing(owner, share.grant, share.catalog, this.account.keys.account, Date.now())) return error;
    return new Problem("refused", `${share.ownerHandle} does not share ${share.name} with you any more.`);
  }

  async granted(): Promise<readonly Granted[]> {
    const own = await this.people.me();
    const standingNow = Object.entries(own.granted).filter(([grant, { catalog, to }]) => standing(own, grant, catalog, to, Date.now()));
    const all = await Promise.all(
      standingNow.map(async ([grant, { catalog, to, expires }]): Promise<Granted> => {
        const person = await this.people.person(to);
        const taken = Object.hasOwn(person.taken, grant);
        const name = await keptName(this.store, catalog);
        return {
          grant, catalog, ...(name === undefined ? {} : { name }), account: to, handle: person.handle, state: taken ? "accepted" : "offered",
          ...(expires === "" ? {} : { expires: new Date(expires) }),
        };
      }),
    );
    const order = new Intl.Collator().compare;
    return all.sort((a, b) => order(a.name ?? "", b.name ?? "") || order(a.handle, b.handle));
  }

  async share(catalog: string, handle: string, hours?: number, called?: string): Promise<void> {
    const name = called === undefined ? await keptName(this.store, catalog) : nameOf(called);
    if (name === undefined) throw new Problem("malformed", "Say what the catalog is called: this browser does not know.");
    const { keys } = this.account;
    const person = await this.people.find(handle);
    if (person.account === keys.account) throw new Problem("malformed", "You share with others, not with yourself.");
    await this.people.append("shares", "share.grant", async (own) => {
      const grant = this.#grantOf(own, catalog, person.account) ?? formatID(random(16));
      const sealed = await box(await parseXKey(person.xkey), "share", context(grant, keys.account), encode(about, { name }));
      return { grant, catalog, to: person.account, ...(hours ? { expires: this.#until(hours) } : {}), sealed: base64.write(sealed.box) };
    });
    await keepNames(this.store, [{ id: catalog, name }]);
  }

  /** #until is an end, in whole seconds: by this clock, for the hub's could make it later. */
  #until(hours: number): string {
    const seconds = Math.floor(Date.now() / 1000 + hours * 3600);
    return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  }

  #grantOf(own: PersonState, catalog: string, to: string): string | undefined {
    return Object.entries(own.granted).find(([, grant]) => grant.catalog === catalog && grant.to === to)?.[0];
  }

  async unshare(granted: Granted): Promise<void> {
    await this.people.append("shares", "share.revoke", () => ({ grant: granted.grant, to: granted.account }));
  }

  /** close ends what is open, as at the end of a session. */
  close(): void {
    clearInterval(this.#looking);
    for (const catalog of this.#open) catalog.close();
    this.#desk?.close();
  }
}

/**
 * save: what a frame is answered goes to the disk, and the page stays as it is. The frames stay too: in some browsers a
 * download lives as long as what asked for it.
 */
function save(address: string): void {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "Download";
  frame.src = address;
  document.body.append(frame);
}
