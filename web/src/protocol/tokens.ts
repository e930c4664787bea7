// Device tokens and the hub's proof (docs/protocol/keys.md).

import { base64url, type Bytes, concat, equal, need, Refused, text, utf8 } from "./bytes.ts";
import { hash, label } from "./crypto.ts";
import { verify } from "./ed25519.ts";
import type { By } from "./event.ts";
import { isObject } from "./json.ts";
import { parseKey } from "./keys.ts";
import { isName } from "./names.ts";

const header = '{"typ":"JWT","alg":"ed25519-nkey"}';
const day = 86400;
const lastSecond = 253402300799; // of the year 9999
const skew = 10 * 60 * 1000;

/** split takes a JWT apart: one token has one text. */
function split(token: string, limit: number, check: string) {
  need(utf8(token).length <= limit, check, "too long");
  const parts = token.split(".");
  need(parts.length === 3, check, "not three parts");
  const [head, payload, signature] = parts.map((part) => base64url.read(part, check)) as [Bytes, Bytes, Bytes];
  need(equal(head, utf8(header)), check, "header");
  let claims: unknown;
  try {
    claims = JSON.parse(text(payload, check));
  } catch {
    throw new Refused(check, "payload");
  }
  need(isObject(claims) || Array.isArray(claims), check, "payload");
  return { signed: utf8(`${parts[0]}.${parts[1]}`), payload, signature, claims: claims as Record<string, unknown> };
}

/** Life are the five values that determine a device's token; times are seconds. */
export interface Life {
  account: string;
  device: string;
  name: string;
  issued: number;
  expires: number;
}

/** DeviceToken is a token that was read. */
export interface DeviceToken extends Life {
  accountKey: Bytes;
  deviceKey: Bytes;
}

/** devicePayload is what a device's token says: five values determine it. */
export function devicePayload({ account, device, name, issued, expires }: Life): string {
  const arrow = "\\u003e"; // as the encoder of NATS tokens writes >
  const list = (...subjects: string[]) => `[${subjects.map((subject) => `"${subject.replace(">", arrow)}"`).join(",")}]`;
  const deny = list("_INBOX.>", "_R_.>");
  return (
    `{"exp":${expires},"iat":${issued},"iss":"${account}","name":"${name}","sub":"${device}","nats":{` +
    `"pub":{"allow":${list("hub.>", "from.>", "live.*.*", "own.>")},"deny":${deny}},` +
    `"sub":{"allow":${list(`_INBOX_${device}.>`, "catalog.>", "news.>", "own.>")},"deny":${deny}},` +
    `"resp":{"max":64,"ttl":120000000000},"subs":-1,"data":-1,"payload":-1,` +
    `"allowed_connection_types":["STANDARD","WEBSOCKET"],"type":"user","version":2}}`
  );
}

/** makeToken issues a device's token; by is the identity. */
export async function makeToken(life: Life, by: By): Promise<string> {
  const statement = `${base64url.write(utf8(header))}.${base64url.write(utf8(devicePayload(life)))}`;
  return `${statement}.${base64url.write(await by.sign(utf8(statement)))}`;
}

/** parseToken reads a device token and checks everything in it but the time. */
export async function parseToken(token: string): Promise<DeviceToken> {
  const { signed, payload, signature, claims } = split(token, 4096, "token");
  const { iss: account, sub: device, name, iat: issued, exp: expires } = claims;
  need(typeof account === "string" && typeof device === "string" && typeof name === "string", "token", "payload");
  need(Number.isSafeInteger(issued) && Number.isSafeInteger(expires), "token", "payload");
  const life: Life = { account, device, name, issued: issued as number, expires: expires as number };
  const said: DeviceToken = { ...life, ...keysOf(account, device) };
  need(await verify(said.accountKey, signed, signature), "token", "signature");
  need(isName(name), "token", "name");
  need(said.issued >= 0 && said.expires <= lastSecond, "token", "times");
  need(said.expires > said.issued && said.expires - said.issued <= 366 * day, "token", "life");
  need(equal(payload, utf8(devicePayload(said))), "token", "it says something else than a device's token");
  return said;
}

function keysOf(account: string, device: string): { accountKey: Bytes; deviceKey: Bytes } {
  try {
    return { accountKey: parseKey("A", account), deviceKey: parseKey("U", device) };
  } catch {
    throw new Refused("token", "a key");
  }
}

/** goodAt reports whether a token covers a moment in milliseconds. */
export const goodAt = (token: Pick<Life, "issued" | "expires">, at: number): boolean =>
  at >= token.issued * 1000 - skew && at <= token.expires * 1000;

/** Operator is what an operator JWT says of a hub. */
export interface Operator {
  id: string;
  key: Bytes;
  signing: Bytes[];
}

/** parseHub reads an operator JWT. */
export async function parseHub(token: string): Promise<Operator> {
  const { signed, signature, claims } = split(token, 64 << 10, "hub");
  const { iss, sub, nats } = claims;
  need(isObject(nats) && nats.type === "operator" && nats.version === 2, "hub", "type or version");
  need(iss === sub && typeof sub === "string", "hub", "issuer");
  const keys: unknown = nats.signing_keys ?? [];
  need(Array.isArray(keys) && keys.every((key) => typeof key === "string"), "hub", "signing keys");
  let hub: Operator;
  try {
    hub = { id: sub, key: parseKey("O", sub), signing: keys.map((key) => parseKey("O", key)) };
  } catch {
    throw new Refused("hub", "a key");
  }
  need(await verify(hub.key, signed, signature), "hub", "signature");
  return hub;
}

/** proofStatement is what a hub's signing key signs. */
export const proofStatement = async (challenge: Uint8Array, document: string): Promise<Bytes> =>
  concat(label("hub"), challenge, await hash(utf8(document)));

/** checkProof verifies a hub's answer to a challenge. */
export async function checkProof(hub: Operator, challenge: Uint8Array, document: string, proof: Uint8Array): Promise<void> {
  const statement = await proofStatement(challenge, document);
  for (const key of hub.signing) if (await verify(key, statement, proof)) return;
  throw new Refused("hub", "the answer is not signed by the hub");
}
