// Events: alone, in batches, between programs, under an epoch.

import { concat, hex, text, unhex, utf8 } from "../../src/protocol/bytes.ts";
import { leafOf, pathLength, signedRoot } from "../../src/protocol/batch.ts";
import { box, ed25519Public, sign, x25519Public } from "../../src/protocol/crypto.ts";
import * as epochs from "../../src/protocol/epoch.ts";
import * as events from "../../src/protocol/event.ts";
import * as keys from "../../src/protocol/keys.ts";
import { furtherOf, meetForms } from "./forms.ts";
import type { Judge, Meet, Values } from "./judge.ts";
import { topOfBatch } from "./owner.ts";

const signerOf = async (seed: Uint8Array) => ({ raw: await ed25519Public(seed), sign: (message: Uint8Array) => sign(seed, message) });

/** meetEvent holds one event against its fields, texts and hashes, and makes it anew. */
async function meetEvent(j: Judge, c: Values): Promise<events.Event> {
  const ev = await j.holds(c.name, () => events.decode(unhex(c.compact)));
  await j.holds(c.name, () => events.check(ev));
  const read: Record<string, string> = {};
  for (const field of ["id", "author", "device", "prev", "head", "epoch", "bodyHash"] as const) read[field] = hex(ev[field]);
  for (const field of ["time", "notAfter", "seq"] as const) read[field] = String(ev[field]);
  for (const field of ["type", "subject", "audience"] as const) read[field] = ev[field];
  j.same(c.name, { ...read, ...furtherOf(ev) }, c.fields);
  j.same(c.name, ev.body, c.body);
  j.same(c.name, events.token(ev), c.token);
  j.same(c.name, events.signed(ev), c.signed);
  j.same(c.name, ev.signatures.map(hex), c.signatures);
  j.same(c.name, await events.eventHash(ev), c.hash);
  j.same(c.name, await events.signedHash(ev), c.signedHash);
  j.same(c.name, events.encode(ev), c.compact);
  j.same(c.name, events.withheld(ev), c.withheld);
  await j.holds(c.name, async () => events.checkWithheld(events.decode(unhex(c.withheld))));
  const seed = keys.parseSeed("U", c.signer);
  j.same(c.name, await sign(seed, events.signed(ev)), c.signatures[0]);
  if (hex(await ed25519Public(seed)) === read.device) {
    const co = c.cosigner ? await signerOf(keys.parseSeed("U", c.cosigner)) : undefined;
    const anew = await events.makeEvent(ev, ev.body, await signerOf(seed), co ? { co } : {});
    j.same(`${c.name}, signed anew`, events.encode(anew), c.compact);
  }
  if (c.cosigner) await j.holds(c.name, async () => events.checkCoSignature(ev, await ed25519Public(keys.parseSeed("U", c.cosigner))));
  return ev;
}

async function meetBatch(j: Judge, b: Values): Promise<void> {
  const leaves = b.leaves.map((leaf: string) => unhex(leaf));
  j.same("root", await topOfBatch(leaves), b.root);
  j.same("signed", signedRoot(b.count, unhex(b.root)), b.signed);
  j.same("signature", await sign(keys.parseSeed("U", b.signer), unhex(b.signed)), b.signature);
  for (const e of b.events) {
    const name = `${e.index} of ${b.count}`;
    const ev = await j.holds(name, () => events.decodeAny(unhex(e.compact)));
    await j.holds(name, () => events.check(ev));
    j.same(name, ev.batch?.path.map(hex), e.path);
    j.same(name, [ev.batch?.count, ev.batch?.index], [b.count, e.index]);
    j.same(name, await events.eventHash(ev), e.hash);
    j.same(name, await events.signedHash(ev), e.signedHash);
    j.same(name, await leafOf(await events.eventHash(ev)), b.leaves[e.index]);
    j.same(name, hex(ev.body), e.body);
    j.same(name, events.encode(ev), e.compact);
    j.same(name, events.withheld(ev), e.withheld);
    await j.holds(name, () => events.checkWithheld(events.decodeAny(unhex(e.withheld))));
    await j.refused(`${name}, where only single events are taken`, () => events.decode(unhex(e.compact)), "malformed");
  }
}

export const eventFiles: Record<string, Meet> = {
  async "event.json"(j, f) {
    const cases: Record<string, events.Event> = {};
    for (const c of f.cases) cases[c.name] = await meetEvent(j, c);
    const judge = async (r: Values) => {
      const ev = events.decode(unhex(r.compact));
      await events.check(ev);
      if (r.cosigner) await events.checkCoSignature(ev, keys.parseKey("U", r.cosigner));
    };
    for (const r of f.refused) await j.refused(r.name, () => judge(r), r.why);
    for (const m of f.meant) {
      await j.either(m.meant, `meant for ${m.type} ${m.subject}`, () => events.meant(cases[m.event]!, m.type, m.subject, m.audience), "not-meant");
    }
    for (const c of f.fresh) {
      await j.either(c.fresh, c.name, () => events.fresh({ time: BigInt(c.time), notAfter: BigInt(c.notAfter) }, c.now), "time");
    }
  },

  async "event-batch.json"(j, f) {
    for (const b of f.batches) await meetBatch(j, b);
    for (const c of f.forms) await meetForms(j, c);
    for (const l of f.lengths) j.same(`path of ${l.index} of ${l.count}`, pathLength(l.count, l.index), l.length);
    for (const r of f.refused) await j.refused(r.name, async () => events.check(events.decodeAny(unhex(r.compact))), r.why);
  },

  async "epoch-key.json"(j, f) {
    const [key, secret] = [unhex(f.key), keys.parseSeed("X", f.member)];
    const committed = await epochs.commitment(f.room, key);
    j.same("commitment", committed, f.commitment);
    const made = await box(await x25519Public(secret), "epoch", concat(utf8(f.room), committed), key, unhex(f.ephemeral));
    j.same("box", made.box, f.box);
    j.same("key", await j.holds("key", () => epochs.openEpochKey(secret, f.room, committed, unhex(f.box))), f.key);
    j.same("name", text(await epochs.openName(f.room, key, unhex(f.nameSealed))), f.name);
    j.same("sealed name", await epochs.sealName(f.room, key, unhex(f.nameNonce), f.name), f.nameSealed);
    const ev = events.decode(unhex(f.compact));
    await j.holds("message", () => events.check(ev));
    j.same("associated data", events.sealData(ev), f.ad);
    j.same("plaintext", text(await events.openBody(ev, key)), f.plaintext);
    j.same("sealed body", await events.sealBody(ev, key, unhex(f.nonce), utf8(f.plaintext)), f.body);
    for (const r of f.refusedKeys) await j.refused(r.name, () => epochs.openEpochKey(secret, r.room, unhex(r.commitment), unhex(r.box)), r.why);
    for (const r of f.refusedNames) await j.refused(r.name, () => epochs.openName(r.room, key, unhex(r.sealed)), r.why);
    for (const r of f.refusedBodies) {
      const sealed = events.decode(unhex(r.compact));
      await j.holds(r.name, () => events.check(sealed));
      await j.refused(r.name, () => events.openBody(sealed, key), r.why);
    }
  },
};
