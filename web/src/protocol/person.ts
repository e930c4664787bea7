// A person's chain and what it adds up to: keys, devices, invites and shares (docs/protocol/ledger.md#persons).

import { equal, hex, isZero, need, Refused } from "./bytes.ts";
import { account, after, beginning, body, content, device, ended, inviteOf, length, moment, most, names, own, place, until } from "./bodies.ts";
import type { Bodies, InviteFact, Place } from "./bodies.ts";
import { check, checkCoSignature, checkWithheld } from "./event.ts";
import type { Event } from "./event.ts";
import { parseID, parseKey, parseXKey } from "./keys.ts";
import { isName } from "./names.ts";
import { parseToken } from "./tokens.ts";

/** DeviceFact is what a chain says of a device. Seconds since 1970, but for ended. */
export interface DeviceFact {
  name: string;
  token: string;
  /** issued: of its first token; what was signed before a renewal stays good. */
  issued: number;
  expires: number;
  /** newest is when the token was issued that stands now. */
  newest: number;
  since: number;
  /** revoked is the place at which it was revoked, 0 for never, and ended when that was signed, in milliseconds. */
  revoked: number;
  ended?: number;
  /** narrowed is when the token was issued that took back those before it. */
  narrowed?: number;
}

export interface GrantFact {
  catalog: string;
  to: string;
  /** expires: "" for never. */
  expires: string;
  sealed: string;
}

/** PersonState is a person's chain, folded. It can be kept as it is. */
export interface PersonState extends Place {
  account: string;
  handle: string;
  xkey: string;
  /** xkeys are all that were theirs, the newest first, with the place from which on. */
  xkeys: { xkey: string; since: number }[];
  invite: string;
  inviter: string;
  /** admitted: in milliseconds. */
  admitted: number;
  devices: Record<string, DeviceFact>;
  invites: Record<string, InviteFact>;
  granted: Record<string, GrantFact>;
  taken: Record<string, { owner: string; catalog: string }>;
  /** withheld counts the events whose body was kept from this reader. */
  withheld: number;
  /** places of the chain by hash. */
  places: Record<string, number>;
}

/** PersonRules are what holds across chains, for who knows all of them. */
export interface PersonRules {
  admit?(said: Bodies["person.admit"], at: number): void;
  device?(key: string, who: string): void;
}

export const personSubject = (who: string): string => `ledger.person.${who}`;

/** applyPerson folds the next event of a chain in, the first where there is no state yet. One that is refused changes nothing. */
export async function applyPerson(state: PersonState | undefined, hub: string, ev: Event, withheld = false, rules: PersonRules = {}): Promise<PersonState> {
  need(!withheld || ev.type.startsWith("share."), "content", "its body is missing");
  if (!state) return admitted(hub, ev, rules);
  place(ev, personSubject(state.account), hub, state);
  await (withheld ? checkWithheld : check)(ev);
  maySign(state, ev);
  need(names(ev, state.head), "place", "head");
  const change = withheld ? () => void state.withheld++ : await fold(state, ev, rules);
  const at = await after(ev);
  change();
  Object.assign(state, at);
  state.places[at.head] = at.seq;
  return state;
}

async function admitted(hub: string, ev: Event, rules: PersonRules): Promise<PersonState> {
  const who = account(ev);
  place(ev, personSubject(who), hub, beginning);
  await check(ev);
  need(ev.type === "person.admit", "place", "a chain begins with an admission");
  need(equal(ev.device, ev.author), "refused", "not signed by the identity itself");
  const said = body(ev, "person.admit");
  need(isZero(ev.head), "place", "head");
  const invite = await content(() => parseKey("U", said.invite));
  await checkCoSignature(ev, invite);
  const token = await content(() => parseToken(said.device));
  await content(async () => {
    need(said.account === who && token.account === who, "content", "another account");
    need(isName(said.handle), "content", "handle");
    if (said.inviter !== hub) parseKey("A", said.inviter);
    await parseXKey(said.xkey);
  });
  rules.admit?.(said, moment(ev));
  rules.device?.(token.device, who);
  const at = await after(ev);
  return {
    ...at, account: who, handle: said.handle, xkey: said.xkey, xkeys: [{ xkey: said.xkey, since: 1 }], invite: said.invite, inviter: said.inviter,
    admitted: moment(ev), devices: { [token.device]: fact(token, said.device, 1) }, invites: {}, granted: {}, taken: {}, withheld: 0,
    places: { [at.head]: 1 },
  };
}

const fact = ({ name, issued, expires }: { name: string; issued: number; expires: number }, token: string, since: number): DeviceFact => ({
  name, token, issued, expires, newest: issued, since, revoked: 0,
});

/** maySign: a device of the person's, or for devices the identity itself. */
function maySign(state: PersonState, ev: Event): void {
  need(account(ev) === state.account, "refused", "another author");
  if (equal(ev.device, ev.author)) {
    need(ev.type === "person.device" || ev.type === "person.revoke", "refused", "the identity adds and revokes devices only");
    return;
  }
  vouched(state, ev, state.seq + 1);
}

type Change = () => void;

async function fold(state: PersonState, ev: Event, rules: PersonRules): Promise<Change> {
  switch (ev.type) {
    case "person.invite": {
      const [key, invite] = await inviteOf(ev, state.invites);
      return () => void (state.invites[key] = invite);
    }
    case "person.device":
      return addDevice(state, ev, rules);
    case "person.revoke":
      return revoked(state, ev);
    case "person.xkey": {
      const { xkey } = body(ev, "person.xkey");
      await content(() => parseXKey(xkey));
      need(xkey !== state.xkey, "content", "the xkey that it is already");
      return () => {
        state.xkey = xkey;
        state.xkeys.unshift({ xkey, since: Number(ev.seq) });
      };
    }
    case "share.grant":
      return granted(state, ev);
    case "share.revoke": {
      const { grant, to } = body(ev, "share.revoke");
      need(own(state.granted, grant)?.to === to, "content", "no such grant");
      return () => void delete state.granted[grant];
    }
    case "share.accept": {
      const { grant, owner, catalog } = body(ev, "share.accept");
      await content(() => [parseID(grant), parseID(catalog), parseKey("A", owner)]);
      need(own(state.taken, grant) || Object.keys(state.taken).length < most.shares, "content", "too many");
      return () => void (state.taken[grant] = { owner, catalog });
    }
    case "share.decline": {
      const { grant, owner } = body(ev, "share.decline");
      await content(() => [parseID(grant), parseKey("A", owner)]);
      return () => void delete state.taken[grant];
    }
    default:
      throw new Refused("content", "a kind of another chain");
  }
}

async function addDevice(state: PersonState, ev: Event, rules: PersonRules): Promise<Change> {
  const { token: text } = body(ev, "person.device");
  const token = await content(() => parseToken(text));
  need(token.account === state.account, "content", "another's token");
  rules.device?.(token.device, state.account);
  const known = own(state.devices, token.device);
  need(!known?.revoked, "content", "the device was revoked");
  need(known || Object.keys(state.devices).length < most.devices, "content", "too many devices");
  const next = fact(token, text, Number(ev.seq));
  if (known) { // a renewal
    need(known.narrowed === undefined || token.issued >= known.narrowed, "content", "the token was taken back");
    if (known.narrowed !== undefined) next.narrowed = known.narrowed;
    if (token.expires < known.expires) { // it takes back those before it
      need(token.issued > known.newest, "content", "a token that ends earlier is issued later");
      next.narrowed = token.issued;
    }
    [next.since, next.issued] = [known.since, known.issued];
  }
  return () => void (state.devices[token.device] = next);
}

function revoked(state: PersonState, ev: Event): Change {
  const { device: key } = body(ev, "person.revoke");
  const known = own(state.devices, key);
  if (!known || known.revoked) throw new Refused("content", "no such device");
  return () => void (state.devices[key] = { ...known, token: "", revoked: Number(ev.seq), ended: moment(ev) });
}

async function granted(state: PersonState, ev: Event): Promise<Change> {
  const { grant, catalog, to, expires = "", sealed } = body(ev, "share.grant");
  await content(() => [parseID(grant), parseID(catalog), parseKey("A", to)]);
  need(to !== state.account, "content", "with oneself");
  need(length(sealed) >= 1 && length(sealed) <= most.sealed, "content", "sealed part");
  if (expires !== "") until(expires, moment(ev));
  const known = own(state.granted, grant);
  need(!known || (known.catalog === catalog && known.to === to), "content", "the grant id is in use");
  need(known || Object.keys(state.granted).length < most.shares, "content", "too many");
  return () => void (state.granted[grant] = { catalog, to, expires, sealed });
}

/** standing says whether a grant stands for somebody on a catalog at a moment. */
export function standing(state: PersonState, grant: string, catalog: string, to: string, at: number): boolean {
  const known = own(state.granted, grant);
  return known !== undefined && known.catalog === catalog && known.to === to && !ended(known.expires, at);
}

const skew = 10 * 60 * 1000;

/** vouched refuses what a device signed at a place of its author's chain where it was not theirs. */
export function vouched(state: PersonState, ev: Event, at: number): void {
  need(account(ev) === state.account, "refused", "another author");
  const known = own(state.devices, device(ev));
  if (!known || known.since >= at) throw new Refused("refused", "the device is not its author's");
  need(!known.revoked || known.revoked >= at, "refused", "the device was revoked");
  const signed = moment(ev);
  need(signed >= known.issued * 1000 - skew && signed <= known.expires * 1000, "refused", "its token is from another time");
}

/** vouchedNow judges a signature by the newest that is known of its author. */
export const vouchedNow = (state: PersonState, ev: Event): void => vouched(state, ev, state.seq + 1);

/** vouchedAt judges a signature at the place of its author's chain that the event names, which it returns. */
export function vouchedAt(state: PersonState, ev: Event): number {
  const at = own(state.places, hex(ev.head));
  if (at === undefined) throw new Refused("place", "a head that its author's chain does not have");
  vouched(state, ev, at + 1);
  return at;
}

/** vouchedInRoom judges the signature of a message: of a device that was revoked, those from before stay good. */
export function vouchedInRoom(state: PersonState, ev: Event): void {
  const known = own(state.devices, device(ev));
  if (!known?.revoked) return vouchedNow(state, ev);
  need(moment(ev) < (known.ended ?? 0), "refused", "the device was revoked");
  vouched(state, ev, known.revoked);
}
