// A room that is open on the screen.

import { type ReadonlySignal, signal } from "@preact/signals";

import type { Member, Message, Role, Room, RoomInfo } from "../model.ts";
import { Problem } from "../model.ts";
import { type Entry, Forked } from "../hub/chains.ts";
import type { HubBook } from "../hub/book.ts";
import { each } from "../people.ts";
import { equal, Refused } from "../protocol/bytes.ts";
import { timeText } from "../protocol/canonical.ts";
import { entitled, grantOf, roleOf, type RoomState } from "../protocol/chain.ts";
import { decode, type Event, uuid } from "../protocol/event.ts";
import { keyText, newRandomID } from "../protocol/keys.ts";
import { Feed, type History, type Received, type Request } from "./feed.ts";
import { type Judge, readMessage, whyNot } from "./judge.ts";
import type { Keyring } from "./keyring.ts";
import type { Item, Outbox } from "./outbox.ts";
import { type Ether, Present } from "./presence.ts";
import type { Speaker } from "./speaker.ts";

const page = 50;
const full = 128 << 10; // bytes of an answer that may have had no room for more

/** House is what a room needs of the rooms around it. */
export interface House extends Judge {
  readonly book: HubBook;
  readonly keyring: Keyring;
  readonly speaker: Speaker;
  readonly outbox: Outbox;
  readonly account: string;
  /** listen hears a room; it fails where the hub does not let the person in. */
  listen(room: string): Promise<void>;
  history(room: string, request: Request): Promise<History>;
  ether(room: string): Ether;
  info(room: string): ReadonlySignal<RoomInfo>;
  /** counts says how much of an open room nobody has seen, and mark up to where everything was. */
  counts(room: string, unread: number): void;
  marked(room: string): number;
  mark(room: string, seq: number): void;
  /** tell is for what goes wrong while nobody waits for it. */
  tell(problem: unknown): void;
  left(hall: Hall): void;
}

/** Hall is the Room of model.ts. */
export class Hall implements Room {
  readonly info: ReadonlySignal<RoomInfo>;
  readonly messages = signal<readonly Message[]>([]);
  readonly more = signal(false);
  readonly #feed: Feed;
  readonly #present: Present;
  #stored: Message[] = []; // in the order of the room
  #first = Infinity; // lowest sequence that was asked for
  readonly #seen = new Map<string, Message>(); // by author and id
  #held = false; // the messages are shown when all of a page are there
  #beginning: Promise<void> | undefined;
  #climbing: Promise<void> | undefined;
  #closed = false;

  constructor(
    private readonly house: House,
    readonly id: string,
  ) {
    this.info = house.info(id);
    this.#present = new Present(id, house.ether(id));
    this.#feed = new Feed({
      history: (request) => house.history(id, request),
      show: (entry, live) => this.#show(entry, live),
      problem: (problem) => house.tell(problem),
    });
  }

  /** known is the newest sequence that was handled. */
  get known(): number {
    return this.#feed.known;
  }

  get present(): Room["present"] {
    return this.#present.others;
  }

  // What comes.

  /** begin reads the newest messages; the feed is listened to before. */
  begin(): Promise<void> {
    this.#beginning ??= this.#begin().finally(() => (this.#beginning = undefined));
    return this.#beginning;
  }

  async #begin(): Promise<void> {
    if (this.#feed.ready || this.#closed) return;
    await this.house.listen(this.id);
    this.#held = true;
    try {
      const history = await this.#feed.begin(page);
      this.#climbed(history);
      this.#first = Math.min(this.#first, history.last + 1);
    } finally {
      this.#held = false;
      this.refresh();
    }
    this.#present.begin();
    this.house.outbox.send(this.id);
  }

  receive(message: Received): void {
    this.#feed.receive(message);
  }

  receiveLive(subject: string, data: Uint8Array): void {
    if (!this.#closed) void this.#present.receive(subject, data);
  }

  /** compare looks whether the room, or its chain, has gone further than was heard. */
  async compare(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.begin();
      await this.house.speaker.look(this.id, 0);
    } catch (error) {
      this.house.tell(error);
    }
    await this.#feed.compare();
  }

  /** back is for after the connection was lost. */
  back(): void {
    if (this.#feed.ready) this.#present.back();
  }

  /** farewell tells the others that one is about to leave. */
  farewell(): Promise<void> {
    return this.#present.farewell();
  }

  /** #show takes an entry of the room: true if it is a message that is shown. */
  async #show(entry: Entry, live: boolean): Promise<boolean> {
    let ev: Event;
    try {
      ev = decode(entry.data);
    } catch {
      return false; // it is no message at all: nobody said it
    }
    this.#add(this.#sentHere(ev, entry) ?? (await this.#judged(ev, entry, live)));
    return true;
  }

  /** #sentHere is a message that this very page has signed: it needs no judging. */
  #sentHere(ev: Event, entry: Entry): Message | undefined {
    const id = uuid(ev.id);
    const item = keyText("A", ev.author) === this.house.account ? this.house.outbox.of(this.id).find((one) => uuid(one.id) === id) : undefined;
    if (!item) return undefined;
    const same = item.signed !== undefined && equal(item.signed.data, entry.data);
    if (same) this.house.outbox.came(this.id, id);
    return same ? this.#message(ev, entry, item.text, this.#ownHandle()) : undefined;
  }

  #ownHandle = (): string => this.house.ether(this.id).handleOfMine;

  #message(ev: Event, entry: Entry, text: string, handle: string): Message {
    const author = keyText("A", ev.author);
    return { id: uuid(ev.id), seq: entry.seq, author, handle, mine: author === this.house.account, time: new Date(Number(ev.time)), text, state: "stored" };
  }

  async #judged(ev: Event, entry: Entry, live: boolean): Promise<Message> {
    const author = keyText("A", ev.author);
    try {
      const text = await readMessage(this.house, this.id, ev, entry.time, live);
      const message = this.#message(ev, entry, text, await this.#handle(author));
      if (message.mine) this.house.outbox.came(this.id, message.id);
      return message;
    } catch (error) {
      if (error instanceof Refused && error.check === "no-key") {
        return { ...this.#message(ev, entry, "", await this.#handle(author)), unreadable: whyNot(error) };
      }
      if (error instanceof Refused) return unreadable(entry, whyNot(error));
      if (error instanceof Forked || (error instanceof Problem && error.code === "refused")) return unreadable(entry, error.message);
      throw error;
    }
  }

  /** #handle is what somebody who said something is called. */
  async #handle(author: string): Promise<string> {
    const person = (await this.house.book.known(author)) ?? (await this.house.book.person(author));
    await this.house.book.pins.pin(person.handle, author);
    return person.handle;
  }

  /** #add puts a message in its place. Of messages of one author under one id the first in the room counts. */
  #add(message: Message): void {
    const key = `${message.author} ${message.id}`;
    const before = this.#seen.get(key);
    if (before && before.seq! <= message.seq!) return;
    if (before) this.#stored = this.#stored.filter((one) => one !== before);
    this.#seen.set(key, message);
    const at = this.#stored.findLastIndex((one) => one.seq! < message.seq!) + 1;
    this.#stored.splice(at, 0, message);
    this.#present.heard(message.author);
    this.refresh();
  }

  /** refresh shows what there is: the room's messages, then what waits here to be stored. */
  refresh(): void {
    if (this.#held || this.#closed) return;
    const waiting = this.house.outbox.of(this.id).filter((item) => !this.#seen.has(`${this.house.account} ${uuid(item.id)}`));
    this.messages.value = [...this.#stored, ...waiting.map((item) => this.#waiting(item))];
    const mark = this.house.marked(this.id);
    this.house.counts(this.id, this.#stored.filter((one) => one.seq! > mark && !one.mine).length);
  }

  #waiting(item: Item): Message {
    const { account } = this.house;
    const message: Message = {
      id: uuid(item.id), author: account, handle: this.#ownHandle(), mine: true, time: new Date(item.typed), text: item.text, state: item.state,
    };
    if (item.why !== undefined) message.why = item.why;
    if (item.seq !== undefined) message.seq = item.seq;
    return message;
  }

  older(): Promise<void> {
    this.#climbing ??= this.#climb().finally(() => (this.#climbing = undefined));
    return this.#climbing;
  }

  async #climb(): Promise<void> {
    if (!this.more.peek() || this.#closed) return;
    const history = await this.house.history(this.id, { before: this.#first, limit: page });
    this.#held = true;
    try {
      for (const entry of history.messages) await this.#show(entry, false);
      this.#climbed(history);
    } finally {
      this.#held = false;
      this.refresh();
    }
  }

  #climbed({ messages }: History): void {
    const size = messages.reduce((sum, { data }) => sum + data.length, 0);
    this.#first = Math.min(this.#first, messages[0]?.seq ?? Infinity);
    this.more.value = messages.length >= page || size >= full;
  }

  // What is done.

  say(text: string): void {
    this.#present.said();
    this.house.outbox.say(this.id, text);
  }

  again(message: Message): void {
    this.house.outbox.again(this.id, message.id);
  }

  drop(message: Message): void {
    this.house.outbox.drop(this.id, message.id);
  }

  typing(): void {
    this.#present.typing();
    this.house.speaker.look(this.id).catch(() => undefined); // so that it need not be done when they are ready to send
  }

  read(): void {
    if (!this.#feed.ready) return;
    this.house.mark(this.id, Math.max(this.#feed.known, this.#stored.at(-1)?.seq ?? 0)); // what is shown is known a moment later
    this.refresh();
  }

  async members(): Promise<readonly Member[]> {
    const state = await this.house.book.room(this.id);
    const now = Date.now();
    const members = await each(entitled(state, now), async (account): Promise<Member> => {
      const { handle } = await this.house.book.person(account);
      const grant = grantOf(state, account, now);
      const member: Member = { account, handle, role: (grant?.role ?? "reader") as Role, creator: account === state.creator };
      if (grant && grant.expires !== "") member.expires = new Date(grant.expires);
      return member;
    });
    return members.sort((a, b) => (a.handle < b.handle ? -1 : 1));
  }

  async grant(handle: string, role: Role, hours?: number): Promise<void> {
    const person = await this.house.book.find(handle);
    const expires = hours === undefined ? undefined : timeText(new Date(Math.ceil((Date.now() + hours * 3_600_000) / 1000) * 1000));
    await this.house.book.appendRoom(this.id, "room.grant", async (state) => {
      this.#mayModerate(state);
      const handed = await this.house.keyring.handOver(state, person.account, person.xkey);
      return { grant: newRandomID(), account: person.account, role, ...(expires === undefined ? {} : { expires }), ...handed };
    });
  }

  async revoke(account: string): Promise<void> {
    await this.house.book.appendRoom(this.id, "room.revoke", (state) => {
      this.#mayModerate(state);
      if (!grantOf(state, account, Date.now())) throw new Problem("not-found", "That person is not in this room.");
      return { account };
    });
  }

  #mayModerate(state: RoomState): void {
    if (roleOf(state, this.house.account, Date.now()) === "moderator") return;
    throw new Problem("refused", "Only moderators let people in and out of this room.");
  }

  close(): void {
    this.house.left(this);
  }

  /** end is when nobody looks at it any more; it is done when the others were told. */
  async end(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#feed.close();
    await this.#present.close();
  }
}

const unreadable = (entry: Entry, why: string): Message => ({
  id: `at ${entry.seq}`, seq: entry.seq, author: "", handle: "", mine: false, time: new Date(entry.time), text: "", state: "stored", unreadable: why,
});
