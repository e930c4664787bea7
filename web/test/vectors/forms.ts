// Events as messages between programs, and what their readers say.

import { concat, equal, hex, text, unhex, utf8 } from "../../src/protocol/bytes.ts";
import { box, hash, sign, x25519Public } from "../../src/protocol/crypto.ts";
import * as events from "../../src/protocol/event.ts";
import * as keys from "../../src/protocol/keys.ts";
import type { Judge, Meet, Values } from "./judge.ts";
import { Reader, Ring, type Rules } from "./reader.ts";
import * as streams from "./streams.ts";

/** furtherOf are the further fields of an event, as the vectors have them. */
export function furtherOf(ev: Pick<events.Event, "cause" | "digest" | "content" | "receipt">): Record<string, unknown> {
  const { cause, digest, content, receipt } = ev;
  return { cause: cause && hex(cause), digest, content, receipt };
}

const messageOf = ({ subject, headers, data }: Values): streams.Message => ({ subject, headers: headers ?? [], data: unhex(data) });

/** meetForms holds an event against its forms. */
export async function meetForms(j: Judge, c: Values): Promise<void> {
  for (const [name, form, want] of [["headers", "headers", c.headers], ["compact", "compact", c.payload], ["by hash", "headers", c.byHash]]) {
    const envelope = await j.holds(`${c.name}, ${name}`, () => streams.readMessage(messageOf(want)));
    await j.holds(`${c.name}, ${name}`, () => events.check(envelope.ev));
    j.same(`${c.name}, ${name}`, events.encode(envelope.ev), c.compact);
    j.same(`${c.name}, ${name}`, envelope.which, hex(await hash(utf8(c.access))));
    const again = streams.message(envelope, form);
    j.same(`${c.name}, ${name}`, { ...again, data: hex(again.data) }, want);
  }
  const envelope = await j.holds(`${c.name} as JSON`, () => streams.readText(c.json));
  await j.holds(`${c.name} as JSON`, () => events.check(envelope.ev));
  j.same(`${c.name} as JSON`, events.encode(envelope.ev), c.compact);
  j.same(`${c.name} as JSON`, streams.writeText(envelope), c.json);
  j.same(c.name, furtherOf(envelope.ev), furtherOf({ ...c.fields, cause: c.fields.cause && unhex(c.fields.cause) }));
  if (!envelope.ev.batch) j.same(c.name, await sign(keys.parseSeed("U", c.signer), events.signed(envelope.ev)), hex(envelope.ev.signatures[0]!));
}

/** readerOf believes the accounts of access tokens, which can be found, but for one. */
async function readerOf(access: string[], rules: Partial<Rules>, disbelieved?: string): Promise<Reader> {
  const known = await Promise.all(access.map((token) => streams.parseAccess(token)));
  const accounts = known.map(({ account }) => keys.keyText("A", account)).filter((account) => account !== disbelieved);
  return new Reader({ accounts, ...rules }, (which) => known.find((one) => equal(one.hash, which))?.token);
}

/** meetRing follows the keys of a private stream as one of its readers. */
async function meetRing(j: Judge, f: Values, name: string, secret: Uint8Array): Promise<void> {
  const own = keys.keyText("X", await x25519Public(secret));
  const ring = new Ring(f.subject, f.keepers, secret, own, await readerOf(f.access, {}));
  for (const e of f.log) {
    const ev = events.decodeAny(unhex(e.compact));
    j.same(e.name, [hex(await events.eventHash(ev)), text(ev.body)], [e.hash, e.body]);
    await j.either(!e.why, `${name}, ${e.name}`, () => ring.take({ ev, which: unhex(e.access), trail: [] }, e.stored), e.why);
    j.same(`${name}, after ${e.name}`, [ring.current ?? "0".repeat(64), ring.readers], [e.current, e.reading]);
  }
  for (const m of f.messages) {
    const ev = events.decode(unhex(m.compact));
    await j.holds(m.name, () => events.check(ev));
    j.same(m.name, events.sealData(ev), m.ad);
    if (m.opens[name]) await j.refused(`${name}, ${m.name}`, () => ring.read(ev), m.opens[name]);
    else j.same(`${name}, ${m.name}`, text((await j.holds(m.name, () => ring.read(ev))) ?? utf8("")), m.plaintext);
  }
}

export const formFiles: Record<string, Meet> = {
  async "event-access.json"(j, f) {
    for (const c of f.cases) {
      const got = await j.holds(c.name, () => streams.parseAccess(c.text));
      j.same(c.name, got.hash, c.hash);
      j.same(c.name, [keys.keyText("U", got.device), keys.keyText("A", got.account), got.name], [c.device, c.account, c.called]);
      j.same(c.name, got.operator && keys.keyText("O", got.operator), c.operator);
      for (const at of c.good) await j.either(!at.why, `${c.name} at ${at.time}`, () => streams.goodAt(got, at.time, 600000), at.why);
      for (const by of c.believed) await j.either(by.believed, `${c.name}, believed`, () => streams.believe(got, by), "untrusted");
    }
    for (const r of f.refused) await j.refused(r.name, () => streams.parseAccess(r.text), "access");
  },

  async "event-message.json"(j, f) {
    for (const c of f.cases) await meetForms(j, c);
    for (const r of f.refused) await j.refused(r.name, async () => events.check((await streams.readMessage(messageOf(r))).ev), r.why);
    for (const r of f.refusedTexts) await j.refused(r.name, async () => events.check((await streams.readText(r.json)).ev), r.why);
  },

  async "event-trail.json"(j, f) {
    const judge = async (m: Values, disbelieved?: string) => {
      const envelope = await streams.readMessage(messageOf(m));
      const at = Number(envelope.ev.time);
      const reader = await readerOf(f.access, { is: [f.is] }, disbelieved);
      await reader.verify(envelope, { now: at + 3600000, stored: at });
      return envelope;
    };
    const got: Record<string, streams.Envelope> = {};
    for (const c of f.cases) {
      await meetForms(j, c);
      got[c.name] = await j.holds(c.name, () => judge(c.headers));
    }
    for (const r of f.receipts) {
      await j.either(r.good, `${r.receipt} for ${r.for}`, () => streams.isReceiptFor(got[r.receipt]!, got[r.for]!.ev), "not-meant");
    }
    for (const r of f.refused) await j.refused(r.name, () => judge(r, r.disbelieved), r.why);
  },

  async "event-private.json"(j, f) {
    for (const b of f.boxes) {
      const made = await box(await keys.parseXKey(b.to), "epoch", concat(utf8(f.subject), unhex(b.commitment)), unhex(b.key), unhex(b.ephemeral));
      j.same("box", made.box, b.box);
    }
    for (const [name, seed] of Object.entries(f.readers)) await meetRing(j, f, name, keys.parseSeed("X", seed as string));
    for (const [i, m] of f.messages.slice(0, f.keys.length).entries()) {
      const ev = events.decode(unhex(m.compact));
      j.same(m.name, await events.sealBody(ev, unhex(f.keys[i]), unhex(m.nonce), utf8(m.plaintext)), hex(ev.body));
    }
  },

  async "event-judge.json"(j, f) {
    for (const e of Object.values<Values>(f.events)) j.same("hash", await events.eventHash(events.decodeAny(unhex(e.compact))), e.hash);
    for (const c of f.cases) {
      const { access, compact } = f.events[c.event];
      const ev = events.decodeAny(unhex(compact));
      const reader = new Reader(c.rules);
      if (c.revoked) reader.revoked.set(hex(ev.device), c.revoked);
      const at = { now: c.now, stored: c.stored === 0 ? undefined : c.stored, acts: c.acts };
      await j.either(!c.why, c.name, async () => reader.check(ev, await streams.parseAccess(access), at), c.why);
    }
  },
};
