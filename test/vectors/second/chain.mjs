// Chains of the ledger and what they add up to (docs/protocol/ledger.md). Folding believes
// nothing: an event that does not hold is refused, and changes nothing.

import { base64, compare, equal, hex, isZero, need, Refused, utf8 } from "./bytes.mjs";
import { bool, bytes, hash as hashType, integer, list, object, optional, parse, string, time } from "./canonical.mjs";
import { check, checkCoSignature, checkWithheld, decode, eventHash, meant } from "./event.mjs";
import { keyText, parseID, parseKey, parseXKey } from "./keys.mjs";
import { isName } from "./names.mjs";
import { goodAt, parseToken } from "./tokens.mjs";

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

/** shape is the type of a body, for readers of single bodies. */
export const shape = (kind) => bodies[kind];

const day = 86400000;
const most = { uses: 1000, sealed: 256, devices: 200, invites: 2000, shares: 1000, spans: 4000, readers: 2000 };

const body = (ev) => {
  need(Object.hasOwn(bodies, ev.type), "content", "a kind that nobody knows");
  return parse(bodies[ev.type], ev.body, "content");
};

const account = (ev) => keyText("A", ev.author);
const device = (ev) => keyText("U", ev.device);
const moment = (ev) => Number(ev.time);
const length = (text) => base64.read(text, "content").length;

/** content turns the refusal of a part into one of the event. */
async function content(checks) {
  try {
    return await checks();
  } catch (error) {
    if (error instanceof Refused) throw new Refused("content", error.message);
    throw error;
  }
}

/** until reads an end in whole seconds that comes after a moment. */
function until(text, after) {
  need(!text.includes("."), "content", "a part of a second");
  const at = Date.parse(text);
  need(at > after, "content", "it ends before it begins");
  return at;
}

const ended = (expires, at) => expires !== "" && Date.parse(expires) <= at;

async function inviteOf(ev, known) {
  const said = body(ev);
  await content(() => parseKey("U", said.invite));
  need(said.uses >= 1 && said.uses <= most.uses, "content", "uses");
  need(until(said.expires, moment(ev)) - moment(ev) <= 366 * day, "content", "it lasts too long");
  need(!known[said.invite], "content", "announced before");
  need(Object.keys(known).length < most.invites, "content", "too many invites");
  return { ...known, [said.invite]: { uses: said.uses, expires: said.expires } };
}

function place(ev, subject, hub, { seq, head }) {
  meant(ev, ev.type, subject, hub);
  need(ev.seq === BigInt(seq) + 1n && hex(ev.prev) === (head || "0".repeat(64)), "place");
}

const beginning = { seq: 0, head: "" };
const names = (ev, head) => hex(ev.head) === (head || "0".repeat(64));

/** next is a chain's state one place on. */
const next = async (state, ev, changes) => ({ ...state, ...changes, seq: Number(ev.seq), head: hex(await eventHash(ev)) });

/** World is everybody's chains, folded. */
export class World {
  constructor(hub) {
    this.identity = hub;
    this.hub = { ...beginning, invites: {} };
    this.people = {}; // by account
    this.rooms = {}; // by id
    this.places = {}; // of people's chains: account → hash → place
    this.used = {}; // invite key → admissions
    this.owners = {}; // device → account that named it first
  }

  /** apply folds the ledger's next event in, or refuses it. */
  async apply(data) {
    const ev = decode(data);
    if (ev.subject === "ledger.hub") return this.#hub(ev);
    const [, chain, name] = /^ledger\.(person|room)\.(.*)$/s.exec(ev.subject) ?? [];
    need(name !== undefined, "not-meant", "no chain");
    if (chain === "room") return this.#room(ev, name);
    if (!this.people[name]) return this.#admit(ev);
    return this.#person(ev, name);
  }

  async #hub(ev) {
    place(ev, "ledger.hub", this.identity.id, this.hub);
    await check(ev);
    need(equal(ev.author, this.identity.key) && this.identity.signing.some((key) => equal(key, ev.device)), "refused", "not the hub's");
    need(names(ev, this.hub.head), "place", "head");
    need(ev.type === "hub.invite", "content", "kind");
    this.hub = await next(this.hub, ev, { invites: await inviteOf(ev, this.hub.invites) });
  }

  async #admit(ev) {
    const who = account(ev);
    place(ev, `ledger.person.${who}`, this.identity.id, beginning);
    await check(ev);
    need(ev.type === "person.admit", "place", "a chain begins with an admission");
    need(equal(ev.device, ev.author), "refused", "not signed by the identity itself");
    const said = body(ev);
    need(isZero(ev.head), "place", "head");
    const invite = await content(() => parseKey("U", said.invite));
    await checkCoSignature(ev, invite);
    const token = await content(() => parseToken(said.device));
    await content(async () => {
      need(said.account === who && token.account === who, "content", "another account");
      need(isName(said.handle), "content", "handle");
      if (said.inviter !== this.identity.id) parseKey("A", said.inviter);
      await parseXKey(said.xkey);
    });
    this.#mayAdmit(said, moment(ev));
    this.#ownDevice(token.device, who);
    const { handle, xkey, inviter } = said;
    const person = await next(beginning, ev, {
      handle, xkey, invite: said.invite, inviter, devices: { [token.device]: since(token, 1) }, invites: {}, granted: {}, taken: {},
    });
    this.people[who] = person;
    this.places[who] = { [person.head]: 1 };
    this.used[said.invite] = (this.used[said.invite] ?? 0) + 1;
    this.owners[token.device] = who;
  }

  #mayAdmit({ handle, invite, inviter }, at) {
    const invites = inviter === this.identity.id ? this.hub.invites : this.people[inviter]?.invites;
    const announced = invites?.[invite];
    need(announced && (this.used[invite] ?? 0) < announced.uses && !ended(announced.expires, at), "refused", "invite");
    need(Object.values(this.people).every((person) => person.handle !== handle), "refused", "the handle is taken");
  }

  #ownDevice(key, who) {
    need((this.owners[key] ?? who) === who, "refused", "the device is somebody else's");
  }

  async #person(ev, name) {
    const person = this.people[name];
    place(ev, `ledger.person.${name}`, this.identity.id, person);
    await check(ev);
    this.#maySign(person, name, ev);
    need(names(ev, person.head), "place", "head");
    const folded = await next(person, ev, await this.#fold(person, name, ev));
    this.people[name] = folded;
    this.places[name][folded.head] = folded.seq;
    for (const key of Object.keys(folded.devices)) this.owners[key] = name;
  }

  /** #maySign: a device of the person's, or for devices the identity itself. */
  #maySign(person, name, ev) {
    need(account(ev) === name, "refused", "another author");
    if (equal(ev.device, ev.author)) {
      need(ev.type === "person.device" || ev.type === "person.revoke", "refused", "the identity adds and revokes devices only");
      return;
    }
    vouched(person, ev, person.seq + 1);
  }

  async #fold(person, name, ev) {
    switch (ev.type) {
      case "person.invite":
        return { invites: await inviteOf(ev, person.invites) };
      case "person.device":
        return this.#addDevice(person, name, ev);
      case "person.revoke":
        return revoked(person, ev);
      case "person.xkey": {
        const { xkey } = body(ev);
        await content(() => parseXKey(xkey));
        need(xkey !== person.xkey, "content", "the xkey that it is already");
        return { xkey };
      }
      case "share.grant":
        return granted(person, name, ev);
      case "share.revoke": {
        const { grant, to } = body(ev);
        need(person.granted[grant]?.to === to, "content", "no such grant");
        return { granted: without(person.granted, grant) };
      }
      case "share.accept": {
        const { grant, owner, catalog } = body(ev);
        await content(() => [parseID(grant), parseID(catalog), parseKey("A", owner)]);
        need(person.taken[grant] || Object.keys(person.taken).length < most.shares, "content", "too many");
        return { taken: { ...person.taken, [grant]: { owner, catalog } } };
      }
      case "share.decline": {
        const { grant, owner } = body(ev);
        await content(() => [parseID(grant), parseKey("A", owner)]);
        return { taken: without(person.taken, grant) };
      }
      default:
        throw new Refused("content", "a kind of another chain");
    }
  }

  async #addDevice(person, name, ev) {
    const token = await content(() => parseToken(body(ev).token));
    need(token.account === name, "content", "another's token");
    this.#ownDevice(token.device, name);
    const known = person.devices[token.device];
    need(!known?.revoked, "content", "the device was revoked");
    need(known || Object.keys(person.devices).length < most.devices, "content", "too many devices");
    const device = since(token, Number(ev.seq));
    if (known) { // a renewal
      need(known.narrowed === undefined || token.issued >= known.narrowed, "content", "the token was taken back");
      device.narrowed = known.narrowed;
      if (token.expires < known.token.expires) { // it takes back those before it
        need(token.issued > known.newest, "content", "a token that ends earlier is issued later");
        device.narrowed = token.issued;
      }
      [device.since, device.token.issued] = [known.since, known.token.issued];
    }
    return { devices: { ...person.devices, [token.device]: device } };
  }

  async #room(ev, id) {
    const author = this.people[account(ev)];
    need(author, "refused", "nobody knows its author");
    const at = this.places[account(ev)][hex(ev.head)];
    need(at !== undefined, "place", "a head that its author's chain does not have");
    vouched(author, ev, at + 1);
    const room = this.rooms[id];
    place(ev, `ledger.room.${id}`, this.identity.id, room ?? beginning);
    await check(ev);
    this.rooms[id] = room ? await next(room, ev, await foldRoom(room, ev)) : await next(beginning, ev, created(ev, id));
  }

  /** withheld folds an event of which the body was withheld into somebody's chain. */
  async withheld(data) {
    const ev = decode(data);
    const name = account(ev);
    const person = this.people[name];
    need(person && ev.type.startsWith("share."), "content", "its body is missing");
    place(ev, `ledger.person.${name}`, this.identity.id, person);
    await checkWithheld(ev);
    this.#maySign(person, name, ev);
    need(names(ev, person.head), "place", "head");
    this.people[name] = await next(person, ev, {});
    this.places[name][this.people[name].head] = this.people[name].seq;
  }

  /** imports are the grants that somebody accepted and that stand. */
  imports(name) {
    const stands = ([grant, taken]) => {
      const by = this.people[taken.owner]?.granted[grant];
      return by && by.to === name && by.catalog === taken.catalog;
    };
    return Object.entries(this.people[name].taken).filter(stands).map(([grant]) => grant).sort();
  }
}

const since = (token, place) => ({ name: token.name, since: place, revoked: 0, newest: token.issued, token });

/** without is an object that lacks a member. */
function without(object, name) {
  const { [name]: _, ...rest } = object;
  return rest;
}

/** vouched refuses what a device signed at a place of its author's chain where it was not theirs. */
function vouched(person, ev, at) {
  const known = person.devices[device(ev)];
  need(known && known.since < at, "refused", "the device is not its author's");
  need(!known.revoked || known.revoked >= at, "refused", "the device was revoked");
  need(goodAt(known.token, moment(ev)), "refused", "its token is from another time");
}

function revoked(person, ev) {
  const { device: key } = body(ev);
  const known = person.devices[key];
  need(known && !known.revoked, "content", "no such device");
  return { devices: { ...person.devices, [key]: { ...known, revoked: Number(ev.seq) } } };
}

async function granted(person, name, ev) {
  const { grant, catalog, to, expires = "", sealed } = body(ev);
  await content(() => [parseID(grant), parseID(catalog), parseKey("A", to)]);
  need(to !== name, "content", "with oneself");
  need(length(sealed) >= 1 && length(sealed) <= most.sealed, "content", "sealed part");
  if (expires !== "") until(expires, moment(ev));
  const known = person.granted[grant];
  need(!known || (known.catalog === catalog && known.to === to), "content", "the grant id is in use");
  need(known || Object.keys(person.granted).length < most.shares, "content", "too many");
  return { granted: { ...person.granted, [grant]: { catalog, to, expires } } };
}

// Rooms.

function created(ev, id) {
  need(ev.type === "room.create", "place", "a chain begins with its creation");
  const { room, kind, listed, name = "" } = body(ev);
  need(room === id, "not-meant", "another room");
  try {
    parseID(room);
  } catch {
    throw new Refused("content", "no id");
  }
  need(kind === "sealed" || kind === "open", "content", "kind");
  const named = listed || kind === "open";
  need(named === (name !== "") && (!named || isName(name)), "content", "name");
  const creator = account(ev);
  return { kind, listed, name, creator, members: { [creator]: [{ role: "moderator", since: 1, until: 0, expires: "" }] }, current: "", epochs: {} };
}

/** grantOf is the standing span of an account, by a clock. */
const grantOf = (room, who, at) => (room.members[who] ?? []).find((span) => span.until === 0 && !ended(span.expires, at));

/** roleOf is the role of an account: in an open room everybody without a grant is a writer. */
const roleOf = (room, who, at) => grantOf(room, who, at)?.role ?? (room.kind === "open" ? "writer" : "");

async function foldRoom(room, ev) {
  const who = account(ev);
  const role = roleOf(room, who, moment(ev));
  switch (ev.type) {
    case "room.grant":
      need(role === "moderator", "refused", "no moderator");
      return letIn(room, ev);
    case "room.revoke": {
      need(role === "moderator", "refused", "no moderator");
      return putOut(room, body(ev).account, ev);
    }
    case "room.leave":
      body(ev);
      return putOut(room, who, ev);
    case "room.epoch":
      need(role === "writer" || role === "moderator", "refused", "no writer");
      return begun(room, ev);
    default:
      throw new Refused("content", "a kind of another chain");
  }
}

/** closed ends the standing span of an account. */
function closed(room, who, at) {
  const spans = room.members[who] ?? [];
  return { ...room.members, [who]: spans.map((span) => (span.until === 0 ? { ...span, until: at } : span)) };
}

function putOut(room, who, ev) {
  need(who !== room.creator, "content", "the creator stays");
  need(room.members[who]?.at(-1).until === 0, "content", "no such member");
  return { members: closed(room, who, Number(ev.seq)) };
}

async function letIn(room, ev) {
  const said = body(ev);
  const { account: who, role, expires = "", epoch = "", key = "" } = said;
  await content(() => [parseID(said.grant), parseKey("A", who)]);
  need(["reader", "writer", "moderator"].includes(role), "content", "role");
  need(who !== room.creator, "content", "the creator is a moderator always");
  if (expires !== "") until(expires, moment(ev));
  need((epoch !== "") === (key !== "") && length(key) <= most.sealed, "content", "an epoch comes with its key");
  need(epoch === "" || epoch === room.current, "content", "not the current epoch");
  need(Object.values(room.members).flat().length < most.spans, "content", "let in too often");
  const members = closed(room, who, Number(ev.seq));
  members[who] = [...members[who], { role, since: Number(ev.seq), until: 0, expires }];
  if (epoch === "") return { members };
  const current = room.epochs[epoch];
  return { members, epochs: { ...room.epochs, [epoch]: { ...current, readers: [...new Set([...current.readers, who])].sort() } } };
}

async function begun(room, ev) {
  const said = body(ev);
  need(room.kind === "sealed", "content", "an open room has no epochs");
  const number = (room.epochs[room.current]?.number ?? 0) + 1;
  need(said.number === number && (said.previous ?? "") === room.current, "place", "number or previous");
  need(said.keys.length >= 1 && said.keys.length <= most.readers, "content", "readers");
  need(length(said.name) >= 1 && length(said.name) <= most.sealed, "content", "name");
  said.keys.forEach((box, i) => {
    need(i === 0 || compare(utf8(said.keys[i - 1].account), utf8(box.account)) < 0, "content", "order");
    need(grantOf(room, box.account, moment(ev)), "content", "a reader who is no member");
    need(length(box.key) >= 1 && length(box.key) <= most.sealed, "content", "box");
  });
  const current = hex(await eventHash(ev));
  const readers = said.keys.map((box) => box.account);
  return { current, epochs: { ...room.epochs, [current]: { number, place: Number(ev.seq), commitment: said.commitment, readers } } };
}
