// Device tokens and the hub's proof (docs/protocol/keys.md).

import { base64url, concat, equal, need, Refused, text, utf8 } from "./bytes.mjs";
import { hash, label } from "./crypto.mjs";
import { verify } from "./ed25519.mjs";
import { parseKey } from "./keys.mjs";
import { isName } from "./names.mjs";

const header = '{"typ":"JWT","alg":"ed25519-nkey"}';
const day = 86400;
const lastSecond = 253402300799; // of the year 9999
const skew = 10 * 60 * 1000;

/** split takes a JWT apart: one token has one text. */
function split(token, limit, check) {
  need(utf8(token).length <= limit, check, "too long");
  const parts = token.split(".");
  need(parts.length === 3, check, "not three parts");
  const [head, payload, signature] = parts.map((part) => base64url.read(part, check));
  need(equal(head, utf8(header)), check, "header");
  let claims;
  try {
    claims = JSON.parse(text(payload, check));
  } catch {
    throw new Refused(check, "payload");
  }
  need(typeof claims === "object" && claims !== null, check, "payload");
  return { signed: utf8(`${parts[0]}.${parts[1]}`), payload, signature, claims };
}

/** devicePayload is what a device's token says: five values determine it. */
export function devicePayload({ account, device, name, issued, expires }) {
  const arrow = "\\u003e"; // as the encoder of NATS tokens writes >
  const list = (...subjects) => `[${subjects.map((subject) => `"${subject.replace(">", arrow)}"`).join(",")}]`;
  const deny = list("_INBOX.>", "_R_.>");
  return (
    `{"exp":${expires},"iat":${issued},"iss":"${account}","name":"${name}","sub":"${device}","nats":{` +
    `"pub":{"allow":${list("hub.>", "from.>", "live.*.*", "own.>")},"deny":${deny}},` +
    `"sub":{"allow":${list(`_INBOX_${device}.>`, "catalog.>", "news.>", "own.>")},"deny":${deny}},` +
    `"resp":{"max":64,"ttl":120000000000},"subs":-1,"data":-1,"payload":-1,` +
    `"allowed_connection_types":["STANDARD","WEBSOCKET"],"type":"user","version":2}}`
  );
}

/** parseToken reads a device token and checks everything in it but the time. */
export async function parseToken(token) {
  const { signed, payload, signature, claims } = split(token, 4096, "token");
  const said = { account: claims.iss, device: claims.sub, name: claims.name, issued: claims.iat, expires: claims.exp };
  for (const value of [said.account, said.device, said.name]) need(typeof value === "string", "token", "payload");
  for (const value of [said.issued, said.expires]) need(Number.isSafeInteger(value), "token", "payload");
  try {
    said.accountKey = parseKey("A", said.account);
    said.deviceKey = parseKey("U", said.device);
  } catch {
    throw new Refused("token", "a key");
  }
  need(await verify(said.accountKey, signed, signature), "token", "signature");
  need(isName(said.name), "token", "name");
  need(said.issued >= 0 && said.expires <= lastSecond, "token", "times");
  need(said.expires > said.issued && said.expires - said.issued <= 366 * day, "token", "life");
  need(equal(payload, utf8(devicePayload(said))), "token", "it says something else than a device's token");
  return said;
}

/** goodAt reports whether a token covers a moment in milliseconds. */
export const goodAt = (token, at) => at >= token.issued * 1000 - skew && at <= token.expires * 1000;

/** parseHub reads an operator JWT. */
export async function parseHub(token) {
  const { signed, signature, claims } = split(token, 64 << 10, "hub");
  const { iss, sub, nats } = claims;
  need(typeof nats === "object" && nats !== null && nats.type === "operator" && nats.version === 2, "hub", "type or version");
  need(iss === sub && typeof sub === "string", "hub", "issuer");
  const keys = nats.signing_keys ?? [];
  need(Array.isArray(keys), "hub", "signing keys");
  let hub;
  try {
    hub = { id: sub, key: parseKey("O", sub), signing: keys.map((key) => parseKey("O", key)) };
  } catch {
    throw new Refused("hub", "a key");
  }
  need(await verify(hub.key, signed, signature), "hub", "signature");
  return hub;
}

/** proofStatement is what a hub's signing key signs. */
export const proofStatement = async (challenge, document) => concat(label("hub"), challenge, await hash(utf8(document)));

/** checkProof verifies a hub's answer to a challenge. */
export async function checkProof(hub, challenge, document, proof) {
  const statement = await proofStatement(challenge, document);
  for (const key of hub.signing) if (await verify(key, statement, proof)) return;
  throw new Refused("hub", "the answer is not signed by the hub");
}
