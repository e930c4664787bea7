// Chains of the ledger and what they add up to (docs/protocol/ledger.md). Folding believes
// nothing: an event that does not hold is refused, and changes nothing. World folds all of a
// hub's chains; person.ts and room.ts a single one.

import { equal, hex, need } from "./bytes.ts";
import { account, after, beginning, ended, inviteOf, names, own, place } from "./bodies.ts";
import type { Bodies, InviteFact, Place } from "./bodies.ts";
import { check, decode } from "./event.ts";
import type { Event } from "./event.ts";
import { applyPerson, vouchedAt } from "./person.ts";
import type { PersonState } from "./person.ts";
import { applyRoom } from "./room.ts";
import type { RoomState } from "./room.ts";

export { shape, written } from "./bodies.ts";
export type { Bodies, InviteFact, Kind, Place } from "./bodies.ts";
export * from "./person.ts";
export { applyRoom, currentEpoch, entitled, grantOf, isReader, mayWrite, needsEpoch, roleAt, roleOf, roomSubject } from "./room.ts";
export type { EpochFact, Role, RoomState, Span } from "./room.ts";

/** HubKeys are the keys of a hub: its id, as text and raw, and its signing keys. */
export interface HubKeys {
  id: string;
  key: Uint8Array;
  signing: readonly Uint8Array[];
}

/** HubState is the hub's own chain, folded: the invites of its host. */
export interface HubState extends Place {
  invites: Record<string, InviteFact>;
}

/** applyHub folds the next event of the hub's chain in. */
export async function applyHub(state: HubState, hub: HubKeys, ev: Event): Promise<HubState> {
  place(ev, "ledger.hub", hub.id, state);
  await check(ev);
  need(equal(ev.author, hub.key) && hub.signing.some((key) => equal(key, ev.device)), "refused", "not the hub's");
  need(names(ev, state.head), "place", "head");
  need(ev.type === "hub.invite", "content", "kind");
  const [key, invite] = await inviteOf(ev, state.invites);
  Object.assign(state, await after(ev));
  state.invites[key] = invite;
  return state;
}

/** World is everybody's chains, folded. */
export class World {
  readonly identity: HubKeys;
  hub: HubState = { ...beginning, invites: {} };
  private readonly persons = new Map<string, PersonState>();
  private readonly halls = new Map<string, RoomState>();
  private readonly used = new Map<string, number>(); // invite key → admissions
  private readonly owners = new Map<string, string>(); // device → account that named it first

  constructor(hub: HubKeys) {
    this.identity = hub;
  }

  /** people by account, as far as a ledger's reader compares them. */
  get people() {
    return Object.fromEntries(Array.from(this.persons, ([who, person]) => {
      const { handle, xkey, invite, inviter, devices, invites, taken, seq, head } = person;
      const granted = Object.fromEntries(Object.entries(person.granted).map(([id, { catalog, to, expires }]) => [id, { catalog, to, expires }]));
      return [who, { handle, xkey, invite, inviter, devices, invites, granted, taken, seq, head }];
    }));
  }

  /** rooms by id, as far as a ledger's reader compares them. */
  get rooms() {
    return Object.fromEntries(Array.from(this.halls, ([id, room]) => {
      const { kind, listed, name, creator, members, current, seq, head } = room;
      const epochs = Object.fromEntries(Object.entries(room.epochs).map(([hash, { number, place: at, commitment, boxes }]) => [
        hash, { number, place: at, commitment, readers: Object.keys(boxes).sort() },
      ]));
      return [id, { kind, listed, name, creator, members, current, epochs, seq, head }];
    }));
  }

  /** apply folds the ledger's next event in, or refuses it. */
  async apply(data: Uint8Array): Promise<void> {
    const ev = decode(data);
    if (ev.subject === "ledger.hub") {
      this.hub = await applyHub(this.hub, this.identity, ev);
      return;
    }
    const [, chain, name] = /^ledger\.(person|room)\.(.*)$/s.exec(ev.subject) ?? [];
    if (name === undefined) return need(false, "not-meant", "no chain");
    if (chain === "room") return this.room(ev, name);
    // Whoever makes the first event of a chain has to be the one whose chain it is.
    return this.person(ev, this.persons.get(name), false);
  }

  /** withheld folds an event of which the body was withheld into somebody's chain. */
  async withheld(data: Uint8Array): Promise<void> {
    const ev = decode(data);
    const person = this.persons.get(account(ev));
    need(person, "content", "its body is missing");
    await this.person(ev, person, true);
  }

  private async person(ev: Event, before: PersonState | undefined, withheld: boolean): Promise<void> {
    const person = await applyPerson(before, this.identity.id, ev, withheld, {
      admit: (said, at) => this.mayAdmit(said, at),
      device: (key, who) => need((this.owners.get(key) ?? who) === who, "refused", "the device is somebody else's"),
    });
    if (!before) this.used.set(person.invite, (this.used.get(person.invite) ?? 0) + 1);
    this.persons.set(person.account, person);
    for (const key of Object.keys(person.devices)) this.owners.set(key, person.account);
  }

  private mayAdmit({ handle, invite, inviter }: Bodies["person.admit"], at: number): void {
    const invites = inviter === this.identity.id ? this.hub.invites : this.persons.get(inviter)?.invites;
    const announced = own(invites, invite);
    need(announced && (this.used.get(invite) ?? 0) < announced.uses && !ended(announced.expires, at), "refused", "invite");
    need(Array.from(this.persons.values()).every((person) => person.handle !== handle), "refused", "the handle is taken");
  }

  private async room(ev: Event, id: string): Promise<void> {
    const author = this.persons.get(account(ev));
    if (!author) return need(false, "refused", "nobody knows its author");
    vouchedAt(author, ev);
    this.halls.set(id, await applyRoom(this.halls.get(id), id, this.identity.id, ev));
  }

  /** imports are the grants that somebody accepted and that stand. */
  imports(name: string): string[] {
    const stands = ([grant, taken]: [string, { owner: string; catalog: string }]) => {
      const by = own(this.persons.get(taken.owner)?.granted, grant);
      return by && by.to === name && by.catalog === taken.catalog;
    };
    return Object.entries(this.persons.get(name)?.taken ?? {}).filter(stands).map(([grant]) => grant).sort();
  }
}

/** headOf is the hash that an event names as the newest that its author knew, in hex. */
export const headOf = (ev: Event): string => hex(ev.head);
