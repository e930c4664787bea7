// What this browser has verified of people and rooms: their chains, followed from the first event on and kept in the store.
// The highest head that was seen of a chain is never left, and another past of one ends the trust in it.

import { Problem } from "../model.ts";
import type { Account, Book, Signer, Store } from "../ports.ts";
import { hex, Refused, unhex } from "../protocol/bytes.ts";
import {
  applyHub, applyPerson, applyRoom, type HubState, personSubject, type PersonState, type Place, type RoomState, roomSubject, vouchedAt, written,
} from "../protocol/chain.ts";
import { encode, type Event, eventHash, makeEvent } from "../protocol/event.ts";
import { keyText, newRandomID, parseID, parseKey } from "../protocol/keys.ts";
import { name as normal } from "../protocol/names.ts";
import { exclusively, follow, Forked, type Page, Shared, short, Turns } from "./chains.ts";
import { Pins } from "./pins.ts";

const tries = 8; // to make an event anew for a chain that moved on
const skew = 10 * 60 * 1000;

/** Kept is what the store has of a chain: what it adds up to, and why it is not believed any more. */
export interface Kept<T> {
  state: T;
  /** verified is when fingerprint words were compared, in milliseconds. */
  verified?: number;
  forked?: string;
}

type Table = "people" | "rooms";

/** HubBook is the Book of ports.ts. What it gives out are its own states: they go on changing, and are only read. */
export class HubBook implements Book<PersonState, RoomState> {
  readonly pins: Pins;
  readonly #account: Account;
  readonly #store: Store;
  readonly #pages = new Map<string, Promise<Kept<PersonState | RoomState> | undefined>>();
  readonly #syncs = new Shared<PersonState | RoomState>();
  readonly #turns = new Turns();
  #host: HubState = { seq: 0, head: "", invites: {} };

  constructor(account: Account, store: Store) {
    this.#account = account;
    this.#store = store;
    this.pins = new Pins(store, this.#lock("pins"));
  }

  get account(): string {
    return this.#account.keys.account;
  }

  #lock = (what: string): string => `keyhall ${this.#account.keys.account} ${what}`;

  // People.

  me(): Promise<PersonState> {
    return this.look(this.account);
  }

  async person(account: string): Promise<PersonState> {
    const person = await this.look(account);
    await this.pins.pin(person.handle, account);
    return person;
  }

  /** look is person for somebody who was named by their key: whose handle it is does not matter. */
  async look(account: string): Promise<PersonState> {
    try {
      parseKey("A", account);
    } catch {
      throw new Problem("malformed", `“${short(account)}” is not an account.`);
    }
    return this.#syncs.take(`people ${account}`, () => this.#person(account)) as Promise<PersonState>;
  }

  async known(account: string): Promise<PersonState | undefined> {
    return (await this.kept<PersonState>("people", account))?.state;
  }

  async find(handle: string): Promise<PersonState> {
    const wanted = nameOf(handle);
    const { account } = await this.#account.call<{ account: string }>("people.find", { handle: wanted });
    const person = await this.look(String(account));
    if (person.handle !== wanted) {
      throw new Forked(`The hub says that ${wanted} is ${short(account)}, but that account's own name is ${person.handle}; do not trust it.`);
    }
    await this.pins.pin(wanted, person.account);
    return person;
  }

  /** known and vouched: vouch applies a judgement to the author of an event, as known, and once more after bringing it up to date. */
  async vouch<T>(ev: Event, judge: (author: PersonState) => T): Promise<T> {
    const account = keyText("A", ev.author);
    const known = await this.known(account);
    if (known) {
      try {
        return judge(known);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
      }
    }
    return judge(await this.look(account));
  }

  async again(account: string): Promise<PersonState> {
    const read = async (): Promise<PersonState> => {
      const before = await this.kept<PersonState>("people", account);
      if (before?.forked) throw new Forked(before.forked);
      let fresh: PersonState | undefined;
      await this.#explained(`of ${short(account)}`, "people", account, () => this.#follow(account, () => fresh, (state) => (fresh = state)));
      if (before && fresh!.places[before.state.head] !== before.state.seq) {
        throw await this.#forked("people", account, `The hub shows another past of the chain of ${short(account)} than before; do not trust it.`);
      }
      const kept = { ...before, state: fresh! };
      this.#pages.set(`people ${account}`, Promise.resolve(kept));
      await this.#save("people", account, kept);
      return fresh!;
    };
    return this.#syncs.take(`people again ${account}`, read, `people ${account}`) as Promise<PersonState>; // what is compared must not move on meanwhile
  }

  async #person(account: string): Promise<PersonState> {
    const kept = await this.kept<PersonState>("people", account);
    if (kept?.forked) throw new Forked(kept.forked);
    let state = kept?.state;
    const before = state?.seq ?? 0;
    await this.#explained(`of ${short(account)}`, "people", account, () => this.#follow(account, () => state, (next) => (state = next)));
    if (state!.seq > before) await this.#keep("people", account, kept, state!);
    return state!;
  }

  /** wasRevoked says whether one's own device was, by what is known here or what page shows of one's chain. */
  async wasRevoked(device: string, page: Page): Promise<boolean> {
    let state = await this.known(this.account);
    const revoked = () => (state?.devices[device]?.revoked ?? 0) !== 0;
    if (!revoked()) await this.#follow(this.account, () => state, (next) => (state = next), page);
    return revoked();
  }

  #follow(
    account: string,
    get: () => PersonState | undefined,
    set: (state: PersonState) => void,
    page: Page = (after) => this.#account.call("people.chain", { account, after }),
  ): Promise<void> {
    return follow(`of ${short(account)}`, page, () => get() ?? { seq: 0, head: "" }, async (ev, entry) => {
      if (entry.withheld && account === this.account) {
        throw new Problem("refused", "The hub withholds from you what you did yourself; do not trust it.");
      }
      const next = await applyPerson(get(), this.#account.hub.id, ev, entry.withheld);
      if (next.account !== account) throw new Refused("place", "it is not there");
      set(next);
    });
  }

  /** hostInvited says whether the hub's host has announced an invite. */
  async hostInvited(invite: string): Promise<boolean> {
    return this.#turns.take("hub", async () => {
      if (!Object.hasOwn(this.#host.invites, invite)) {
        const { id, signingKeys } = this.#account.hub;
        const hub = { id, key: parseKey("O", id), signing: signingKeys.map((key) => parseKey("O", key)) };
        const page = (after: number) => this.#account.call("people.chain", { account: "hub", after });
        await this.#explained("of the hub", undefined, "", () =>
          follow("of the hub", page, () => this.#host, async (ev) => {
            this.#host = await applyHub(this.#host, hub, ev);
          }),
        );
      }
      return Object.hasOwn(this.#host.invites, invite);
    });
  }

  /** markVerified notes that fingerprint words were compared. That settles whose handle it is. */
  async markVerified(account: string): Promise<void> {
    const person = await this.look(account);
    const kept = (await this.kept<PersonState>("people", account))!;
    kept.verified = Date.now();
    await this.#save("people", account, kept);
    await this.pins.settle(person.handle, account);
  }

  // Rooms.

  async room(id: string): Promise<RoomState> {
    try {
      parseID(id);
    } catch {
      throw new Problem("malformed", `“${short(id)}” is not a room.`);
    }
    return this.#syncs.take(`rooms ${id}`, () => this.#room(id)) as Promise<RoomState>;
  }

  /** knownRoom is what is there of a room already, however old. */
  async knownRoom(id: string): Promise<RoomState | undefined> {
    return (await this.kept<RoomState>("rooms", id))?.state;
  }

  async #room(id: string): Promise<RoomState> {
    const kept = await this.kept<RoomState>("rooms", id);
    if (kept?.forked) throw new Forked(kept.forked);
    let state = kept?.state;
    const before = state?.seq ?? 0;
    const page = (after: number) => this.#account.call("rooms.chain", { room: id, after });
    await this.#explained(`of room ${short(id)}`, "rooms", id, () =>
      follow(`of room ${short(id)}`, page, () => state ?? { seq: 0, head: "" }, async (ev) => {
        state = await this.#applyRoom(id, state, ev);
      }),
    );
    if (state!.seq > before) await this.#keep("rooms", id, kept, state!);
    return state!;
  }

  /**
   * #applyRoom folds the next event of a room's chain in. Its device was the author's at the head that the event names, and was not revoked
   * at one that the author named here before: a revoked device cannot add to the chain by naming an old head.
   */
  async #applyRoom(id: string, state: RoomState | undefined, ev: Event): Promise<RoomState> {
    const account = keyText("A", ev.author);
    const device = keyText("U", ev.device);
    const named = await this.vouch(ev, (author) => {
      const at = vouchedAt(author, ev);
      const revoked = author.devices[device]?.revoked ?? 0;
      if (revoked !== 0 && revoked <= (state?.heads[account] ?? 0)) throw new Refused("refused", "the device was revoked before");
      return at;
    });
    const next = await applyRoom(state, id, this.#account.hub.id, ev, this.account);
    next.heads[account] = Math.max(next.heads[account] ?? 0, named);
    return next;
  }

  // What is kept.

  /** kept is what is known of a chain without asking the hub. */
  kept<T extends PersonState | RoomState>(table: Table, key: string): Promise<Kept<T> | undefined> {
    const name = `${table} ${key}`;
    let page = this.#pages.get(name);
    if (!page) {
      page = this.#store.get<Kept<PersonState | RoomState>>(table, key);
      this.#pages.set(name, page);
      page.catch(() => this.#pages.delete(name));
    }
    return page as Promise<Kept<T> | undefined>;
  }

  async #keep<T extends PersonState | RoomState>(table: Table, key: string, before: Kept<T> | undefined, state: T): Promise<void> {
    const kept = before ?? { state };
    kept.state = state;
    this.#pages.set(`${table} ${key}`, Promise.resolve(kept));
    await this.#save(table, key, kept);
  }

  /** #save writes a page, or takes the newer one of another tab; one that has seen another past is told. */
  async #save<T extends PersonState | RoomState>(table: Table, key: string, kept: Kept<T>): Promise<void> {
    const another = await exclusively(this.#lock(table), async () => {
      const stored = await this.#store.get<Kept<T>>(table, key);
      const [low, high] = stored && stored.state.seq > kept.state.seq ? [kept.state, stored.state] : [stored?.state, kept.state];
      if (low !== undefined && high.places[low.head] !== low.seq) return true;
      Object.assign(kept, { ...stored, ...kept, state: high });
      await this.#store.put(table, key, kept);
      return false;
    });
    if (another) throw await this.#forked(table, key, `The hub showed another tab of this browser another past of the chain of ${short(key)}; do not trust it.`);
  }

  async #forked(table: Table, key: string, sentence: string): Promise<Forked> {
    const kept = await this.kept(table, key);
    if (kept && !kept.forked) {
      kept.forked = sentence;
      await this.#store.put(table, key, kept);
    }
    return new Forked(sentence);
  }

  /** #explained turns what does not hold of a chain into what people read, and remembers a fork. */
  async #explained(of: string, table: Table | undefined, key: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (error instanceof Forked && table) throw await this.#forked(table, key, error.message);
      if (error instanceof Refused) {
        throw new Problem("refused", `What the hub shows of the chain ${of} does not hold (${error.message}); do not trust it.`);
      }
      throw error;
    }
  }

  // What is done.

  /** clocks refuses to sign what nobody would believe: the hub's clock and this one's are too far apart. */
  clocks(): void {
    const apart = Math.abs(this.#account.clock());
    if (apart <= skew) return;
    const minutes = Math.round(apart / 60_000);
    throw new Problem("refused", `The clocks of this device and of the hub are ${minutes} minutes apart; set the wrong one right and try again.`);
  }

  async append(verb: "people" | "shares", type: string, body: (own: PersonState) => unknown | Promise<unknown>, by?: Signer): Promise<void> {
    await this.#turns.take("own", () =>
      this.#repeat("Your chain", async () => {
        const own = await this.me();
        const at = placeOf(own);
        const said = await body(own);
        const ev = await this.#made(type, personSubject(this.account), at, at, said, by);
        if (type === "share.revoke") this.#tellOwn(ev); // serving ends before the hub knows, and whether it answers or not
        await this.#hand(verb, ev, () => this.me(), "your chain");
        this.#tellOwn(ev);
      }),
    );
  }

  async appendRoom(room: string, type: string, body: (state: RoomState) => unknown | Promise<unknown>): Promise<void> {
    await this.#turns.take(`room ${room}`, () =>
      this.#repeat("The room", async () => {
        const state = await this.room(room);
        const at = placeOf(state);
        const said = await body(state);
        if (said === undefined) return; // nothing to do
        this.clocks();
        const ev = await this.#made(type, roomSubject(room), at, await this.me(), said);
        const look = () => (type === "room.leave" ? Promise.resolve(undefined) : this.room(room)); // who has left reads no more
        await this.#hand("rooms", ev, look, "the room");
      }),
    );
  }

  /** createRoom makes a room and gives its id. */
  async createRoom(kind: "sealed" | "open", listed: boolean, name: string): Promise<string> {
    this.clocks();
    const room = newRandomID();
    const said = { room, kind, listed, ...(listed || kind === "open" ? { name } : {}) };
    const ev = await this.#made("room.create", roomSubject(room), { seq: 0, head: "" }, await this.me(), said);
    await this.#hand("rooms", ev, () => this.room(room), "the room");
    return room;
  }

  async #repeat(what: string, attempt: () => Promise<void>): Promise<void> {
    for (let left = tries; left > 0; left--) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "conflict") throw error;
      }
    }
    throw new Problem("conflict", `${what} changes faster than this could be added; try again.`);
  }

  /** #made is the next event of a chain. */
  #made(type: string, subject: string, at: Place, own: Place, said: unknown, by: Signer = this.#account.keys.device): Promise<Event> {
    const { hub } = this.#account;
    const draft = { author: parseKey("A", this.account), type, subject, audience: hub.id, seq: BigInt(at.seq) + 1n, prev: hash(at.head), head: hash(own.head) };
    return makeEvent(draft, written(type, said), by);
  }

  /** #hand has the hub append an event, and looks whether it stands there, whatever the hub says. */
  async #hand(verb: string, ev: Event, look: () => Promise<(Place & { places: Record<string, number> }) | undefined>, where: string): Promise<void> {
    const name = hex(await eventHash(ev));
    const stands = async () => {
      const chain = await look();
      return chain === undefined || chain.places[name] === Number(ev.seq);
    };
    try {
      await this.#account.send(`${verb}.append`, encode(ev));
    } catch (error) {
      if (ev.type === "room.leave" || !(await stands().catch(() => false))) throw error;
      return; // the answer was lost, not the event
    }
    if (!(await stands())) {
      throw new Problem("refused", `The hub says that it has done this, but ${where} does not show it; do not rely on it.`);
    }
  }

  /** #tellOwn shows an event to the person's other programs at once; the ledger tells them in any case. */
  #tellOwn(ev: Event): void {
    this.#account.wire.publish("own.chain", encode(ev));
  }
}

/** placeOf is where a chain is now: what is made for it is made for this place, however far it goes on meanwhile. */
const placeOf = ({ seq, head }: Place): Place => ({ seq, head });

const hash = (text: string): Uint8Array => (text === "" ? new Uint8Array(32) : unhex(text, 32));

/** nameOf is a name in its normal form. */
export function nameOf(text: string): string {
  try {
    return normal(text.trim());
  } catch {
    throw new Problem("malformed", `“${short(text.trim())}” is no name: names have 1 to 32 letters, digits, - and _, and begin with a letter or digit.`);
  }
}
