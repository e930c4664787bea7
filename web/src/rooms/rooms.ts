// The rooms that one is in, and those one may join.

import { effect, type ReadonlySignal, untracked } from "@preact/signals";

import { HubBook, type Kept, nameOf } from "../hub/book.ts";
import { connectRooms } from "../hub/wire.ts";
import { Problem } from "../model.ts";
import type { RoomInfo, Rooms } from "../model.ts";
import { each } from "../people.ts";
import type { Account, Store, Wire } from "../ports.ts";
import { entitled, grantOf, roleOf, type RoomState } from "../protocol/chain.ts";
import { decode, uuid } from "../protocol/event.ts";
import { keyText } from "../protocol/keys.ts";
import { isName } from "../protocol/names.ts";
import { liveSubject } from "../protocol/presence.ts";
import { type History, readHistory, type Received, type Request } from "./feed.ts";
import { Hall, type House } from "./hall.ts";
import { saySubject } from "./judge.ts";
import { Keyring } from "./keyring.ts";
import { Line, mostRooms } from "./line.ts";
import { type Listed, visibleRooms } from "./listing.ts";
import { Outbox } from "./outbox.ts";
import type { Ether } from "./presence.ts";
import { Rows } from "./rows.ts";
import { Speaker } from "./speaker.ts";

const headsSoon = 1_000; // heads are compared this long after a connect
const headsEvery = 30_000; // and then at this interval
const listEvery = 10_000; // while the page can be seen
const recent = 200; // messages among which one is looked for that may have been stored

/** Entered is a room that is open on the screen, however often. */
interface Entered {
  hall: Hall;
  users: number;
  begun: Promise<void>;
  /** deaf ends hearing who is there. */
  deaf?: () => void;
}

/** HubRooms is the Rooms of model.ts. */
export class HubRooms implements Rooms, House {
  readonly keyring: Keyring;
  readonly speaker: Speaker;
  readonly outbox: Outbox;
  readonly line: Line;
  readonly #rows: Rows;
  readonly #halls = new Map<string, Entered>();
  readonly #names = new Map<string, string>(); // of rooms, as they were first seen
  readonly #told = new Set<string>();
  #joined = new Set<string>(); // open rooms that one entered without a grant
  #ends: (() => void)[] = [];
  #looking: Promise<void> | undefined;
  #changes = 0; // of one's own to the list
  #closed = false;

  constructor(
    private readonly at: Account,
    readonly book: HubBook,
    private readonly store: Store,
    private readonly notice: (problem: Problem) => void = () => undefined,
    connect: (rooms: readonly string[]) => Wire = (rooms) => connectRooms(at.hub, at.keys, rooms),
  ) {
    this.#rows = new Rows(at.keys.account, store);
    this.keyring = new Keyring(at);
    this.speaker = new Speaker(at, book, this.keyring);
    this.line = new Line(connect, at.hub.session);
    this.outbox = new Outbox(store, {
      online: () => this.line.state.peek() === "online",
      sign: (item) => this.#inside(item.room, this.speaker.message(item.room, item.text, item.id)),
      publish: (item, data, options) => this.#publish(item.room, data, options),
      stored: (item) => this.#inside(item.room, this.#find(item.room, uuid(item.id))),
      changed: (room) => this.#halls.get(room)?.hall.refresh(),
    }, `keyhall ${at.keys.account} tab`);
  }

  get list(): Rooms["list"] {
    return this.#rows.list;
  }

  get account(): string {
    return this.at.keys.account;
  }

  get hub(): string {
    return this.at.hub.id;
  }

  /** begin looks for rooms, and goes on looking until close, or until the connection to the person's account is closed. */
  begin(): this {
    this.#ends.push(effect(() => void (this.at.wire.state.value === "closed" && this.close())));
    void this.#begun().catch((error: unknown) => this.tell(error));
    return this;
  }

  async #begun(): Promise<void> {
    const [joined] = await Promise.all([this.store.get<string[]>("settings", "joined"), this.#rows.load()]);
    this.#joined = new Set(joined ?? []);
    const seen = (): void => {
      if (globalThis.document?.visibilityState !== "hidden") void this.look();
    };
    const timers = [setInterval(seen, listEvery), setInterval(() => this.#compareAll(), headsEvery)];
    globalThis.document?.addEventListener("visibilitychange", seen);
    this.#ends.push(() => timers.forEach(clearInterval), () => globalThis.document?.removeEventListener("visibilitychange", seen));
    this.#ends.push(effect(() => (this.line.state.value === "online" ? untracked(() => this.#online()) : undefined)));
    this.#ends.push(effect(() => (this.at.wire.state.value === "online" ? untracked(() => void this.look()) : undefined)));
    await this.outbox.load();
    await this.#remember();
    await this.look();
  }

  /** #remember shows the rooms of the last time, until the hub has said which there are. */
  async #remember(): Promise<void> {
    const kept = await this.store.all<Kept<RoomState>>("rooms");
    const infos = await each(kept, ([id]) => this.book.knownRoom(id).then((state) => (state ? this.#asMember(state) : undefined)));
    const mine = infos.filter((info): info is RoomInfo => info?.role !== undefined);
    if (this.list.peek() || mine.length === 0) return;
    this.#rows.show(mine);
  }

  /** #online: the connection to rooms is there, or there again. */
  #online(): () => void {
    this.#compareAll();
    for (const { hall } of this.#halls.values()) hall.back();
    this.outbox.sendAll();
    const timer = setTimeout(() => this.#compareAll(), headsSoon);
    return () => clearTimeout(timer);
  }

  #compareAll(): void {
    for (const { hall } of this.#halls.values()) void hall.compare();
  }

  // The list.

  /** look asks the hub which rooms there are. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.tell(error))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    const at = this.#changes;
    const visible = await visibleRooms(this.at);
    const infos = await each(visible, (one) => this.#describe(one));
    if (at !== this.#changes) return this.#look(); // what the hub said is from before
    const shown = infos.filter((info): info is RoomInfo => info !== undefined);
    this.#rows.show(shown);
    const mine = shown.filter((info) => info.role !== undefined).map((info) => info.id);
    await this.#hearAll(mine);
    await each(mine.filter((id) => !this.#halls.has(id)), (id) => this.#count(id));
  }

  /**
   * #describe is a room that the hub lists. Of one that the person is in, or knows from the inside, its chain says what it is; of another the hub
   * alone does, and nothing is said or read there. Undefined: it is none.
   */
  async #describe(one: Listed): Promise<RoomInfo | undefined> {
    const known = await this.book.knownRoom(one.room);
    const open = one.kind === "open";
    if (known || (one.role && !open) || this.#joined.has(one.room)) {
      try {
        const same = known && entitled(known, Date.now()).length === one.members && roleOf(known, this.account, Date.now()) === (one.role ?? "");
        return await this.#asMember(same ? known : await this.book.room(one.room));
      } catch (error) {
        if (!(error instanceof Problem) || error.code === "unavailable") throw error;
        if (error.code !== "not-found") this.tell(error);
      }
    }
    if (!isName(one.name ?? "") || (!one.listed && !open)) return undefined;
    return { id: one.room, name: one.name!, open, listed: one.listed || open, members: Number(one.members), unread: 0 };
  }

  /** #asMember is a room as its chain has it. */
  async #asMember(state: RoomState): Promise<RoomInfo> {
    const now = Date.now();
    const open = state.kind === "open";
    const info: RoomInfo = { id: state.id, open, listed: state.listed || open, members: entitled(state, now).length, unread: 0 };
    const role = grantOf(state, this.account, now)?.role ?? (open && this.#joined.has(state.id) ? "writer" : undefined);
    if (role) info.role = role;
    const name = await this.#name(state);
    if (name !== undefined) info.name = name;
    return info;
  }

  /** #name is what the person calls a room: as it was called when they first saw it, whatever a writer has named it since. */
  async #name(state: RoomState): Promise<string | undefined> {
    const known = this.#names.get(state.id);
    if (known !== undefined) return known;
    const key = `room-name ${state.id}`;
    const before = await this.store.get<string>("settings", key);
    const name = before ?? (await this.keyring.name(state));
    if (name === undefined) return undefined;
    this.#names.set(state.id, name);
    if (before === undefined) await this.store.put("settings", key, name);
    return name;
  }

  info(room: string): ReadonlySignal<RoomInfo> {
    return this.#rows.get(room).info;
  }

  counts(room: string, unread: number): void {
    this.#rows.counts(room, unread);
  }

  marked(room: string): number {
    return this.#rows.get(room).mark;
  }

  mark(room: string, seq: number): void {
    this.#rows.mark(room, seq);
  }

  /** #count counts what is unread in a room that is not open; where it is heard, what comes is counted already. */
  async #count(room: string): Promise<void> {
    const row = this.#rows.get(room);
    if (row.counted > 0 && row.hear && this.line.state.peek() === "online") return;
    await this.#rows.count(room, (request) => this.history(room, request));
  }

  // The connection.

  /** #hearAll listens to as many of one's rooms as a connection takes: those that are open, and then the others. */
  async #hearAll(mine: readonly string[]): Promise<void> {
    const wanted = [...new Set([...this.#halls.keys(), ...mine])].slice(0, mostRooms);
    if (wanted.length > 0) await this.line.reach(wanted, () => []);
    for (const id of wanted) if (this.#rows.get(id).refused === undefined) this.#hear(id);
  }

  #hear(id: string): void {
    const row = this.#rows.get(id);
    row.hear ??= this.line.subscribe(`feed.${id}`, (message) => this.#heard(id, message), () => this.#refused(id));
  }

  #heard(id: string, message: Received): void {
    const hall = this.#halls.get(id)?.hall;
    if (hall) hall.receive(message);
    else this.#rows.hears(id, message);
  }

  #refused(id: string): void {
    const row = this.#rows.get(id);
    row.hear?.();
    delete row.hear;
    row.refused = `The hub does not let you into ${row.info.peek().name ?? "this room"}.`;
    if (this.#halls.has(id)) this.tell(new Problem("refused", row.refused));
  }

  /** listen hears one room, with rights that were asked for before; it fails where the hub does not let the person in. */
  async listen(id: string): Promise<void> {
    const row = this.#rows.get(id);
    const anew = row.refused !== undefined && this.line.has(id); // rights that the connection was made with
    delete row.refused;
    if (anew) await this.line.renew();
    await this.line.reach([id], () => [...this.#halls.keys(), ...this.#rows.heard()]);
    this.#hear(id);
    const entered = this.#halls.get(id);
    if (entered) entered.deaf ??= this.line.subscribe(`room.${id}.live.*`, ({ subject, data }) => entered.hall.receiveLive(subject, data), () => undefined);
    await this.line.flush();
    await Promise.resolve(); // a refusal came before the answer to the flush
    if (row.refused !== undefined) throw new Problem("refused", row.refused);
  }

  async #publish(room: string, data: Uint8Array, options: { timeout: number; headers: Record<string, string> }): Promise<Uint8Array> {
    if (!this.line.has(room)) await this.listen(room);
    return this.line.request(saySubject(room, this.account), data, options);
  }

  async history(room: string, request: Request): Promise<History> {
    return readHistory(await this.at.call("rooms.history", { room, after: 0, ...request }), request);
  }

  /** #find looks for a message of one's own among the newest of a room. */
  async #find(room: string, id: string): Promise<number | undefined> {
    const { messages } = await this.history(room, { last: true, limit: recent });
    return messages.find(({ data }) => {
      try {
        const ev = decode(data);
        return uuid(ev.id) === id && keyText("A", ev.author) === this.account;
      } catch {
        return false;
      }
    })?.seq;
  }

  ether(room: string): Ether {
    return {
      hub: this.hub, book: this.book, keyring: this.keyring, account: this.account, device: this.at.keys.device.text, handleOfMine: this.at.keys.handle,
      now: () => Date.now() + this.at.clock(),
      presence: (live) => this.speaker.presence(room, live),
      publish: (data) => this.line.publish(liveSubject(room, this.account), data),
      handle: async (account) => {
        const [person, state] = [await this.book.known(account), await this.book.knownRoom(room)];
        if (!person || !state || roleOf(state, account, Date.now()) === "") return undefined; // put out meanwhile
        return this.book.pins.pin(person.handle, account).then(() => person.handle, () => undefined);
      },
    };
  }

  tell(problem: unknown): void {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code === "not-found") return void this.look(); // put out of a room, or it is gone: the list shows it
    if (problem.code === "unavailable" || problem.code === "cancelled" || this.#closed || this.#told.has(problem.message)) return;
    this.#told.add(problem.message);
    this.notice(problem);
  }

  // What is done.

  async create(text: string, { open, listed }: { open: boolean; listed: boolean }): Promise<RoomInfo> {
    const name = nameOf(text);
    if (this.list.peek()?.some((room) => room.name === name)) throw new Problem("taken", `You know a room called ${name} already.`);
    const id = await this.book.createRoom(open ? "open" : "sealed", listed || open, name);
    await this.store.put("settings", `room-name ${id}`, name);
    if (!open) await this.book.appendRoom(id, "room.epoch", (state) => this.speaker.newEpoch(state, name));
    const info = await this.#asMember(await this.book.room(id));
    this.#changes++;
    this.#rows.add(info);
    return info;
  }

  async enter(id: string): Promise<Hall> {
    const there = await this.#entered(id);
    if (there) return there;
    const state = await this.#state(id);
    const meanwhile = await this.#entered(id);
    if (meanwhile) return meanwhile;
    const entered: Entered = { hall: new Hall(this, id), users: 1, begun: Promise.resolve() };
    this.#halls.set(id, entered);
    entered.begun = this.#furnish(entered.hall, state);
    await entered.begun;
    return entered.hall;
  }

  /** #entered is a room that is open already. */
  async #entered(id: string): Promise<Hall | undefined> {
    const entered = this.#halls.get(id);
    if (!entered) return undefined;
    entered.users++;
    await entered.begun;
    return entered.hall;
  }

  async #furnish(hall: Hall, state: RoomState): Promise<void> {
    try {
      if (state.kind === "open" && !grantOf(state, this.account, Date.now())) await this.#join(hall.id);
      this.#rows.set(await this.#asMember(state));
      await hall.begin();
      this.speaker.look(hall.id, 0).catch((error: unknown) => this.tell(error));
    } catch (error) {
      if (error instanceof Problem && error.code === "unavailable") return hall.refresh(); // it begins when there is a network
      this.#forget(hall);
      throw this.#outside(hall.id, error);
    }
  }

  /** #state is a room's chain, as known or as the hub shows it now. */
  async #state(id: string): Promise<RoomState> {
    const known = await this.book.knownRoom(id);
    if (known && roleOf(known, this.account, Date.now()) !== "") return known;
    try {
      const state = await this.book.room(id);
      if (roleOf(state, this.account, Date.now()) === "") throw new Problem("not-found", "not in it");
      return state;
    } catch (error) {
      throw this.#outside(id, error);
    }
  }

  /** #inside has what fails because one is not in a room say so. */
  #inside<T>(id: string, done: Promise<T>): Promise<T> {
    return done.catch((error: unknown) => Promise.reject(this.#outside(id, error)));
  }

  #outside(id: string, error: unknown): unknown {
    if (!(error instanceof Problem) || error.code !== "not-found") return error;
    const name = this.#rows.get(id).info.peek().name ?? this.list.peek()?.find((room) => room.id === id)?.name;
    return new Problem("refused", `You are not in ${name ?? "this room"}; its moderators can let you in.`);
  }

  async #join(id: string): Promise<void> {
    if (this.#joined.has(id)) return;
    this.#joined.add(id);
    this.#changes++;
    await this.store.put("settings", "joined", Array.from(this.#joined));
    void this.look();
  }

  async leave(id: string): Promise<void> {
    const state = await this.#state(id);
    if (state.creator === this.account) throw new Problem("refused", "You created this room; its creator cannot leave it.");
    const hall = this.#halls.get(id)?.hall;
    await hall?.farewell(); // while it can be said
    try {
      if (grantOf(state, this.account, Date.now())) await this.book.appendRoom(id, "room.leave", () => ({}));
    } catch (error) {
      hall?.back();
      throw error;
    }
    if (this.#joined.delete(id)) await this.store.put("settings", "joined", Array.from(this.#joined));
    this.#changes++;
    this.#rows.drop(id);
    await this.look();
  }

  left(hall: Hall): void {
    const entered = this.#halls.get(hall.id);
    if (entered?.hall !== hall || --entered.users > 0) return;
    this.#rows.get(hall.id).counted = Math.max(this.#rows.get(hall.id).counted, hall.known);
    this.#forget(hall);
  }

  #forget(hall: Hall): void {
    this.#halls.get(hall.id)?.deaf?.();
    this.#halls.delete(hall.id);
    void hall.end();
  }

  /** close lets go of everything; what was not sent stays in the store. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) queueMicrotask(end); // one of them may be what is running
    this.outbox.close();
    await Promise.all(Array.from(this.#halls.values(), ({ hall }) => hall.end()));
    await this.line.close();
  }
}
