// A room's chain and what it adds up to: members and epochs (docs/protocol/ledger.md#rooms, rooms.md).

import { compare, hex, need, Refused, utf8 } from "./bytes.ts";
import { account, after, beginning, body, content, ended, length, moment, most, own, place, until } from "./bodies.ts";
import type { Place } from "./bodies.ts";
import { check, eventHash } from "./event.ts";
import type { Event } from "./event.ts";
import { parseID, parseKey } from "./keys.ts";
import { isName } from "./names.ts";

export type Role = "reader" | "writer" | "moderator";

/** Span is a stretch of places during which somebody has a role. */
export interface Span {
  role: Role;
  since: number;
  /** until is the place at which it ended, 0 for not yet. */
  until: number;
  /** expires: "" for never. */
  expires: string;
}

export interface EpochFact {
  number: number;
  place: number;
  commitment: string;
  /** boxes: of each reader; of those that a reader of the chain has no use for, "". */
  boxes: Record<string, string>;
  /** name of the room, sealed, in base64. */
  name: string;
}

/** RoomState is a room's chain, folded. It can be kept as it is. */
export interface RoomState extends Place {
  id: string;
  kind: "sealed" | "open";
  listed: boolean;
  /** name of a listed or open room, "" of others. */
  name: string;
  creator: string;
  members: Record<string, Span[]>;
  /** current epoch, by its hash in hex. */
  current: string;
  epochs: Record<string, EpochFact>;
  places: Record<string, number>;
  /** heads are the newest places of their own chains that authors have named on this one. */
  heads: Record<string, number>;
}

export const roomSubject = (id: string): string => `ledger.room.${id}`;

/**
 * applyRoom folds the next event of a chain in, the first where there is no state yet. Whether its device is the author's, the caller
 * has judged. Where mine is given, no boxes but that account's are kept. One that is refused changes nothing.
 */
export async function applyRoom(state: RoomState | undefined, id: string, hub: string, ev: Event, mine?: string): Promise<RoomState> {
  place(ev, roomSubject(id), hub, state ?? beginning);
  await check(ev);
  if (!state) return created(ev, id);
  const keep = (who: string, box: string): string => (mine === undefined || mine === who ? box : "");
  const change = await fold(state, ev, keep);
  const at = await after(ev);
  change();
  Object.assign(state, at);
  state.places[at.head] = at.seq;
  return state;
}

async function created(ev: Event, id: string): Promise<RoomState> {
  need(ev.type === "room.create", "place", "a chain begins with its creation");
  const { room, kind, listed, name = "" } = body(ev, "room.create");
  need(room === id, "not-meant", "another room");
  await content(() => parseID(room));
  if (kind !== "sealed" && kind !== "open") throw new Refused("content", "kind");
  const named = listed || kind === "open";
  need(named === (name !== "") && (!named || isName(name)), "content", "name");
  const creator = account(ev);
  const at = await after(ev);
  return {
    ...at, id, kind, listed, name, creator, members: { [creator]: [{ role: "moderator", since: 1, until: 0, expires: "" }] },
    current: "", epochs: {}, places: { [at.head]: 1 }, heads: {},
  };
}

type Change = () => void;
type Keep = (who: string, box: string) => string;

async function fold(state: RoomState, ev: Event, keep: Keep): Promise<Change> {
  const who = account(ev);
  const role = roleOf(state, who, moment(ev));
  switch (ev.type) {
    case "room.grant":
      need(role === "moderator", "refused", "no moderator");
      return letIn(state, ev, keep);
    case "room.revoke":
      need(role === "moderator", "refused", "no moderator");
      return putOut(state, body(ev, "room.revoke").account, ev);
    case "room.leave":
      body(ev, "room.leave");
      return putOut(state, who, ev);
    case "room.epoch":
      need(mayWrite(role), "refused", "no writer");
      return begun(state, ev, keep);
    default:
      throw new Refused("content", "a kind of another chain");
  }
}

/** close ends the standing span of an account. */
function close(state: RoomState, who: string, at: number): void {
  for (const span of own(state.members, who) ?? []) if (span.until === 0) span.until = at;
}

function putOut(state: RoomState, who: string, ev: Event): Change {
  need(who !== state.creator, "content", "the creator stays");
  need(own(state.members, who)?.at(-1)?.until === 0, "content", "no such member");
  return () => close(state, who, Number(ev.seq));
}

const roles: readonly string[] = ["reader", "writer", "moderator"];

async function letIn(state: RoomState, ev: Event, keep: Keep): Promise<Change> {
  const said = body(ev, "room.grant");
  const { account: who, expires = "", epoch = "", key = "" } = said;
  await content(() => [parseID(said.grant), parseKey("A", who)]);
  need(roles.includes(said.role), "content", "role");
  need(who !== state.creator, "content", "the creator is a moderator always");
  if (expires !== "") until(expires, moment(ev));
  need((epoch !== "") === (key !== "") && length(key) <= most.sealed, "content", "an epoch comes with its key");
  need(epoch === "" || epoch === state.current, "content", "not the current epoch");
  need(spans(state) < most.spans, "content", "let in too often");
  return () => {
    close(state, who, Number(ev.seq));
    (state.members[who] ??= []).push({ role: said.role as Role, since: Number(ev.seq), until: 0, expires });
    const current = own(state.epochs, epoch);
    if (current) current.boxes[who] = keep(who, key);
  };
}

const spans = (state: RoomState): number => Object.values(state.members).reduce((sum, list) => sum + list.length, 0);

async function begun(state: RoomState, ev: Event, keep: Keep): Promise<Change> {
  const said = body(ev, "room.epoch");
  need(state.kind === "sealed", "content", "an open room has no epochs");
  const number = (own(state.epochs, state.current)?.number ?? 0) + 1;
  need(said.number === number && (said.previous ?? "") === state.current, "place", "number or previous");
  need(said.keys.length >= 1 && said.keys.length <= most.readers, "content", "readers");
  need(length(said.name) >= 1 && length(said.name) <= most.sealed, "content", "name");
  const boxes: Record<string, string> = {};
  let before: Uint8Array | undefined;
  for (const box of said.keys) {
    const name = utf8(box.account);
    need(before === undefined || compare(before, name) < 0, "content", "order");
    need(standing(state, box.account, state.seq, moment(ev)), "content", "a reader who is no member");
    need(length(box.key) >= 1 && length(box.key) <= most.sealed, "content", "box");
    before = name;
    boxes[box.account] = keep(box.account, box.key);
  }
  const hash = hex(await eventHash(ev));
  return () => {
    state.current = hash;
    state.epochs[hash] = { number, place: Number(ev.seq), commitment: said.commitment, boxes, name: said.name };
  };
}

/** standing is the span of an account that counts at a place, by a clock. */
function standing(state: RoomState, who: string, at: number, clock: number): Span | undefined {
  return (own(state.members, who) ?? []).find((span) => span.since <= at && (span.until === 0 || at < span.until) && !ended(span.expires, clock));
}

/** roleAt is the role of an account at a place: in an open room everybody without a grant is a writer. "" is none. */
export const roleAt = (state: RoomState, who: string, at: number, clock: number): Role | "" =>
  standing(state, who, at, clock)?.role ?? (state.kind === "open" ? "writer" : "");

/** roleOf is the role of an account after the newest event. */
export const roleOf = (state: RoomState, who: string, clock: number): Role | "" => roleAt(state, who, state.seq, clock);

/** grantOf is the standing grant of an account: nobody in an open room needs one. */
export const grantOf = (state: RoomState, who: string, clock: number): Span | undefined => standing(state, who, state.seq, clock);

export const mayWrite = (role: string): boolean => role === "writer" || role === "moderator";

/** entitled are the accounts that have a grant now, by a clock. */
export const entitled = (state: RoomState, clock: number): string[] => Object.keys(state.members).filter((who) => grantOf(state, who, clock));

/** currentEpoch is what the chain says of the current epoch. */
export const currentEpoch = (state: RoomState): EpochFact | undefined => own(state.epochs, state.current);

/** isReader says whether somebody has a box of an epoch. */
export const isReader = (epoch: EpochFact, who: string): boolean => Object.hasOwn(epoch.boxes, who);

/** needsEpoch says whether the readers of the current epoch are not exactly those entitled now. */
export function needsEpoch(state: RoomState, clock: number): boolean {
  if (state.kind !== "sealed") return false;
  const current = currentEpoch(state);
  if (!current) return true;
  const now = entitled(state, clock);
  return now.length !== Object.keys(current.boxes).length || now.some((who) => !isReader(current, who));
}
