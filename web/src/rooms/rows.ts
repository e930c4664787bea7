// The rows of the list of rooms, and how much in each nobody has seen.

import { type Signal, signal } from "@preact/signals";

import { Problem } from "../model.ts";
import type { RoomInfo } from "../model.ts";
import type { Store } from "../ports.ts";
import { decode } from "../protocol/event.ts";
import { keyText } from "../protocol/keys.ts";
import { beyond, type History, type Received, type Request, single } from "./feed.ts";

const countMost = 500; // unread messages

/** Row is a room of the list. */
export interface Row {
  info: Signal<RoomInfo>;
  /** mark is up to where everything was seen, and counted up to where unread ones are. */
  mark: number;
  counted: number;
  /** hear ends hearing it; refused is why it cannot be heard. */
  hear?: () => void;
  refused?: string;
}

/** Rows are all rooms that this browser knows of. */
export class Rows {
  readonly list = signal<readonly RoomInfo[] | undefined>(undefined);
  readonly #rows = new Map<string, Row>();

  constructor(
    private readonly account: string,
    private readonly store: Store,
  ) {}

  async load(): Promise<void> {
    for (const [room, mark] of await this.store.all<number>("marks")) this.get(room).mark = mark;
  }

  get(id: string): Row {
    let row = this.#rows.get(id);
    if (!row) this.#rows.set(id, (row = { info: signal({ id, open: false, listed: false, members: 0, unread: 0 }), mark: 0, counted: 0 }));
    return row;
  }

  /** heard are the rooms that are listened to. */
  heard(): string[] {
    return Array.from(this.#rows).filter(([, row]) => row.hear).map(([id]) => id);
  }

  /** set takes what a room is now; how much in it is unread stays. */
  set(info: RoomInfo): void {
    const { info: shown } = this.get(info.id);
    const next = { ...info, unread: shown.peek().unread };
    if (JSON.stringify(next) !== JSON.stringify(shown.peek())) shown.value = next;
  }

  /** show has these rooms in the list and no others. */
  show(infos: readonly RoomInfo[]): void {
    for (const info of infos) this.set(info);
    const ids = new Set(infos.map((info) => info.id));
    for (const [id, { info }] of this.#rows) if (!ids.has(id) && info.peek().role) info.value = { ...info.peek(), role: undefined };
    this.list.value = infos.map(({ id }) => this.get(id).info.peek()).sort(byName);
  }

  add(info: RoomInfo): void {
    this.set(info);
    this.list.value = [...(this.list.peek() ?? []).filter((one) => one.id !== info.id), info].sort(byName);
  }

  drop(id: string): void {
    const row = this.get(id);
    row.hear?.();
    delete row.hear;
    this.list.value = this.list.peek()?.filter((one) => one.id !== id);
  }

  /** counts says how much of a room is unread. */
  counts(room: string, unread: number): void {
    const { info } = this.get(room);
    if (info.peek().unread === unread) return;
    info.value = { ...info.peek(), unread };
    this.list.value = this.list.peek()?.map((one) => (one.id === room ? info.peek() : one));
  }

  mark(room: string, seq: number): void {
    const row = this.get(room);
    if (seq <= row.mark) return;
    row.mark = seq;
    void this.store.put("marks", room, seq).catch(() => undefined); // losing it shows messages as unread, no more
  }

  /** count asks how far a room is, and counts what is unread there. */
  async count(room: string, history: (request: Request) => Promise<History>): Promise<void> {
    const row = this.get(room);
    try {
      const { last } = await history({ after: beyond });
      if (last < row.mark) row.mark = last; // the hub said once that it went further
      if (last === row.counted) return;
      const { messages } = await history({ after: row.mark, limit: countMost });
      row.counted = last;
      this.counts(room, messages.filter(({ data }) => this.#others(data)).length);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  /** hears counts a message of a room that is not open. */
  hears(room: string, message: Received): void {
    const row = this.get(room);
    const seq = single(message, "Nats-Sequence"); // one that stands there twice was put there by its publisher
    if (seq === undefined || seq <= row.counted) return;
    row.counted = seq;
    if (seq > row.mark && this.#others(message.data)) this.counts(room, Math.min(row.info.peek().unread + 1, countMost));
  }

  /** #others: whether it says to be somebody else's message. */
  #others(data: Uint8Array): boolean {
    try {
      return keyText("A", decode(data).author) !== this.account;
    } catch {
      return false;
    }
  }
}

const byName = (a: RoomInfo, b: RoomInfo): number => {
  const [one, other] = [`${a.name ?? "\uffff"} ${a.id}`, `${b.name ?? "\uffff"} ${b.id}`];
  return one < other ? -1 : one > other ? 1 : 0;
};
