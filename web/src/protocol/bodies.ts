// The bodies of ledger events (docs/protocol/ledger.md), and what all chains have in common.

import { base64, hex, need, Refused } from "./bytes.ts";
import { bool, bytes, encode, hash as hashType, integer, list, object, type Of, optional, parse, string, time, type Type } from "./canonical.ts";
import { type Event, eventHash, meant } from "./event.ts";
import { keyText, parseKey } from "./keys.ts";

const bodies = {
  "hub.invite": object({ invite: string, uses: integer, expires: time }),
  "person.admit": object({ handle: string, account: string, xkey: string, device: string, invite: string, inviter: string }),
  "person.invite": object({ invite: string, uses: integer, expires: time }),
  "person.device": object({ token: string }),
  "person.revoke": object({ device: string }),
  "person.xkey": object({ xkey: string }),
  "share.grant": object({ grant: string, catalog: string, to: string, expires: optional(time), sealed: bytes }),
  "share.revoke": object({ grant: string, to: string }),
  "share.accept": object({ grant: string, owner: string, catalog: string }),
  "share.decline": object({ grant: string, owner: string }),
  "room.create": object({ room: string, kind: string, listed: bool, name: optional(string) }),
  "room.grant": object({ grant: string, account: string, role: string, expires: optional(time), epoch: optional(hashType), key: optional(bytes) }),
  "room.revoke": object({ account: string }),
  "room.leave": object({}),
  "room.epoch": object({
    number: integer, previous: optional(hashType), commitment: hashType, keys: list(object({ account: string, key: bytes })), name: bytes,
  }),
};

export type Kind = keyof typeof bodies;

/** Bodies are what each kind of event says. */
export type Bodies = { [K in Kind]: Of<(typeof bodies)[K]> };

const known = (kind: string): kind is Kind => Object.hasOwn(bodies, kind);

/** shape is the type of a body, for readers of single bodies. */
export const shape = (kind: string): Type<any> | undefined => (known(kind) ? bodies[kind] : undefined);

/** written is the one form of a body of a kind. */
export function written(kind: string, value: unknown): Uint8Array {
  const type = shape(kind);
  need(type, "content", "a kind that nobody knows");
  return encode(type, value);
}

/** body reads what an event of a kind says. */
export function body<K extends Kind>(ev: Event, kind: K): Bodies[K] {
  return parse<Bodies[K]>(shape(kind)!, ev.body, "content");
}

export const day = 86400000;
export const most = { uses: 1000, sealed: 256, devices: 200, invites: 2000, shares: 1000, spans: 4000, readers: 2000 };

export const account = (ev: Event): string => keyText("A", ev.author);
export const device = (ev: Event): string => keyText("U", ev.device);
export const moment = (ev: Event): number => Number(ev.time);
export const length = (text: string): number => base64.read(text, "content").length;

/** own is a member of a record that it has itself: names come from outside. */
export const own = <T>(record: Record<string, T> | undefined, name: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;

/** content turns the refusal of a part into one of the event. */
export async function content<T>(checks: () => T | Promise<T>): Promise<T> {
  try {
    return await checks();
  } catch (error) {
    if (error instanceof Refused) throw new Refused("content", error.message);
    throw error;
  }
}

/** until reads an end in whole seconds that comes after a moment. */
export function until(text: string, after: number): number {
  need(!text.includes("."), "content", "a part of a second");
  const at = Date.parse(text);
  need(at > after, "content", "it ends before it begins");
  return at;
}

/** ended says whether an end, "" for none, has come at a moment. */
export const ended = (expires: string, at: number): boolean => expires !== "" && Date.parse(expires) <= at;

export interface InviteFact {
  uses: number;
  expires: string;
}

/** inviteOf is the invite that an event announces, by its key. */
export async function inviteOf(ev: Event, before: Record<string, InviteFact>): Promise<[string, InviteFact]> {
  const said = body(ev, "person.invite"); // a host's says the same
  await content(() => parseKey("U", said.invite));
  need(said.uses >= 1 && said.uses <= most.uses, "content", "uses");
  need(until(said.expires, moment(ev)) - moment(ev) <= 366 * day, "content", "it lasts too long");
  need(own(before, said.invite) === undefined, "content", "announced before");
  need(Object.keys(before).length < most.invites, "content", "too many invites");
  return [said.invite, { uses: said.uses, expires: said.expires }];
}

/** Place is how far a chain has come. */
export interface Place {
  seq: number;
  /** head: hash of the newest event in hex, "" before the first. */
  head: string;
}

const zeros = "0".repeat(64);

/** place refuses an event that does not continue a chain. */
export function place(ev: Event, subject: string, hub: string, { seq, head }: Place): void {
  meant(ev, ev.type, subject, hub);
  need(ev.seq === BigInt(seq) + 1n && hex(ev.prev) === (head || zeros), "place");
}

export const beginning: Place = { seq: 0, head: "" };

/** names says whether an event names a head, "" for none. */
export const names = (ev: Event, head: string): boolean => hex(ev.head) === (head || zeros);

/** after is how far a chain has come with an event. */
export const after = async (ev: Event): Promise<Place> => ({ seq: Number(ev.seq), head: hex(await eventHash(ev)) });
