import { computed, effect, signal, type ReadonlySignal } from "@preact/signals";
import type { Message, Room } from "../../model.ts";
import { keyOf } from "./groups.ts";
import { Hold } from "./hold.ts";
import { clean } from "../text.ts";
import { around, down, span, stay, up, type Range } from "./window.ts";

/** reach is how many pixels before an edge the next messages are put on the page. */
const reach = 800;

/**
 * Reading is somebody at a room's history: which part of it is on the page, where they are in it, and what they have seen.
 * Messages are seen while the page is, and while its end is in sight.
 */
export class Reading {
  readonly #room: Room;
  readonly #range = signal<Range>({});
  readonly #seen = signal(0);
  readonly #fresh = signal<string | undefined>(undefined);
  readonly #said = signal("");
  readonly #atEnd = signal(true);
  readonly #loading = signal<"no" | "yes" | "failed">("no");
  readonly #unread: number;
  #freshSeen = false;
  #begun = false;
  #placed = false;
  #heard = 0;
  #told = 0;
  #frame: HTMLElement | undefined;
  #hold: Hold | undefined;

  /** span of the messages that are on the page, fresh the first that was not seen, said what is to be read out. */
  readonly span: ReadonlySignal<{ from: number; to: number }>;
  readonly fresh: ReadonlySignal<string | undefined> = this.#fresh;
  readonly said: ReadonlySignal<string> = this.#said;
  readonly atEnd: ReadonlySignal<boolean> = this.#atEnd;
  readonly loading: ReadonlySignal<"no" | "yes" | "failed"> = this.#loading;
  /** unseen is how many messages of others there are below what was seen. */
  readonly unseen: ReadonlySignal<number>;

  /** unread is how many messages of others there are that were not seen when the room was opened. */
  constructor(room: Room, unread: number) {
    this.#room = room;
    this.#unread = unread;
    this.span = computed(() => span(room.messages.value, this.#range.value));
    this.unseen = computed(() => room.messages.value.filter((one) => isNew(one, this.#seen.value)).length);
  }

  /** attach begins to follow a frame; what it returns ends that. */
  attach(frame: HTMLElement): () => void {
    this.#frame = frame;
    this.#hold = new Hold(frame);
    const resized = new ResizeObserver(() => this.#hold?.keep());
    resized.observe(frame);
    const looked = () => this.#look();
    document.addEventListener("visibilitychange", looked);
    const stop = effect(() => this.#arrived(this.#room.messages.value));
    return () => {
      stop();
      resized.disconnect();
      document.removeEventListener("visibilitychange", looked);
      this.#hold = undefined;
    };
  }

  /** drawn is called after the page has drawn the messages. */
  drawn(): void {
    this.#hold?.keep();
    if (this.#begun && !this.#placed) this.#place();
    this.#look();
    this.#extend();
  }

  /** scrolled is called when somebody scrolls. */
  scrolled(): void {
    const { to } = this.span.peek();
    const messages = this.#room.messages.peek();
    this.#hold?.look(to === messages.length);
    this.#atEnd.value = this.#hold?.atEnd ?? true;
    const range = this.#range.peek();
    if (this.#atEnd.peek()) {
      if (range.first !== undefined) this.#range.value = {};
    } else if (range.first === undefined) this.#range.value = stay(messages, range);
    this.#look();
    this.#extend();
  }

  /** jump goes to the newest message. */
  jump(): void {
    this.#range.value = {};
    this.#atEnd.value = true;
    this.#hold?.toEnd();
    this.#look();
  }

  /** spoke is called when somebody has said something themselves: they have seen what there is. */
  spoke(): void {
    this.#fresh.value = undefined;
    this.jump();
  }

  /** older loads what is above, again if it failed before. */
  async older(): Promise<void> {
    if (this.#loading.peek() === "yes" || !this.#room.more.peek()) return;
    this.#loading.value = "yes";
    try {
      await this.#room.older();
      this.#loading.value = "no";
    } catch {
      this.#loading.value = "failed";
      this.#arrived(this.#room.messages.peek());
    }
  }

  // extend puts more on the page where an edge of it is near.
  #extend(): void {
    const frame = this.#frame;
    if (frame === undefined) return;
    const messages = this.#room.messages.peek();
    const { from, to } = this.span.peek();
    if (frame.scrollTop < reach) {
      const held = this.#range.peek().first !== undefined || frame.scrollHeight <= frame.clientHeight;
      if (from > 0 && held) this.#range.value = up(messages, this.#range.peek());
      else if (from === 0 && this.#loading.peek() === "no") void this.older();
    }
    const below = frame.scrollHeight - frame.scrollTop - frame.clientHeight;
    if (below < reach && to < messages.length) this.#range.value = down(messages, this.#range.peek());
  }

  // place is where one is when a room opens: at the end, or where the unseen begins if that is not in sight then.
  #place(): void {
    const frame = this.#frame;
    if (frame === undefined || this.#hold === undefined) return;
    if (!this.#hold.atEnd) return void (this.#placed = true);
    const marker = frame.querySelector<HTMLElement>("[data-fresh]");
    if (marker === null && this.#fresh.peek() !== undefined) return;
    this.#placed = true;
    if (marker === null || marker.getBoundingClientRect().top >= frame.getBoundingClientRect().top) return;
    this.#range.value = stay(this.#room.messages.peek(), this.#range.peek());
    this.#hold.to(marker, 16);
    this.#atEnd.value = this.#hold.atEnd;
  }

  // look notes what is seen: everything, when the page is visible and its end in sight.
  #look(): void {
    if (!this.#placed || !this.#hold?.atEnd || document.visibilityState !== "visible") return;
    this.#freshSeen = true;
    const newest = last(this.#room.messages.peek());
    if (newest <= this.#told) return;
    this.#seen.value = this.#told = newest;
    this.#room.read();
  }

  #arrived(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    if (!this.#begun) {
      if (this.#lacks(messages)) return void this.older();
      this.#begin(messages);
    }
    this.#say(messages);
    const away = !this.#atEnd.peek() || document.visibilityState !== "visible";
    if (!away || !(this.#fresh.peek() === undefined || this.#freshSeen)) return;
    const first = messages.find((one) => isNew(one, this.#seen.peek()));
    if (first === undefined) return;
    this.#freshSeen = false;
    this.#fresh.value = keyOf(first);
  }

  // lacks says whether what was not seen begins above what is there.
  #lacks(messages: readonly Message[]): boolean {
    return this.#room.more.peek() && this.#loading.peek() !== "failed" && this.#unread > messages.filter((one) => isNew(one, 0)).length;
  }

  #begin(messages: readonly Message[]): void {
    this.#begun = true;
    this.#heard = last(messages);
    const others = messages.filter((one) => isNew(one, 0));
    const first = this.#unread > 0 ? (others.at(-this.#unread) ?? others[0]) : undefined;
    this.#seen.value = first?.seq === undefined ? this.#heard : first.seq - 1;
    if (first === undefined) return;
    this.#fresh.value = keyOf(first);
    const index = messages.indexOf(first);
    if (index < this.span.peek().from) this.#range.value = around(messages, index);
  }

  // say has new messages of others read out, politely: one as it is, several as how many they are.
  #say(messages: readonly Message[]): void {
    const news = messages.filter((one) => isNew(one, this.#heard));
    this.#heard = Math.max(this.#heard, last(messages));
    const only = news[0];
    if (only === undefined) return;
    this.#said.value = news.length > 1 ? `${news.length} new messages` : `${only.handle}: ${clean(only.text).slice(0, 300)}`;
  }
}

function isNew(message: Message, seen: number): boolean {
  return !message.mine && message.seq !== undefined && message.seq > seen;
}

function last(messages: readonly Message[]): number {
  return messages.findLast((one) => one.seq !== undefined)?.seq ?? 0;
}
