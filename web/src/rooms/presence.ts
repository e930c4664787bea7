// Who is in a room just now (docs/protocol/web.md#presence).

import { signal } from "@preact/signals";

import { decode, type Event } from "../protocol/event.ts";
import { need, Refused } from "../protocol/bytes.ts";
import { keyText } from "../protocol/keys.ts";
import { type Live, liveLife, liveSubject, parseLive } from "../protocol/presence.ts";
import { judge, type Judge } from "./judge.ts";
import { Problem } from "../model.ts";

const every = 20_000;
const typingEvery = 3_000;
const typingLasts = 6_000;
const greetWithin = 300;
const greetMost = 30; // people, beyond whom nobody greets
const lookEvery = 2_000; // whether somebody's time is over

interface Said {
  account: string;
  state: Live;
  at: number;
  until: number;
  came: number;
}

/** Presences is what devices have said of themselves, the newest of each. */
export class Presences {
  readonly #said = new Map<string, Said>(); // by device

  /** note takes what a device says, unless it said something later. True: nobody had heard of it. */
  note(device: string, said: Said, now: number): boolean {
    for (const [other, old] of this.#said) if (now >= old.until) this.#said.delete(other);
    const before = this.#said.get(device);
    // Of one moment the leave counts: it is the last that is said.
    if (before && (said.at < before.at || (said.at === before.at && said.state !== "gone"))) return false;
    this.#said.set(device, said);
    return before === undefined && said.state !== "gone";
  }

  /** stopped: who has said something is not typing it any more. */
  stopped(account: string): void {
    for (const said of this.#said.values()) if (said.account === account && said.state === "typing") said.state = "here";
  }

  /** now are the accounts that are here, and whether they are typing. */
  now(at: number): Map<string, boolean> {
    const here = new Map<string, boolean>();
    for (const { account, state, until, came } of this.#said.values()) {
      if (state === "gone" || at >= until) continue;
      here.set(account, (here.get(account) ?? false) || (state === "typing" && at < came + typingLasts));
    }
    return here;
  }
}

/** Ether is how presence is said and heard. */
export interface Ether extends Judge {
  readonly account: string;
  readonly device: string;
  /** now is the time as the hub has it. */
  now(): number;
  presence(live: Live): Promise<Uint8Array | undefined>;
  publish(data: Uint8Array): void;
  readonly handleOfMine: string;
  handle(account: string): Promise<string | undefined>;
}

/** Present says that one is in a room, and hears who else is. */
export class Present {
  readonly others = signal<readonly { account: string; handle: string; typing: boolean }[]>([]);
  readonly #presences = new Presences();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #look: ReturnType<typeof setInterval> | undefined;
  #typed = -Infinity;
  #away = false;
  #closed = false;

  constructor(
    private readonly room: string,
    private readonly ether: Ether,
  ) {}

  begin(): void {
    if (this.#closed) return; // somebody looked in and was gone before the room was there
    this.#look = setInterval(() => void this.#show(), lookEvery);
    this.#here();
  }

  #here(): void {
    if (this.#closed || this.#away) return;
    void this.#tell("here");
    this.#again(every);
  }

  #again(wait: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#here(), wait);
  }

  async #tell(live: Live): Promise<void> {
    const data = await this.ether.presence(live);
    if (data) this.ether.publish(data);
  }

  /** back is for after the connection was lost. */
  back(): void {
    this.#away = false;
    this.#here();
  }

  typing(): void {
    const now = performance.now();
    if (now - this.#typed < typingEvery || this.#closed) return;
    this.#typed = now;
    void this.#tell("typing");
  }

  /** said: the next key press is told at once again. */
  said(): void {
    this.#typed = -Infinity;
  }

  heard(account: string): void {
    this.#presences.stopped(account);
    void this.#show();
  }

  /** receive takes what somebody says of being in the room. What does not hold is nothing that anybody misses. */
  async receive(subject: string, data: Uint8Array): Promise<void> {
    try {
      const ev = decode(data);
      need(ev.subject === subject, "not-meant");
      const said = await this.#judged(ev);
      const device = keyText("U", ev.device);
      const first = this.#presences.note(device, said, this.ether.now());
      if (device === this.ether.device) {
        if (said.state === "gone" && !this.#closed && !this.#away) this.#again(0); // another tab has left
        return;
      }
      if (first && this.#presences.now(this.ether.now()).size <= greetMost) this.#again(Math.random() * greetWithin);
      await this.#show();
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Problem)) throw error;
    }
  }

  async #judged(ev: Event): Promise<Said> {
    const now = this.ether.now();
    const [at, until] = [Number(ev.time), Number(ev.notAfter)];
    need(until > now && until - at <= liveLife, "time", "a presence lasts a while only");
    const by = { type: "room.live", subject: liveSubject, stored: now, live: true, may: (role: string) => role !== "" };
    const state = parseLive(await judge(this.ether, this.room, ev, by));
    return { account: keyText("A", ev.author), state, at, until, came: this.ether.now() };
  }

  async #show(): Promise<void> {
    const others = [];
    for (const [account, typing] of this.#presences.now(this.ether.now())) {
      const handle = account === this.ether.account ? undefined : await this.ether.handle(account);
      if (handle !== undefined) others.push({ account, handle, typing });
    }
    others.sort((a, b) => (a.handle < b.handle ? -1 : 1));
    if (!this.#closed && JSON.stringify(others) !== JSON.stringify(this.others.peek())) this.others.value = others;
  }

  /** close says that one is gone. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#look);
    await this.farewell();
  }

  /** farewell says that one is gone, until back is called. */
  async farewell(): Promise<void> {
    clearTimeout(this.#timer);
    this.#away = true;
    await this.#tell("gone");
  }
}
