// node dist-test/rooms.test.mjs: which messages of a room are shown, in what order what was typed is sent, and who is
// taken to be present; without a browser or a hub.

import process from "node:process";

import { Feed, type History, readHistory, type Request } from "../src/rooms/feed.ts";
import type { HubBook } from "../src/hub/book.ts";
import { Problem } from "../src/model.ts";
import type { Account, Store } from "../src/ports.ts";
import { hex, utf8 } from "../src/protocol/bytes.ts";
import type { RoomState } from "../src/protocol/chain.ts";
import { sealKey } from "../src/protocol/crypto.ts";
import { decode, encode, makeEvent, uuid } from "../src/protocol/event.ts";
import type { Keyring } from "../src/rooms/keyring.ts";
import { type Item, Outbox, type Post } from "../src/rooms/outbox.ts";
import { type Ether, Present, Presences } from "../src/rooms/presence.ts";
import { Rows } from "../src/rooms/rows.ts";
import { Speaker } from "../src/rooms/speaker.ts";
import { generateSigner } from "../src/vault/signers.ts";

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let left = 2000; !holds(); left--) {
    if (left === 0) throw new Error(`it never came to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const away = () => new Problem("unavailable", "away");

// The gap rule.

/** Stream is a room as a hub has it, and what a reader of it was shown. */
class Stream {
  stored: number[] = [];
  shown: string[] = [];
  asked: Request[] = [];
  problems: string[] = [];
  unjudged = new Set<number>(); // that cannot be judged now
  rubbish = new Set<number>(); // that nobody said
  last: number | undefined;
  readonly feed = new Feed({
    history: async (request) => {
      this.asked.push(request);
      return this.history(request);
    },
    show: async ({ seq }, live) => {
      if (this.unjudged.has(seq)) throw away();
      if (this.rubbish.has(seq)) return false;
      this.shown.push(`${seq}${live ? "" : "p"}`);
      return true;
    },
    problem: (problem) => this.problems.push((problem as Problem).message),
  });

  history(request: Request): History {
    const last = this.last ?? this.stored.at(-1) ?? 0;
    const after = "after" in request ? request.after : 0;
    let seqs = this.stored.filter((seq) => seq > after && seq <= last);
    if ("last" in request) seqs = seqs.slice(-request.limit);
    const messages = seqs.map((seq) => ({ seq, time: 0, event: btoa("x") }));
    return readHistory({ messages: messages.map((one) => ({ ...one, time: "2026-11-22T00:00:00Z" })), through: Math.max(after, last), last }, request);
  }

  /** say stores a message; hear is what reaches the reader of it. */
  say(seq: number): void {
    this.stored.push(seq);
  }

  hear(seq: number | string[], last: number | string[]): void {
    const values: Record<string, string[]> = { "Nats-Sequence": [seq].flat().map(String), "Nats-Last-Sequence": [last].flat().map(String) };
    this.feed.receive({ data: utf8("x"), headers: (name) => values[name] ?? [] });
  }

  async settled(): Promise<string[]> {
    await this.feed.compare();
    const shown = this.shown;
    this.shown = [];
    return shown;
  }
}

async function gaps(): Promise<void> {
  const s = new Stream();
  for (const seq of [3, 7, 8]) s.say(seq);
  s.say(9);
  s.hear(9, 8); // before the past was read: it is in it
  await s.feed.begin(2);
  same("the newest, and nothing twice", [await s.settled(), s.feed.known], [["8p", "9p"], 9]);

  s.asked = [];
  s.say(12);
  s.hear(12, 9);
  s.hear(12, 9);
  s.hear(8, 7);
  await until("12 is shown", () => s.feed.known === 12);
  same("what follows is shown at once, what is known not again", [s.shown, s.asked], [["12"], []]);
  s.shown = [];

  for (const seq of [15, 16, 20]) s.say(seq);
  s.hear(20, 16);
  same("a gap is filled, in order", await s.settled(), ["15", "16", "20"]);
  same("from what is known", s.asked[0], { after: 12 });

  s.say(21);
  for (const [seq, last] of [[["21", "4"], 20], [21, ["20", "0"]], [["x"], 20], [["-1"], 20], [[], 20], [21, []], [["1e3"], 20]] as [string[], number][]) s.hear(seq, last);
  await Promise.resolve();
  same("numbers that stand there twice, or are none, are nobody's", s.shown, []);
  same("it is found when heads are compared", await s.settled(), ["21"]);

  s.unjudged.add(23);
  for (const seq of [22, 23, 24]) s.say(seq);
  s.hear(22, 21);
  s.hear(23, 22);
  s.hear(24, 23);
  same("one that cannot be judged now is not passed over", [await s.settled(), s.feed.known], [["22"], 22]);
  same("that is said", new Set(s.problems).size, 1);
  s.unjudged.clear();
  same("it comes when it can be", await s.settled(), ["23", "24"]);
}

async function backwards(): Promise<void> {
  const s = new Stream();
  s.say(5);
  await s.feed.begin(10);
  s.rubbish.add(6);
  s.say(6);
  s.hear(6, 5);
  await s.settled();
  s.stored = [5];
  same("rubbish that was cleared away is no loss", [await s.settled(), s.feed.known, s.problems], [["5p"].slice(1), 5, []]);
  s.say(7);
  s.hear(7, 5);
  same("and it goes on", await s.settled(), ["7"]);
  s.rubbish.add(8);
  s.say(8);
  s.hear(8, 7);
  await s.settled();
  s.stored = [5, 7];
  same("what was shown is not shown again", await s.settled(), []);
  s.stored = [5];
  await s.settled();
  same("messages that were shown do not go", s.problems.map((text) => text.slice(0, 48)), ["The hub shows less of this room than before (up "]);
  s.say(9);
  same("and nothing is shown twice after it", await s.settled(), ["9"]);
}

function unfit(): void {
  const entry = (seq: number) => ({ seq, time: "2026-11-22T00:00:00Z", event: btoa("x") });
  const answers: [string, unknown, Request][] = [
    ["out of order", { messages: [entry(3), entry(2)], through: 3, last: 3 }, { after: 0 }],
    ["twice the same", { messages: [entry(3), entry(3)], through: 3, last: 3 }, { after: 0 }],
    ["what was known", { messages: [entry(2)], through: 3, last: 3 }, { after: 2 }],
    ["beyond what it holds", { messages: [entry(4)], through: 3, last: 5 }, { after: 0 }],
    ["through beyond the last", { messages: [], through: 9, last: 3 }, { after: 0 }],
    ["not below", { messages: [entry(5)], through: 5, last: 5 }, { before: 5, limit: 9 }],
    ["no list", { messages: {}, through: 0, last: 0 }, { after: 0 }],
    ["no numbers", { messages: [], through: "9", last: 9 }, { after: 0 }],
    ["nothing", null, { after: 0 }],
  ];
  for (const [what, answer, request] of answers) {
    let taken = true;
    try {
      readHistory(answer, request);
    } catch (error) {
      taken = !(error instanceof Problem);
    }
    same(`a history ${what} is taken`, taken, false);
  }
}

// The queue.

/** memory is a store that a reload finds as it was. */
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

/** Office is a hub to which an outbox sends. */
class Office {
  is = { online: true, lost: 0, refused: "" };
  signed: string[] = [];
  sent: string[] = [];
  known = new Map<string, number>(); // what is stored, by id
  looks = 0;
  readonly outbox: Outbox;

  constructor(readonly store: Store) {
    const post: Post = {
      online: () => this.is.online,
      sign: async (item) => {
        if (this.is.refused) throw new Problem("refused", this.is.refused);
        this.signed.push(item.text);
        return utf8(`${item.text}#${this.signed.length}`);
      },
      publish: async (item, data, { headers }) => {
        this.sent.push(new TextDecoder().decode(data));
        same("a message has its id beside it", headers, { "Nats-Msg-Id": uuid(item.id) });
        if (this.is.lost > 0 && this.is.lost--) throw away();
        const seq = this.known.get(uuid(item.id)) ?? this.known.size + 1;
        this.known.set(uuid(item.id), seq);
        return utf8(JSON.stringify({ stream: "ROOMS", seq }));
      },
      stored: async (item) => {
        this.looks++;
        return this.known.get(uuid(item.id));
      },
      changed: () => undefined,
    };
    this.outbox = new Outbox(store, post, "test");
  }

  states = (): string[] => this.outbox.of("kitchen").map(({ text, state }) => `${text} ${state}`);
}

async function queues(): Promise<void> {
  const store = memory();
  const first = new Office(store);
  for (const text of ["one", "two", "three"]) first.outbox.say("kitchen", text);
  await until("all are stored", () => first.states().join() === "one stored,two stored,three stored");
  same("in order, each signed once", [first.signed, first.sent], [["one", "two", "three"], ["one#1", "two#2", "three#3"]]);
  const [one] = first.outbox.of("kitchen");
  same("what has come back waits no more", [first.outbox.came("kitchen", uuid(one!.id))?.text, first.states().length], ["one", 2]);
  same("nothing is left in the store", (await store.all("queue")).length, 0);

  first.is.online = false;
  const ids = ["four", "five", "six"].map((text) => {
    first.outbox.say("kitchen", text);
    return uuid(first.outbox.of("kitchen").at(-1)!.id);
  });
  await until("they are written down", () => first.states().length === 5);
  same("without a network nothing is signed", [first.signed.length, first.states().slice(2)], [3, ["four queued", "five queued", "six queued"]]);
  first.outbox.close();

  const again = new Office(store);
  await again.outbox.load();
  await until("a reload sends them", () => again.states().join() === "four stored,five stored,six stored");
  same("under the ids that they had", Array.from(again.known.keys()), ids);
  again.outbox.close();
}

async function doubts(): Promise<void> {
  const store = memory();
  const o = new Office(store);
  o.is.lost = 2;
  o.outbox.say("kitchen", "one");
  await until("it is stored in the end", () => o.states().join() === "one stored");
  same("the same bytes again after a timeout", [o.sent, o.looks], [["one#1", "one#1", "one#1"], 0]);

  o.is.lost = 99;
  o.outbox.say("kitchen", "two");
  await until("it waits for better times", () => o.sent.length === 6 && o.states()[1] === "two queued");
  o.is.lost = 0;
  o.known.set(uuid(o.outbox.of("kitchen")[1]!.id), 41); // it had reached the hub, whatever the hub said
  o.outbox.sendAll();
  await until("it is found", () => o.states()[1] === "two stored");
  same("and not sent again", [o.sent.length, o.outbox.of("kitchen")[1]?.seq], [6, 41]);

  o.is.refused = "You may read in this room, not write.";
  o.outbox.say("kitchen", "three");
  o.outbox.say("kitchen", "x".repeat((32 << 10) + 1));
  await until("it is refused", () => o.outbox.of("kitchen")[2]?.state === "failed");
  const failing = o.outbox.of("kitchen").slice(2).map(({ state, why }) => [state, why]);
  same("why", failing, [["failed", o.is.refused], ["failed", "A message has 1 to 32768 bytes; this one has 32769."]]);
  const [third, fourth] = o.outbox.of("kitchen").slice(2) as [Item, Item];
  o.is.refused = "";
  o.outbox.again("kitchen", uuid(third.id));
  o.outbox.drop("kitchen", uuid(fourth.id));
  await until("it is tried again", () => third.state === "stored");
  same("and dropped", o.outbox.of("kitchen").length, 3);

  o.is.online = false;
  o.outbox.say("kitchen", "four");
  const last = o.outbox.of("kitchen").at(-1)!;
  last.signed = { data: utf8("four#old"), at: Date.now() - 6 * 60_000 };
  o.is.online = true;
  o.outbox.sendAll();
  await until("it is stored", () => last.state === "stored");
  same("what was signed long ago is signed anew", o.sent.at(-1), "four#4");
  o.outbox.close();
}

// Presence.

function presence(): void {
  const p = new Presences();
  const said = (account: string, state: "here" | "typing" | "gone", at: number) => ({ account, state, at, until: at + 45000, came: at });
  same("the first word of a device", p.note("laptop", said("alice", "here", 1000), 1000), true);
  same("the next", p.note("laptop", said("alice", "typing", 2000), 2000), false);
  same("is typing", Array.from(p.now(3000)), [["alice", true]]);
  same("for a while", Array.from(p.now(9000)), [["alice", false]]);
  p.note("laptop", said("alice", "here", 1500), 3000);
  same("what is older does not count", Array.from(p.now(3000)), [["alice", true]]);
  p.stopped("alice");
  same("who has said it types no more", Array.from(p.now(3000)), [["alice", false]]);
  p.note("phone", said("alice", "here", 4000), 4000);
  p.note("laptop", said("alice", "gone", 5000), 5000);
  same("here with another device", Array.from(p.now(6000)), [["alice", false]]);
  p.note("laptop", said("alice", "here", 2500), 6000);
  p.note("phone", said("alice", "gone", 6000), 6000);
  same("gone, whatever is repeated", Array.from(p.now(7000)), []);
  p.note("tablet", said("bob", "here", 10000), 10000);
  same("until its time is over", [p.now(54999).size, p.now(55000).size], [1, 0]);
}

/** The list counts what comes in rooms that are not open; a sequence that stands there twice is its publisher's. */
async function unread(): Promise<void> {
  const rows = new Rows("A", { put: async () => undefined } as unknown as Store);
  const device = await generateSigner("U");
  const author = (await generateSigner("A")).raw;
  const data = encode(await makeEvent({ author, type: "room.message", subject: "room.r.say.a", audience: "O" }, utf8("x"), device));
  const hear = (...seqs: string[]): number => {
    rows.hears("r", { data, headers: (name) => (name === "Nats-Sequence" ? seqs : []) });
    return rows.get("r").info.peek().unread;
  };
  same("unread ones are counted", [hear("1"), hear("2"), hear("2")], [1, 2, 2]);
  same("whoever writes a sequence beside the room's keeps nothing from being counted", [hear("3", "9000000000000000"), hear("4")], [2, 3]);
}

/** What is said is sealed with the key of the epoch that it names, also where the next one begins meanwhile. */
async function epochs(): Promise<void> {
  const device = await generateSigner("U");
  const account = (await generateSigner("A")).text;
  const state = { id: "r", kind: "sealed", seq: 1, head: "11".repeat(32), current: "22".repeat(32), members: { [account]: [{ role: "writer", since: 1, until: 0, expires: "" }] } } as unknown as RoomState;
  const keys: string[] = [];
  const key = async (_: RoomState, epoch: string): Promise<CryptoKey> => {
    keys.push(epoch);
    state.current = "33".repeat(32);
    return sealKey(new Uint8Array(32));
  };
  const at = { hub: { id: "O" }, keys: { account, device } } as unknown as Account;
  const speaker = new Speaker(at, { knownRoom: async () => state, clocks: () => undefined } as unknown as HubBook, { key } as unknown as Keyring);
  const said = decode((await speaker.presence("r", "here"))!);
  same("the epoch that is named, and that of the key", [hex(said.epoch), keys], ["22".repeat(32), ["22".repeat(32)]]);
}

/** Somebody who looked into a room and was gone before it was there is not in it. */
async function lookedIn(): Promise<void> {
  let said = 0;
  const present = new Present("r", { now: () => 0, presence: async () => void said++ } as unknown as Ether);
  await present.close();
  present.begin(); // a timer that went on would keep this test from ending
  same("they say that they are gone, and nothing after that", said, 1);
}

await gaps();
await backwards();
unfit();
await queues();
await doubts();
presence();
await unread();
await epochs();
await lookedIn();
console.log(failed === 0 ? "rooms: all as it should be" : `rooms: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
