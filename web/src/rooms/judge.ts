// What is said in a room, judged (docs/protocol/rooms.md#messages).

import type { HubBook } from "../hub/book.ts";
import { hex, isZero, need, Refused, utf8 } from "../protocol/bytes.ts";
import { object, parse, string } from "../protocol/canonical.ts";
import { isReader, mayWrite, roleAt, roleOf, type RoomState, vouchedInRoom } from "../protocol/chain.ts";
import { check, type Event, meant, openBody } from "../protocol/event.ts";
import { keyText } from "../protocol/keys.ts";
import type { Keyring } from "./keyring.ts";

export const messageType = "room.message";
export const messageBody = object({ text: string });
export const longestText = 32 << 10; // bytes of a message's text
const skew = 10 * 60 * 1000;

export const saySubject = (room: string, account: string): string => `room.${room}.say.${account}`;

/** Path is how something that is said is judged. */
export interface Path {
  type: string;
  subject: (room: string, account: string) => string;
  /** stored is when it was stored, or came. */
  stored: number;
  /** live: it came just now, and its author must be entitled now as well. */
  live: boolean;
  may: (role: string) => boolean;
}

/** Judge knows what it takes to believe something in rooms. */
export interface Judge {
  readonly hub: string;
  readonly book: HubBook;
  readonly keyring: Keyring;
}

/** judge verifies what was said in a room and opens it. */
export async function judge({ hub, book, keyring }: Judge, room: string, ev: Event, by: Path): Promise<Uint8Array> {
  const account = keyText("A", ev.author);
  meant(ev, by.type, by.subject(room, account), hub);
  const early = await beforehand(book, keyring, room, ev);
  await check(ev);
  need(Math.abs(Number(ev.time) - by.stored) <= skew, "time", "it says another time than when it was stored");
  await book.vouch(ev, (author) => vouchedInRoom(author, ev));
  const state = await entitled(book, room, account, ev, by);
  return plaintext(keyring, state, account, ev, early);
}

/** beforehand opens what is sealed under a key that is there while the signature is being verified: that takes longest. */
async function beforehand(book: HubBook, keyring: Keyring, room: string, ev: Event): Promise<Promise<Uint8Array>[]> {
  const state = isZero(ev.epoch) ? undefined : await book.knownRoom(room);
  const key = state && Object.hasOwn(state.epochs, hex(ev.epoch)) ? await keyring.key(state, hex(ev.epoch)).catch(() => undefined) : undefined;
  if (!key) return [];
  const opened = openBody(ev, key);
  opened.catch(() => undefined); // said when it is asked for
  return [opened];
}

/** entitled checks that the author might say it at the head that it names and, live, at the newest. An unknown head is fetched. */
async function entitled(book: HubBook, room: string, account: string, ev: Event, by: Path): Promise<RoomState> {
  const head = hex(ev.head);
  let state = await book.knownRoom(room);
  if (!state || !Object.hasOwn(state.places, head)) state = await book.room(room);
  const place = Object.hasOwn(state.places, head) ? state.places[head] : undefined;
  if (place === undefined) throw new Refused("place", "it names a head that the room never had");
  const then = roleAt(state, account, place, Number(ev.time));
  need(by.may(then) && (!by.live || by.may(roleOf(state, account, Date.now()))), "refused", "its author may not say it in this room");
  return state;
}

async function plaintext(keyring: Keyring, state: RoomState, account: string, ev: Event, [early]: Promise<Uint8Array>[]): Promise<Uint8Array> {
  if (state.kind === "open") {
    need(isZero(ev.epoch), "content", "a sealed message in an open room");
    return ev.body;
  }
  const epoch = hex(ev.epoch);
  const fact = Object.hasOwn(state.epochs, epoch) ? state.epochs[epoch] : undefined;
  if (!fact) throw new Refused("place", "it names an epoch that the room never had");
  need(isReader(fact, account), "refused", "its author is no reader of the epoch");
  return early ?? openBody(ev, await keyring.key(state, epoch));
}

/** readMessage is the text of a message, judged. */
export async function readMessage(by: Judge, room: string, ev: Event, stored: number, live: boolean): Promise<string> {
  const said = await judge(by, room, ev, { type: messageType, subject: saySubject, stored, live, may: mayWrite });
  const { text } = parse(messageBody, said, "content");
  const length = utf8(text).length;
  need(length >= 1 && length <= longestText, "content", "a message of a length that none has");
  return text;
}

/** whyNot is what people read in place of a message that cannot be shown. */
export function whyNot(error: Refused): string {
  if (error.check === "no-key") return "Said while you were not in the room: you have no key for it.";
  return `This message does not hold (${error.message}); it is not shown.`;
}
