// Events between programs (docs/protocol/streams.md): access tokens, forms, trails. The app has none of this: it is here
// because the vectors have it.

import { base64, base64url, concat, equal, hex, isZero, need, Reader, Refused, text, u16, unhex, utf8 } from "../../src/protocol/bytes.ts";
import { hash } from "../../src/protocol/crypto.ts";
import { verify } from "../../src/protocol/ed25519.ts";
import * as events from "../../src/protocol/event.ts";
import { isObject, readJSON } from "../../src/protocol/json.ts";
import { type Kind, keyText, parseKey } from "../../src/protocol/keys.ts";

// Access tokens.

const header = '{"typ":"JWT","alg":"ed25519-nkey"}';
const maxAccess = 64 << 10;
const lastSecond = 253402300799; // of the year 9999

/** Access is an access token that was read; times are seconds. */
export interface Access {
  token: string;
  hash: Uint8Array;
  device: Uint8Array;
  account: Uint8Array;
  name: string;
  /** direct: the account itself has signed it. */
  direct: boolean;
  begins: number;
  ends: number[];
  operator?: Uint8Array;
  revoked?: boolean;
}

type Claims = Record<string, unknown>;

/** member is a member of a type, undefined where there is none. */
function member<T>(object: Claims, name: string, fits: (value: unknown) => value is T): T | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || value === null) return undefined;
  need(fits(value), "access", `${name} is of another type`);
  return value;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= lastSecond;
const isList = (value: unknown): value is unknown[] => Array.isArray(value);
const time = (object: Claims, name: string) => member(object, name, isTime) ?? 0;

function key(kind: Kind, said: unknown): Uint8Array {
  need(isText(said), "access", "no key");
  try {
    return parseKey(kind, said);
  } catch {
    throw new Refused("access", "another kind of key");
  }
}

/** readClaims reads a NATS JWT of version 2 and verifies it as that of its issuer. */
async function readClaims(token: string, type: string, issuerKind: Kind) {
  const parts = token.split(".");
  need(parts.length === 3, "access", "not three parts");
  const [head, payload, signature] = parts.map((part) => base64url.read(part, "access")) as [Uint8Array, Uint8Array, Uint8Array];
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
export async function parseAccess(token: string): Promise<Access> {
  need(utf8(token).length <= maxAccess, "access", "too long");
  const parts = token.split(" ");
  need(parts.length <= 2, "access", "more than two tokens");
  const user = await readClaims(parts[0]!, "user", "A");
  const by = member(user.nats, "issuer_account", isText) ?? "";
  const account = by === "" ? user.issuer : key("A", by);
  const issued = time(user.claims, "iat");
  const access: Access = {
    token,
    hash: await hash(utf8(token)),
    device: key("U", user.claims.sub),
    account,
    name: member(user.claims, "name", isText) ?? "",
    direct: equal(account, user.issuer),
    begins: Math.max(issued, time(user.claims, "nbf")),
    ends: [time(user.claims, "exp")],
  };
  if (parts.length === 2) await takeAccount(access, user.claims.iss, issued, parts[1]!);
  else need(access.direct, "access", "a signing key, without the account's token");
  return access;
}

async function takeAccount(access: Access, by: unknown, issued: number, token: string): Promise<void> {
  const { claims, nats, issuer } = await readClaims(token, "account", "O");
  need(equal(key("A", claims.sub), access.account), "access", "another account's");
  const listed = (member(nats, "signing_keys", isList) ?? []).map((one) => (isObject(one) ? one.key : one));
  need(listed.every(isText), "access", "signing keys");
  need(access.direct || (isText(by) && listed.includes(by)), "access", "none of the account's keys");
  access.operator = issuer;
  access.ends.push(time(claims, "exp"));
  const revocations = member(nats, "revocations", isObject) ?? {};
  for (const who of [keyText("U", access.device), "*"]) {
    const until = time(revocations, who);
    if (Object.hasOwn(revocations, who) && issued <= until) access.revoked = true;
  }
}

/** goodAt refuses a token that does not cover a moment in milliseconds. */
export function goodAt(access: Pick<Access, "begins" | "ends" | "revoked">, at: number, skew: number): void {
  need(access.begins === 0 || at >= access.begins * 1000 - skew, "expired", "not yet");
  for (const end of access.ends) need(end === 0 || at <= end * 1000, "expired");
  need(!access.revoked, "revoked");
}

/** believe refuses a token for which nobody who is believed vouches. */
export function believe(access: Access, { accounts, operators }: { accounts: readonly string[]; operators: readonly string[] }): void {
  const byAccount = access.direct && accounts.includes(keyText("A", access.account));
  const byOperator = access.operator !== undefined && operators.includes(keyText("O", access.operator));
  need(byAccount || byOperator, "untrusted");
}

// Forms.

const none = new Uint8Array(0);
export const hashText = /^(?!0{64}$)[0-9a-f]{64}$/;

/** Hop is an event on a trail, without its body, and the hash of its publisher's access token. */
export interface Hop {
  ev: events.Event;
  access: Uint8Array;
}

/** Envelope is an event with what travels beside it. */
export interface Envelope {
  ev: events.Event;
  /** access token, or which it is: its hash. */
  access?: string;
  which: Uint8Array;
  trail: Hop[];
}

/** Message is a NATS message. */
export interface Message {
  subject: string;
  headers: [string, string][];
  data: Uint8Array;
}

const percent = (value: string) =>
  Array.from(utf8(value), (byte) =>
    byte <= 0x20 || byte >= 0x7f || byte === 0x22 || byte === 0x25 ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}` : String.fromCharCode(byte),
  ).join("");

function timeText(millis: bigint): string {
  const at = new Date(Number(millis));
  need(!Number.isNaN(at.getTime()), "malformed", "no time that can be written");
  return at.toISOString().replace(/\.?0+Z$/, (zeros) => (zeros.startsWith(".") ? "Z" : zeros)).replace(/(\.\d*?)0+Z$/, "$1Z");
}

/** attributes are the headers of CloudEvents for an event. */
function attributes(ev: events.Event): Record<string, string> {
  const content = isZero(ev.epoch) ? ev.content : "application/octet-stream";
  return {
    "ce-specversion": "1.0",
    "ce-id": events.uuid(ev.id),
    "ce-source": `nkey:${keyText("A", ev.author)}/${keyText("U", ev.device)}`,
    "ce-type": ev.type,
    "ce-subject": percent(ev.subject),
    "ce-time": timeText(ev.time),
    "ce-keyhalltoken": base64url.write(events.withheld(ev)),
    ...(content ? { "ce-datacontenttype": percent(content) } : {}),
  };
}

/** message is the NATS message of an event: form is headers or compact. */
export function message({ ev, access, which, trail }: Envelope, form: "headers" | "compact"): Message {
  const headers: Record<string, string> = { "Nats-Msg-Id": events.uuid(ev.id), ...(form === "headers" ? attributes(ev) : {}) };
  if (access !== undefined) headers["Keyhall-Access"] = access;
  else headers["Keyhall-Access-Hash"] = hex(which);
  if (trail.length > 0) headers["Keyhall-Trail"] = base64url.write(encodeTrail(trail));
  const names = Object.keys(headers).sort();
  return { subject: ev.subject, headers: names.map((name) => [name, headers[name]!]), data: form === "headers" ? ev.body : events.encode(ev) };
}

/** readMessage reads a message in either form; it verifies nothing. */
export async function readMessage({ subject, headers, data }: Message): Promise<Envelope> {
  const values = (name: string) => headers.filter(([said]) => said === name).map(([, value]) => value);
  const once = (name: string): string => {
    need(values(name).length === 1, "malformed", `${name} is not there once`);
    return values(name)[0]!;
  };
  let ev: events.Event;
  let want: Record<string, string> = {};
  if (values("ce-specversion").length > 0) {
    ev = readToken(once("ce-keyhalltoken"), data);
    want = attributes(ev);
  } else {
    ev = events.decodeAny(data);
  }
  for (const [name] of headers) need(!name.toLowerCase().startsWith("ce-") || Object.hasOwn(want, name), "malformed", name);
  for (const [name, value] of Object.entries({ ...want, "Nats-Msg-Id": events.uuid(ev.id) })) need(once(name) === value, "malformed", name);
  need(ev.subject === subject, "not-meant", "another subject");
  const [inline, byHash] = [values("Keyhall-Access").length > 0, values("Keyhall-Access-Hash").length > 0];
  need(inline !== byHash, "malformed", "an access token or its hash");
  const access = inline ? once("Keyhall-Access") : undefined;
  need(access === undefined || (access !== "" && utf8(access).length <= maxAccess), "malformed", "access token");
  if (byHash) need(hashText.test(once("Keyhall-Access-Hash")), "malformed", "hash of the access token");
  const which = access !== undefined ? await hash(utf8(access)) : unhex(once("Keyhall-Access-Hash"));
  let trail: Hop[] = [];
  if (values("Keyhall-Trail").length > 0) {
    const said = once("Keyhall-Trail");
    need(said !== "", "malformed", "trail");
    trail = decodeTrail(said);
  }
  need((ev.cause === undefined) === (trail.length === 0), "trail", "not there, or not its own");
  return { ev, access, which, trail };
}

/** readToken reads the form without a body, and gives the event one. */
function readToken(said: string, body: Uint8Array): events.Event {
  const ev = events.decodeAny(base64url.read(said, "malformed"));
  need(ev.body.length === 0, "malformed", "a token with a body");
  need(body.length <= events.maxBody, "malformed", "body");
  ev.body = body;
  return ev;
}

const members = ["id", "data", "jwt", "event_auth", "trail"];

/** writeText is an event as JSON. */
export function writeText({ ev, access, trail }: Envelope): string {
  const said: Record<string, string | undefined> = { id: events.uuid(ev.id), data: base64.write(ev.body), jwt: access, event_auth: base64url.write(events.withheld(ev)) };
  if (trail.length > 0) said.trail = base64url.write(encodeTrail(trail));
  return JSON.stringify(said);
}

/** readText reads an event that is JSON; it verifies nothing. */
export async function readText(source: string): Promise<Envelope> {
  const said = readJSON(source, "malformed");
  need(isObject(said), "malformed", "not an object");
  for (const [name, value] of Object.entries(said)) need(members.includes(name) && isText(value), "malformed", name);
  for (const name of members.slice(0, 4)) need(Object.hasOwn(said, name), "malformed", `no ${name}`);
  const { id, data, jwt, event_auth, trail: way } = said as Record<string, string>;
  const ev = readToken(event_auth!, base64.read(data!, "malformed"));
  need(id === events.uuid(ev.id), "malformed", "id");
  need(jwt !== undefined && jwt !== "" && utf8(jwt).length <= maxAccess, "malformed", "jwt");
  need(way !== "", "malformed", "trail");
  const trail = way === undefined ? [] : decodeTrail(way);
  need((ev.cause === undefined) === (trail.length === 0), "trail", "not there, or not its own");
  return { ev, access: jwt, which: await hash(utf8(jwt)), trail };
}

// Trails and receipts.

const maxHops = 16;

function encodeTrail(trail: readonly Hop[]): Uint8Array {
  const hops = trail.map(({ ev, access }) => concat(u16(events.withheld(ev).length), access, events.withheld(ev)));
  return concat(Uint8Array.of(1, trail.length), ...hops);
}

function decodeTrail(said: string): Hop[] {
  const reader = new Reader(base64url.read(said, "trail"), "trail");
  need(reader.u8() === 1, "trail", "version");
  const count = reader.u8();
  need(count >= 1 && count <= maxHops, "trail", "number of hops");
  const trail: Hop[] = [];
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
export async function follow(trail: readonly Hop[], end: events.Event, skew: number): Promise<void> {
  let cause: Uint8Array | undefined;
  let before = 0n;
  for (const ev of [...trail.map((hop) => hop.ev), end]) {
    need(cause === undefined ? ev.cause === undefined : ev.cause !== undefined && equal(ev.cause, cause), "trail", "it came out of another");
    need(ev.time >= before - BigInt(skew), "trail", "older than what it came out of");
    [cause, before] = [await events.eventHash(ev), ev.time];
  }
}

/** isReceiptFor refuses what is no receipt for an event. */
export async function isReceiptFor({ ev, trail }: Envelope, first: events.Event): Promise<void> {
  need(ev.type === "receipt" && ev.subject === first.receipt, "not-meant", "no receipt, or elsewhere");
  need(trail.length > 0 && equal(await events.eventHash(trail[0]!.ev), await events.eventHash(first)), "not-meant", "for another event");
}
