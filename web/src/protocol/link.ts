// Linking a device (docs/protocol/web.md#linking): the code that two devices share, what the new one asks, what the old one
// answers, and the words that people compare.

import { base32, type Bytes, concat, need, random, Refused, unhex } from "./bytes.ts";
import { encode, integer, list, object, type Of, parse, string } from "./canonical.ts";
import { box, hash, hkdf, label, open, seal } from "./crypto.ts";
import { formatID, grouped, parseKey, parseSeed, parseXKey, plain, wordsOf } from "./keys.ts";
import { isName } from "./names.ts";
import { parseToken } from "./tokens.ts";

/** LinkCode is a code and what it becomes: link, under which the hub keeps what is said, and the key of the ask. */
export interface LinkCode {
  code: string;
  secret: Bytes;
  /** link as an id, and its bytes. */
  link: string;
  id: Bytes;
  key: Bytes;
}

async function codeOf(secret: Bytes, hub: Uint8Array): Promise<LinkCode> {
  const id = (await hkdf(secret, hub, label("link-id"))).slice(0, 16);
  return { code: grouped("kl", secret, 4), secret, link: formatID(id), id, key: await hkdf(secret, hub, label("link-key")) };
}

/** makeLinkCode draws a code for the hub with this fingerprint. */
export const makeLinkCode = (hub: Uint8Array): Promise<LinkCode> => codeOf(random(10), hub);

/** parseLinkCode reads a code, however it was typed. */
export async function parseLinkCode(code: string, hub: Uint8Array): Promise<LinkCode> {
  const said = plain(code);
  need(said.startsWith("kl"), "code", "prefix");
  const secret = base32.read(said.slice(2), "code");
  need(secret.length === 10, "code", "length");
  return codeOf(secret, hub);
}

const maxAsk = 4096;
const maxAnswer = 16 << 10;
const askType = object({ hub: string, device: string, xkey: string, name: string });
const answerType = object({ hub: string, account: string, handle: string, token: string, xkeys: list(string), seq: integer, head: string });

/** Ask is what the new device says: its keys, and the name it wants. */
export type Ask = Of<typeof askType>;

/** LinkAnswer is what the old device hands over. */
export type LinkAnswer = Of<typeof answerType>;

export const askData = (id: Uint8Array) => concat(label("link-ask"), id);

/** sealAsk is what the new device puts at the hub. */
export const sealAsk = (code: LinkCode, ask: Ask, nonce: Uint8Array = random(12)): Promise<Bytes> =>
  seal(code.key, nonce, encode(askType, ask), askData(code.id));

/** openAsk reads what a device that knows the code asks of this hub. */
export async function openAsk(code: LinkCode, hub: string, sealed: Uint8Array): Promise<Ask> {
  need(sealed.length <= maxAsk, "content", "too long");
  const ask = parse(askType, await open(code.key, sealed, askData(code.id)));
  await content(async () => {
    need(ask.hub === hub, "content", "of another hub");
    parseKey("U", ask.device);
    await parseXKey(ask.xkey);
    need(isName(ask.name), "content", "name");
  });
  return ask;
}

/** linkWords are the four words that both devices show, by the list of the fingerprint words. */
export async function linkWords(english: readonly string[], code: LinkCode, sealedAsk: Uint8Array): Promise<string> {
  return wordsOf(english, await hash(label("link-words"), code.key, await hash(sealedAsk)), 4);
}

export const answerContext = async (code: LinkCode, sealedAsk: Uint8Array) => concat(code.id, await hash(sealedAsk));

/** sealAnswer hands over to the device that asked. */
export async function sealAnswer(code: LinkCode, sealedAsk: Uint8Array, xkey: Uint8Array, answer: LinkAnswer, ephemeral?: Uint8Array): Promise<Bytes> {
  return (await box(xkey, "link", await answerContext(code, sealedAsk), encode(answerType, answer), ephemeral)).box;
}

/** openAnswer reads what was handed over; unbox is of the xkey of the ask. */
export async function openAnswer(
  code: LinkCode,
  hub: string,
  sealedAsk: Uint8Array,
  sealed: Uint8Array,
  unbox: (purpose: string, context: Uint8Array, box: Uint8Array) => Promise<Uint8Array>,
): Promise<LinkAnswer> {
  need(sealed.length <= maxAnswer, "content", "too long");
  const answer = parse(answerType, await unbox("link", await answerContext(code, sealedAsk), sealed));
  await content(async () => {
    const token = await parseToken(answer.token);
    need(answer.hub === hub && answer.account === token.account, "content", "of another hub or person");
    need(isName(answer.handle), "content", "handle");
    need(answer.xkeys.length > 0 && answer.seq >= 1, "content", "xkeys or place");
    for (const seed of answer.xkeys) parseSeed("X", seed);
    unhex(answer.head, 32);
  });
  return answer;
}

/** content turns any refusal of a part into one of the whole. */
async function content(checks: () => Promise<void>): Promise<void> {
  try {
    await checks();
  } catch (error) {
    throw error instanceof Refused ? new Refused("content", error.message) : error;
  }
}
