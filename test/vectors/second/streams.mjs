// Events between programs (docs/protocol/streams.md): access tokens, forms, trails, private
// streams, and what a reader says of an event.

import { base64, base64url, concat, equal, hex, isZero, need, Reader, Refused, text, u16, unhex, utf8 } from "./bytes.mjs";
import { bytes as bytesType, hash as hashType, map, object, optional, parse, string } from "./canonical.mjs";
import { hash } from "./crypto.mjs";
import { verify } from "./ed25519.mjs";
import * as events from "./event.mjs";
import { isObject, readJSON } from "./json.mjs";
import { keyText, parseKey } from "./keys.mjs";

// Access tokens.

const header = '{"typ":"JWT","alg":"ed25519-nkey"}';
const maxAccess = 64 << 10;
const lastSecond = 253402300799; // of the year 9999

/** member is a member of a type, undefined where there is none. */
function member(object, name, fits) {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || value === null) return undefined;
  need(fits(value), "access", `${name} is of another type`);
  return value;
}

const isText = (value) => typeof value === "string";
const isTime = (value) => Number.isSafeInteger(value) && value >= 0 && value <= lastSecond;
const time = (object, name) => member(object, name, isTime) ?? 0;

function key(kind, said) {
  need(isText(said), "access", "no key");
  try {
    return parseKey(kind, said);
  } catch {
    throw new Refused("access", "another kind of key");
  }
}

/** readClaims reads a NATS JWT of version 2 and verifies it as that of its issuer. */
async function readClaims(token, type, issuerKind) {
  const parts = token.split(".");
  need(parts.length === 3, "access", "not three parts");
  const [head, payload, signature] = parts.map((part) => base64url.read(part, "access"));
  need(equal(head, utf8(header)), "access", "header");
  const claims = readJSON(text(payload, "access"), "access");
  need(isObject(claims), "access", "payload");
  const nats = member(claims, "nats", isObject) ?? {};
  need(nats.version === 2 && nats.type === type, "access", "type or version");
  const issuer = key(issuerKind, claims.iss);
  need(await verify(issuer, utf8(`${parts[0]}.${parts[1]}`), signature), "access", "signature");
  return { claims, nats, issuer };
}

/** parseAccess reads an access token and verifies every signature in it. */
export async function parseAccess(token) {
  need(utf8(token).length <= maxAccess, "access", "too long");
  const parts = token.split(" ");
  need(parts.length <= 2, "access", "more than two tokens");
  const user = await readClaims(parts[0], "user", "A");
  const access = { token, hash: await hash(utf8(token)), device: key("U", user.claims.sub), name: member(user.claims, "name", isText) ?? "" };
  const by = member(user.nats, "issuer_account", isText) ?? "";
  access.account = by === "" ? user.issuer : key("A", by);
  access.direct = equal(access.account, user.issuer);
  const issued = time(user.claims, "iat");
  access.begins = Math.max(issued, time(user.claims, "nbf"));
  access.ends = [time(user.claims, "exp")];
  if (parts.length === 2) await takeAccount(access, user, issued, parts[1]);
  else need(access.direct, "access", "a signing key, without the account's token");
  return access;
}

async function takeAccount(access, user, issued, token) {
  const { claims, nats, issuer } = await readClaims(token, "account", "O");
  need(equal(key("A", claims.sub), access.account), "access", "another account's");
  const listed = (member(nats, "signing_keys", Array.isArray) ?? []).map((one) => (isObject(one) ? one.key : one));
  need(listed.every(isText), "access", "signing keys");
  need(access.direct || listed.includes(user.claims.iss), "access", "none of the account's keys");
  access.operator = issuer;
  access.ends.push(time(claims, "exp"));
  const revocations = member(nats, "revocations", isObject) ?? {};
  for (const who of [keyText("U", access.device), "*"]) {
    const until = time(revocations, who);
    if (Object.hasOwn(revocations, who) && issued <= until) access.revoked = true;
  }
}

/** goodAt refuses a token that does not cover a moment in milliseconds. */
export function goodAt(access, at, skew) {
  need(access.begins === 0 || at >= access.begins * 1000 - skew, "expired", "not yet");
  for (const end of access.ends) need(end === 0 || at <= end * 1000, "expired");
  need(!access.revoked, "revoked");
}

/** believe refuses a token for which nobody who is believed vouches. */
export function believe(access, { accounts, operators }) {
  const byAccount = access.direct && accounts.includes(keyText("A", access.account));
  const byOperator = access.operator !== undefined && operators.includes(keyText("O", access.operator));
  need(byAccount || byOperator, "untrusted");
}

// Forms.

const none = new Uint8Array(0);
const hashText = /^(?!0{64}$)[0-9a-f]{64}$/;

export function uuid(id) {
  const digits = hex(id);
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join("-");
}

const percent = (value) =>
  Array.from(utf8(value), (byte) =>
    byte <= 0x20 || byte >= 0x7f || byte === 0x22 || byte === 0x25 ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}` : String.fromCharCode(byte),
  ).join("");

function timeText(millis) {
  const at = new Date(Number(millis));
  need(!Number.isNaN(at.getTime()), "malformed", "no time that can be written");
  return at.toISOString().replace(/\.?0+Z$/, (zeros) => (zeros.startsWith(".") ? "Z" : zeros)).replace(/(\.\d*?)0+Z$/, "$1Z");
}

/** attributes are the headers of CloudEvents for an event. */
function attributes(ev) {
  const content = isZero(ev.epoch) ? ev.content : "application/octet-stream";
  return {
    "ce-specversion": "1.0",
    "ce-id": uuid(ev.id),
    "ce-source": `nkey:${keyText("A", ev.author)}/${keyText("U", ev.device)}`,
    "ce-type": ev.type,
    "ce-subject": percent(ev.subject),
    "ce-time": timeText(ev.time),
    "ce-keyhalltoken": base64url.write(events.withheld(ev)),
    ...(content ? { "ce-datacontenttype": percent(content) } : {}),
  };
}

/** message is the NATS message of an event: form is headers or compact. */
export function message({ ev, access, which, trail }, form) {
  const headers = { "Nats-Msg-Id": uuid(ev.id), ...(form === "headers" ? attributes(ev) : {}) };
  if (access !== undefined) headers["Keyhall-Access"] = access;
  else headers["Keyhall-Access-Hash"] = hex(which);
  if (trail.length > 0) headers["Keyhall-Trail"] = base64url.write(encodeTrail(trail));
  const names = Object.keys(headers).sort();
  return { subject: ev.subject, headers: names.map((name) => [name, headers[name]]), data: form === "headers" ? ev.body : events.encode(ev) };
}

/** readMessage reads a message in either form; it verifies nothing. */
export async function readMessage({ subject, headers, data }) {
  const values = (name) => headers.filter(([said]) => said === name).map(([, value]) => value);
  const once = (name) => {
    need(values(name).length === 1, "malformed", `${name} is not there once`);
    return values(name)[0];
  };
  let ev;
  let want = {};
  if (values("ce-specversion").length > 0) {
    ev = readToken(once("ce-keyhalltoken"), data);
    want = attributes(ev);
  } else {
    ev = events.decodeAny(data);
  }
  for (const [name] of headers) need(!name.toLowerCase().startsWith("ce-") || Object.hasOwn(want, name), "malformed", name);
  for (const [name, value] of Object.entries({ ...want, "Nats-Msg-Id": uuid(ev.id) })) need(once(name) === value, "malformed", name);
  need(ev.subject === subject, "not-meant", "another subject");
  const [inline, byHash] = [values("Keyhall-Access").length > 0, values("Keyhall-Access-Hash").length > 0];
  need(inline !== byHash, "malformed", "an access token or its hash");
  const access = inline ? once("Keyhall-Access") : undefined;
  need(!inline || (access !== "" && utf8(access).length <= maxAccess), "malformed", "access token");
  if (byHash) need(hashText.test(once("Keyhall-Access-Hash")), "malformed", "hash of the access token");
  const which = inline ? await hash(utf8(access)) : unhex(once("Keyhall-Access-Hash"));
  let trail = [];
  if (values("Keyhall-Trail").length > 0) {
    const said = once("Keyhall-Trail");
    need(said !== "", "malformed", "trail");
    trail = decodeTrail(said);
  }
  need((ev.cause === undefined) === (trail.length === 0), "trail", "not there, or not its own");
  return { ev, access, which, trail };
}

/** readToken reads the form without a body, and gives the event one. */
function readToken(said, body) {
  const ev = events.decodeAny(base64url.read(said, "malformed"));
  need(ev.body.length === 0, "malformed", "a token with a body");
  need(body.length <= events.maxBody, "malformed", "body");
  ev.body = body;
  return ev;
}

const members = ["id", "data", "jwt", "event_auth", "trail"];

/** writeText is an event as JSON. */
export function writeText({ ev, access, trail }) {
  const said = { id: uuid(ev.id), data: base64.write(ev.body), jwt: access, event_auth: base64url.write(events.withheld(ev)) };
  if (trail.length > 0) said.trail = base64url.write(encodeTrail(trail));
  return JSON.stringify(said);
}

/** readText reads an event that is JSON; it verifies nothing. */
export async function readText(source) {
  const said = readJSON(source, "malformed");
  need(isObject(said), "malformed", "not an object");
  for (const [name, value] of Object.entries(said)) need(members.includes(name) && isText(value), "malformed", name);
  for (const name of members.slice(0, 4)) need(Object.hasOwn(said, name), "malformed", `no ${name}`);
  const ev = readToken(said.event_auth, base64.read(said.data, "malformed"));
  need(said.id === uuid(ev.id), "malformed", "id");
  need(said.jwt !== "" && utf8(said.jwt).length <= maxAccess, "malformed", "jwt");
  need(said.trail !== "", "malformed", "trail");
  const trail = said.trail === undefined ? [] : decodeTrail(said.trail);
  need((ev.cause === undefined) === (trail.length === 0), "trail", "not there, or not its own");
  return { ev, access: said.jwt, which: await hash(utf8(said.jwt)), trail };
}

// Trails and receipts.

const maxHops = 16;

function encodeTrail(trail) {
  const hops = trail.map(({ ev, access }) => concat(u16(events.withheld(ev).length), access, events.withheld(ev)));
  return concat(Uint8Array.of(1, trail.length), ...hops);
}

function decodeTrail(said) {
  const reader = new Reader(base64url.read(said, "trail"), "trail");
  need(reader.u8() === 1, "trail", "version");
  const count = reader.u8();
  need(count >= 1 && count <= maxHops, "trail", "number of hops");
  const trail = [];
  for (let i = 0; i < count; i++) {
    const length = reader.u16();
    const access = reader.take(32);
    const form = reader.take(length);
    try {
      trail.push({ ev: readToken(base64url.write(form), none), access });
    } catch {
      throw new Refused("trail", "a hop that cannot be read");
    }
  }
  need(reader.left === 0, "trail", "too long");
  return trail;
}

/** follow refuses a trail that does not lead to its event. */
async function follow(trail, end, skew) {
  let cause;
  let before = 0n;
  for (const ev of [...trail.map((hop) => hop.ev), end]) {
    need(cause === undefined ? ev.cause === undefined : ev.cause !== undefined && equal(ev.cause, cause), "trail", "it came out of another");
    need(ev.time >= before - BigInt(skew), "trail", "older than what it came out of");
    [cause, before] = [await events.eventHash(ev), ev.time];
  }
}

/** isReceiptFor refuses what is no receipt for an event. */
export async function isReceiptFor({ ev, trail }, first) {
  need(ev.type === "receipt" && ev.subject === first.receipt, "not-meant", "no receipt, or elsewhere");
  need(trail.length > 0 && equal(await events.eventHash(trail[0].ev), await events.eventHash(first)), "not-meant", "for another event");
}

// Judging.

/** A Judge has rules: accounts, operators, digest, skew, life, is; and a way to find access tokens. */
export class Judge {
  constructor(rules, find = () => undefined) {
    this.rules = { accounts: [], operators: [], digest: 0, skew: 600000, life: 0, is: [], ...rules };
    this.find = find;
    this.revoked = new Map(); // device → {after, last}
  }

  /** verify judges an event with what travels beside it, at {now, stored?, acts?}. */
  async verify({ ev, access, which, trail }, at) {
    const token = await this.#resolve(access, which);
    await this.check(ev, token, at);
    await follow(trail, ev, this.rules.skew);
    for (const hop of trail) {
      const of = await this.#resolve(undefined, hop.access);
      need((hop.ev.digest ?? 0) === this.rules.digest, "digest");
      await events.checkWithheld(hop.ev);
      this.#publisher(hop.ev, of);
      await this.#notRevoked(hop.ev, Number(hop.ev.time));
    }
  }

  async #resolve(inline, which) {
    const said = inline ?? (await this.find(which));
    need(said !== undefined, "not found", "no such access token");
    const access = await parseAccess(said);
    need(equal(access.hash, which), "access", "another one");
    return access;
  }

  /** check judges an event by the access token of its publisher. */
  async check(ev, access, { now, stored, acts = false }) {
    const { digest, is } = this.rules;
    need((ev.digest ?? 0) === digest, "digest");
    await events.check(ev);
    this.#publisher(ev, access);
    await this.#notRevoked(ev, stored ?? now);
    need(ev.audience === "" || is.includes(ev.audience), "not-meant", "for somebody else");
    this.#time(ev, now, stored, acts);
  }

  #publisher(ev, access) {
    need(equal(access.device, ev.device) && equal(access.account, ev.author), "access", "another publisher's");
    believe(access, this.rules);
    goodAt(access, Number(ev.time), this.rules.skew);
  }

  async #notRevoked(ev, seen) {
    const from = this.revoked.get(hex(ev.device));
    if (from === undefined) return;
    const last = from.last?.[ev.subject];
    if (last === undefined) {
      need(Number(ev.time) <= from.after && seen <= from.after + this.rules.skew, "revoked");
      return;
    }
    const seq = BigInt(last.seq);
    need(ev.seq > 0n && ev.seq <= seq, "revoked", "beyond the last good place");
    need(ev.seq < seq || equal(await events.eventHash(ev), unhex(last.hash)), "revoked", "another at the last good place");
  }

  #time(ev, now, stored, acts) {
    const { skew, life } = this.rules;
    const [at, end] = [Number(ev.time), Number(ev.notAfter)];
    need(at <= now + skew, "time", "from the future");
    need(stored === undefined || Math.abs(at - stored) <= skew, "time", "away from when it was stored");
    need(life === 0 || (end !== 0 && end - at <= life), "time", "too long a life");
    need(!acts || end === 0 || now <= end, "time", "past its end");
    need(stored !== undefined || end !== 0 || now - at <= skew, "time", "too old");
  }
}

// Private streams.

const epochType = object({ commitment: hashType, boxes: map(bytesType), previous: optional(hashType) });
const grantType = object({ reader: string, boxes: map(bytesType) });
const maxReaders = 2000;

/** A Ring has the keys of a private stream that the holder of an xkey may read. */
export class Ring {
  constructor(subject, keepers, xkey, own, judge) {
    Object.assign(this, { subject, keepers, xkey, own, judge, epochs: new Map(), current: undefined }); // hex of the hash → epoch
  }

  /** take folds an event of the keys subject. */
  async take(envelope, stored) {
    const { ev } = envelope;
    await this.judge.verify(envelope, { now: stored, stored });
    need(ev.subject === this.subject && this.keepers.includes(keyText("A", ev.author)), "untrusted", "no keeper's");
    if (ev.type === "epoch") await this.#begin(ev);
    else if (ev.type === "epoch.grant") await this.#grant(parse(grantType, ev.body, "malformed"));
    else throw new Refused("not-meant", "type");
  }

  async #begin(ev) {
    const { commitment, boxes, previous } = parse(epochType, ev.body, "malformed");
    const name = hex(await events.eventHash(ev));
    if (this.epochs.has(name)) return;
    need(previous === this.current, "malformed", "it does not follow the current epoch");
    need(Object.keys(boxes).length <= maxReaders, "malformed", "too many readers");
    const epoch = { commitment: unhex(commitment), readers: new Set(Object.keys(boxes)) };
    if (Object.hasOwn(boxes, this.own)) epoch.key = await this.#open(epoch, boxes[this.own]);
    this.epochs.set(name, epoch);
    this.current = name;
  }

  async #grant({ reader, boxes }) {
    for (const name of Object.keys(boxes)) need(hashText.test(name) && this.epochs.has(name), "malformed", "no such epoch");
    for (const [name, box] of Object.entries(boxes)) {
      const epoch = this.epochs.get(name);
      if (name === this.current) epoch.readers.add(reader);
      if (reader === this.own) epoch.key ??= await this.#open(epoch, box);
    }
  }

  /** #open is the key in a box, undefined for one that does not open. */
  async #open(epoch, box) {
    try {
      return await events.openEpochKey(this.xkey, this.subject, epoch.commitment, base64.read(box, "box"));
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  get readers() {
    return this.current === undefined ? [] : [...this.epochs.get(this.current).readers].sort();
  }

  /** read is the plaintext of an event of the stream. */
  async read(ev) {
    const key = this.epochs.get(hex(ev.epoch))?.key;
    need(key !== undefined, "no-key");
    return events.openBody(ev, key);
  }
}
