// Holds this implementation against every vector: node run.mjs <folder of vectors>.
// It prints a line per file, and fails with a line per vector that is not met.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { concat, equal, hex, Refused, text, u32, unhex, utf8 } from "./bytes.mjs";
import * as canonical from "./canonical.mjs";
import { shape, World } from "./chain.mjs";
import { box, ed25519Public, hash, hkdf, label, open, seal, sign, unbox, x25519Public } from "./crypto.mjs";
import { verify } from "./ed25519.mjs";
import * as events from "./event.mjs";
import * as keys from "./keys.mjs";
import * as streams from "./streams.mjs";
import { isName, name } from "./names.mjs";
import * as tokens from "./tokens.mjs";
import * as transfers from "./transfers.mjs";

const folder = process.argv[2];
const failures = [];
const fail = (what) => failures.push(`${current}: ${what}`);
let met = 0;
let current = ""; // file

/** same notes whether a value is the vector's. */
function same(what, got, want) {
  if (isDeepStrictEqual(got instanceof Uint8Array ? hex(got) : got, want)) met++;
  else fail(`${what}: ${JSON.stringify(got)?.slice(0, 200)}, want ${JSON.stringify(want)?.slice(0, 200)}`);
}

/** holds notes whether a step succeeds, and gives its value. */
async function holds(what, step) {
  try {
    const value = await step();
    met++;
    return value;
  } catch (error) {
    fail(`${what}: ${error.stack}`);
    return undefined;
  }
}

/** refused notes whether a step is refused, by one of the checks where they are given. */
async function refused(what, step, ...checks) {
  try {
    await step();
    fail(`${what}: taken`);
  } catch (error) {
    if (!(error instanceof Refused)) fail(`${what}: ${error.stack}`);
    else if (checks.length > 0 && !checks.includes(error.check)) fail(`${what}: refused as ${error.check} (${error.message}), want ${checks}`);
    else met++;
  }
}

/** content is the content of a size that the vectors speak of. */
const content = (size) => Uint8Array.from({ length: size }, (_, i) => (i ^ (i >> 8) ^ (i >> 16)) & 0xff);

const files = {
  async "keys.json"(f) {
    for (const c of f.cases) {
      const seed = unhex(c.seed);
      same(c.name, seed, hex(await hash(utf8(`keyhall vectors: ${c.name}`))));
      same(c.name, c.kind === "X" ? await x25519Public(seed) : await ed25519Public(seed), c.public);
      same(c.name, keys.keyText(c.kind, unhex(c.public)), c.text);
      same(c.name, keys.seedText(c.kind, seed), c.seedText);
      same(c.name, keys.parseSeed(c.kind, c.seedText), c.seed);
      same(c.name, c.kind === "X" ? await keys.parseXKey(c.text) : keys.parseKey(c.kind, c.text), c.public);
    }
    for (const r of f.refused) {
      await refused(r.name, () => (r.kind === "X" ? keys.parseXKey(r.text) : keys.parseKey(r.kind, r.text)), "key");
    }
  },

  async "signatures.json"(f) {
    for (const c of f.cases) same(c.name, await verify(unhex(c.key), unhex(c.message), unhex(c.signature)), c.valid);
    for (const key of f.smallOrder) {
      for (const r of f.smallOrder) {
        same(`${key} ${r}`, await verify(unhex(key), utf8("any message"), concat(unhex(r), new Uint8Array(32))), true);
      }
    }
  },

  async "ids.json"(f) {
    for (const c of f.cases) {
      same(c.text, keys.parseID(c.text), c.raw);
      same(c.text, keys.formatID(unhex(c.raw)), c.text);
    }
    for (const r of f.refused) await refused(r.name, () => keys.parseID(r.text), "id");
  },

  async "names.json"(f) {
    same("unicode", f.unicode, "15.0.0");
    for (const c of f.cases) {
      same(c.text, await holds(c.text, () => name(c.text)), c.name);
      same(c.text, isName(c.text), c.text === c.name);
    }
    for (const r of f.refused) await refused(r.name, () => name(r.text), "name");
  },

  async "words.json"(f) {
    const list = readFileSync(join(folder, "bip39-english.txt"), "utf8").trimEnd().split("\n");
    same("list", list.length, 2048);
    for (const c of f.cases) {
      const got = await keys.words(list, c.hub, unhex(c.a), unhex(c.b));
      same(c.name, got.statement, c.statement);
      same(c.name, got.sum, c.hash);
      same(c.name, got.words, c.words);
    }
  },

  async "invite.json"(f) {
    for (const c of f.cases) {
      same(c.name, await keys.fingerprint(c.hub), c.fingerprint);
      for (const code of [c.code, ...c.readings]) {
        const got = await holds(code, () => keys.parseInvite(code));
        same(code, [got.hub, got.inviter, got.secret, got.raw, got.seed].map(hex), [c.fingerprint, c.inviter, c.secret, c.raw, c.seed]);
        same(code, [got.code, got.key], [c.code, c.key]);
      }
    }
    for (const r of f.refused) await refused(r.name, () => keys.parseInvite(r.code), "code");
  },

  async "recovery.json"(f) {
    for (const code of [f.code, ...f.readings]) {
      const got = await holds(code, () => keys.parseRecovery(code));
      same(code, [got.hub, got.secret, got.raw, got.seed, got.wrap].map(hex), [f.fingerprint, f.secret, f.raw, f.seed, f.wrap]);
      same(code, [got.code, got.key], [f.code, f.key]);
    }
    for (const r of f.refused) await refused(r.name, () => keys.parseRecovery(r.code), "code");
    const code = await keys.parseRecovery(f.code);
    const data = events.backupData(f.hub, keys.parseKey("U", f.key));
    same("associated data", data, f.ad);
    same("blob", await seal(code.wrap, unhex(f.nonce), utf8(f.plaintext), data), f.blob);
    const got = await holds("backup", () => events.openBackup(f.hub, code, unhex(f.event)));
    same("plaintext", text(got.plaintext), f.plaintext);
    same("identity", got.backup.identity, f.identity);
    for (const r of f.refusedBackups) await refused(r.name, () => events.openBackup(f.hub, code, unhex(r.event)), r.why);
  },

  async "device-token.json"(f) {
    for (const c of f.cases) {
      const got = await holds(c.name, () => tokens.parseToken(c.token));
      same(c.name, [got.account, got.device, got.name, got.issued, got.expires], [c.account, c.device, c.called, c.iat, c.exp]);
      same(c.name, tokens.devicePayload(got), c.payload);
      same(c.name, await ed25519Public(keys.parseSeed("A", c.identity)), hex(got.accountKey));
      for (const at of c.good) same(`${c.name} at ${at.time}`, tokens.goodAt(got, at.time), at.good);
    }
    for (const r of f.refused) await refused(r.name, () => tokens.parseToken(r.token), "token");
  },

  async "hub-proof.json"(f) {
    const hub = await holds("hub", () => tokens.parseHub(f.hub));
    same("id", hub.id, f.id);
    same("signing keys", hub.signing.map((key) => keys.keyText("O", key)), f.signing);
    const statement = await tokens.proofStatement(unhex(f.challenge), f.document);
    same("statement", statement, f.statement);
    same("document", await hash(utf8(f.document)), f.documentHash);
    same("proof", await sign(keys.parseSeed("O", f.signingSeed), statement), f.proof);
    await holds("proof", () => tokens.checkProof(hub, unhex(f.challenge), f.document, unhex(f.proof)));
    for (const r of f.refusedHubs) await refused(r.name, () => tokens.parseHub(r.hub), "hub");
    for (const r of f.refused) await refused(r.name, () => tokens.checkProof(hub, unhex(r.challenge), r.document, unhex(r.proof)), "hub");
  },

  async "canonical-json.json"(f) {
    const message = canonical.object({ text: canonical.string });
    const shapes = {
      "room.message": (data) => canonical.parse(message, data),
      "share.sealed": (data) => canonical.parse(canonical.object({ name: canonical.string }), data),
      "transfer.request": transfers.parseRequest,
      "transfer.answer": transfers.parseAnswer,
      "transfer.refusal": transfers.parseRefusal,
      "transfer.plain": (data) => transfers.parseReply(concat(Uint8Array.of(0), data)),
      "listing.header.line": transfers.parseHeader,
    };
    const read = (kind) => shapes[kind] ?? ((data) => canonical.parse(shape(kind), data));
    for (const c of f.strings) {
      same(c.text, canonical.encode(message, { text: c.text }), c.body);
      same(c.text, canonical.parse(message, unhex(c.body)).text, c.text);
    }
    for (const c of f.cases) await holds(`${c.shape} ${c.body}`, () => read(c.shape)(utf8(c.body)));
    for (const r of f.refused) await refused(`${r.shape}: ${r.name}`, () => read(r.shape)(unhex(r.body)), "canonical", "malformed");
  },

  async "box.json"(f) {
    for (const c of f.cases) {
      const [secret, context] = [keys.parseSeed("X", c.recipient), unhex(c.context)];
      const made = await box(await keys.parseXKey(c.to), c.purpose, context, unhex(c.plaintext), unhex(c.ephemeral));
      for (const part of ["enc", "sharedSecret", "key", "baseNonce", "box"]) same(`${c.name}: ${part}`, made[part], c[part]);
      same(c.name, await holds(c.name, () => unbox(secret, c.purpose, context, unhex(c.box))), c.plaintext);
    }
    for (const r of f.refused) await refused(r.name, () => unbox(keys.parseSeed("X", r.recipient), r.purpose, unhex(r.context), unhex(r.box)), "box");
  },

  async "event.json"(f) {
    const cases = {};
    for (const c of f.cases) {
      const ev = await holds(c.name, () => events.decode(unhex(c.compact)));
      cases[c.name] = ev;
      await holds(c.name, () => events.check(ev));
      const read = {};
      for (const field of ["id", "author", "device", "prev", "head", "epoch", "bodyHash"]) read[field] = hex(ev[field]);
      for (const field of ["time", "notAfter", "seq"]) read[field] = String(ev[field]);
      for (const field of ["type", "subject", "audience"]) read[field] = ev[field];
      same(c.name, { ...read, ...furtherOf(ev) }, c.fields);
      same(c.name, ev.body, c.body);
      same(c.name, events.token(ev), c.token);
      same(c.name, events.signed(ev), c.signed);
      same(c.name, ev.signatures.map(hex), c.signatures);
      same(c.name, await sign(keys.parseSeed("U", c.signer), events.signed(ev)), c.signatures[0]);
      same(c.name, await events.eventHash(ev), c.hash);
      same(c.name, await events.signedHash(ev), c.signedHash);
      same(c.name, events.encode(ev), c.compact);
      same(c.name, events.withheld(ev), c.withheld);
      await holds(c.name, async () => events.checkWithheld(events.decode(unhex(c.withheld))));
      if (c.cosigner) await holds(c.name, async () => events.checkCoSignature(ev, await ed25519Public(keys.parseSeed("U", c.cosigner))));
    }
    const judge = async (r) => {
      const ev = events.decode(unhex(r.compact));
      await events.check(ev);
      if (r.cosigner) await events.checkCoSignature(ev, keys.parseKey("U", r.cosigner));
    };
    for (const r of f.refused) await refused(r.name, () => judge(r), r.why);
    for (const m of f.meant) {
      const judgement = () => events.meant(cases[m.event], m.type, m.subject, m.audience);
      await (m.meant ? holds : refused)(`meant for ${m.type} ${m.subject}`, judgement, "not-meant");
    }
    for (const c of f.fresh) {
      const judgement = () => events.fresh({ time: BigInt(c.time), notAfter: BigInt(c.notAfter) }, c.now);
      await (c.fresh ? holds : refused)(c.name, judgement, "time");
    }
  },

  async "event-access.json"(f) {
    for (const c of f.cases) {
      const got = await holds(c.name, () => streams.parseAccess(c.text));
      same(c.name, got.hash, c.hash);
      same(c.name, [keys.keyText("U", got.device), keys.keyText("A", got.account), got.name], [c.device, c.account, c.called]);
      same(c.name, got.operator && keys.keyText("O", got.operator), c.operator);
      for (const at of c.good) {
        const judgement = () => streams.goodAt(got, at.time, 600000);
        await (at.why ? refused(`${c.name} at ${at.time}`, judgement, at.why) : holds(`${c.name} at ${at.time}`, judgement));
      }
      for (const by of c.believed) await (by.believed ? holds : refused)(`${c.name}, believed`, () => streams.believe(got, by), "untrusted");
    }
    for (const r of f.refused) await refused(r.name, () => streams.parseAccess(r.text), "access");
  },

  async "event-batch.json"(f) {
    for (const b of f.batches) {
      const leaves = b.leaves.map((leaf) => unhex(leaf));
      same("root", await events.top(leaves), b.root);
      same("signed", events.signedRoot(b.count, unhex(b.root)), b.signed);
      same("signature", await sign(keys.parseSeed("U", b.signer), unhex(b.signed)), b.signature);
      for (const e of b.events) {
        const name = `${e.index} of ${b.count}`;
        const ev = await holds(name, () => events.decodeAny(unhex(e.compact)));
        await holds(name, () => events.check(ev));
        same(name, ev.batch.path.map(hex), e.path);
        same(name, [ev.batch.count, ev.batch.index], [b.count, e.index]);
        same(name, await events.eventHash(ev), e.hash);
        same(name, await events.signedHash(ev), e.signedHash);
        same(name, await events.leaf(ev), b.leaves[e.index]);
        same(name, hex(ev.body), e.body);
        same(name, events.encode(ev), e.compact);
        same(name, events.withheld(ev), e.withheld);
        await holds(name, () => events.checkWithheld(events.decodeAny(unhex(e.withheld))));
        await refused(`${name}, where only single events are taken`, () => events.decode(unhex(e.compact)), "malformed");
      }
    }
    for (const c of f.forms) await meetForms(c);
    for (const l of f.lengths) same(`path of ${l.index} of ${l.count}`, events.pathLength(l.count, l.index), l.length);
    for (const r of f.refused) await refused(r.name, async () => events.check(events.decodeAny(unhex(r.compact))), r.why);
  },

  async "event-message.json"(f) {
    for (const c of f.cases) await meetForms(c);
    for (const r of f.refused) await refused(r.name, async () => events.check((await streams.readMessage(messageOf(r))).ev), r.why);
    for (const r of f.refusedTexts) await refused(r.name, async () => events.check((await streams.readText(r.json)).ev), r.why);
  },

  async "event-trail.json"(f) {
    const judge = async (m, disbelieved) => {
      const envelope = await streams.readMessage(messageOf(m));
      const at = Number(envelope.ev.time);
      const judge = await judgeOf(f.access, { is: [f.is] }, disbelieved);
      await judge.verify(envelope, { now: at + 3600000, stored: at });
      return envelope;
    };
    const got = {};
    for (const c of f.cases) {
      await meetForms(c);
      got[c.name] = await holds(c.name, () => judge(c.headers));
    }
    for (const r of f.receipts) {
      const judgement = () => streams.isReceiptFor(got[r.receipt], got[r.for].ev);
      await (r.good ? holds : refused)(`${r.receipt} for ${r.for}`, judgement, "not-meant");
    }
    for (const r of f.refused) await refused(r.name, () => judge(r, r.disbelieved), r.why);
  },

  async "event-private.json"(f) {
    const judge = await judgeOf(f.access, {});
    for (const b of f.boxes) {
      const made = await box(await keys.parseXKey(b.to), "epoch", concat(utf8(f.subject), unhex(b.commitment)), unhex(b.key), unhex(b.ephemeral));
      same("box", made.box, b.box);
    }
    for (const [name, seed] of Object.entries(f.readers)) {
      const secret = keys.parseSeed("X", seed);
      const ring = new streams.Ring(f.subject, f.keepers, secret, keys.keyText("X", await x25519Public(secret)), judge);
      for (const e of f.log) {
        const ev = events.decodeAny(unhex(e.compact));
        same(e.name, [hex(await events.eventHash(ev)), text(ev.body)], [e.hash, e.body]);
        const step = () => ring.take({ ev, which: unhex(e.access), trail: [] }, e.stored);
        await (e.why ? refused(`${name}, ${e.name}`, step, e.why) : holds(`${name}, ${e.name}`, step));
        same(`${name}, after ${e.name}`, [ring.current ?? "0".repeat(64), ring.readers], [e.current, e.reading]);
      }
      for (const m of f.messages) {
        const ev = events.decode(unhex(m.compact));
        await holds(m.name, () => events.check(ev));
        same(m.name, events.sealData(ev), m.ad);
        const step = () => ring.read(ev);
        if (m.opens[name]) await refused(`${name}, ${m.name}`, step, m.opens[name]);
        else same(`${name}, ${m.name}`, text((await holds(m.name, step)) ?? utf8("")), m.plaintext);
      }
    }
    for (const [i, m] of f.messages.slice(0, f.keys.length).entries()) {
      const ev = events.decode(unhex(m.compact));
      same(m.name, await events.sealBody(ev, unhex(f.keys[i]), unhex(m.nonce), utf8(m.plaintext)), hex(ev.body));
    }
  },

  async "event-judge.json"(f) {
    for (const [name, e] of Object.entries(f.events)) same(name, await events.eventHash(events.decodeAny(unhex(e.compact))), e.hash);
    for (const c of f.cases) {
      const { access, compact } = f.events[c.event];
      const ev = events.decodeAny(unhex(compact));
      const judge = new streams.Judge(c.rules);
      if (c.revoked) judge.revoked.set(hex(ev.device), c.revoked);
      const at = { now: c.now, stored: c.stored === 0 ? undefined : c.stored, acts: c.acts };
      const judgement = async () => judge.check(ev, await streams.parseAccess(access), at);
      await (c.why ? refused(c.name, judgement, c.why) : holds(c.name, judgement));
    }
  },

  async "epoch-key.json"(f) {
    const [key, secret] = [unhex(f.key), keys.parseSeed("X", f.member)];
    const committed = await events.commitment(f.room, key);
    same("commitment", committed, f.commitment);
    const made = await box(await x25519Public(secret), "epoch", concat(utf8(f.room), committed), key, unhex(f.ephemeral));
    same("box", made.box, f.box);
    same("key", await holds("key", () => events.openEpochKey(secret, f.room, committed, unhex(f.box))), f.key);
    same("name", text(await events.openName(f.room, key, unhex(f.nameSealed))), f.name);
    same("sealed name", await events.sealName(f.room, key, unhex(f.nameNonce), f.name), f.nameSealed);
    const ev = events.decode(unhex(f.compact));
    await holds("message", () => events.check(ev));
    same("associated data", events.sealData(ev), f.ad);
    same("plaintext", text(await events.openBody(ev, key)), f.plaintext);
    same("sealed body", await events.sealBody(ev, key, unhex(f.nonce), utf8(f.plaintext)), f.body);
    for (const r of f.refusedKeys) await refused(r.name, () => events.openEpochKey(secret, r.room, unhex(r.commitment), unhex(r.box)), r.why);
    for (const r of f.refusedNames) await refused(r.name, () => events.openName(r.room, key, unhex(r.sealed)), r.why);
    for (const r of f.refusedBodies) {
      const sealed = events.decode(unhex(r.compact));
      await holds(r.name, () => events.check(sealed));
      await refused(r.name, () => events.openBody(sealed, key), r.why);
    }
  },

  async "handshake.json"(f) {
    const reader = keys.keyText("A", unhex(f.reader));
    const owner = keys.keyText("A", unhex(f.owner));
    const judgeOpen = (data) =>
      transfers.judgeOpen(unhex(data), {
        hub: f.hub, owner, reader: unhex(f.reader), subject: f.subject, now: f.now, xkey: keys.parseSeed("X", f.ownerXKey),
        byDevice: (ev) => equal(ev.device, unhex(f.readerDevice)),
      });
    const judgeAnswer = (message) =>
      transfers.judgeAnswer(unhex(message), {
        open: unhex(f.openHash), xkey: keys.parseSeed("X", f.readerXKey), subject: f.subject, reader, owner: unhex(f.owner),
        byDevice: (ev) => equal(ev.device, unhex(f.ownerDevice)), address: unhex(f.root),
      });
    const opened = await holds("open", () => judgeOpen(f.open));
    same("Hₒ", opened.hash, f.openHash);
    same("request", JSON.stringify(opened.request), f.request);
    const ev = events.decode(unhex(f.open));
    const context = concat(ev.id, ev.author, ev.device);
    same("context", context, f.openContext);
    const to = await x25519Public(keys.parseSeed("X", f.ownerXKey));
    same("box", (await box(to, "open", context, utf8(f.request), unhex(f.openEphemeral))).box, hex(ev.body));
    const { answer } = await holds("answer", () => judgeAnswer(f.answerMessage));
    same("key", answer.secret, f.key);
    const back = await box(await keys.parseXKey(opened.request.xkey), "answer", opened.hash, unhex(f.answerEvent), unhex(f.answerEphemeral));
    same("answer", concat(Uint8Array.of(1), back.box), f.answerMessage);
    same("answer", text(events.decode(unhex(f.answerEvent)).body), f.answer);
    const transfer = await transfers.Transfer.of(answer.id, answer.secret, opened.hash);
    same("keys", [hex(transfer.read), hex(transfer.block)], [f.readKey, f.blockKey]);
    const { refusal } = await holds("refusal", () => judgeAnswer(f.refusalMessage));
    same("refusal", JSON.stringify(refusal), f.refusal);
    const { hint } = await holds("refusal in the clear", () => judgeAnswer(f.plainMessage));
    same("refusal in the clear", JSON.stringify(hint), f.plain);
    for (const r of f.refusedOpens) await refused(`open ${r.name}`, () => judgeOpen(r.open), r.why);
    for (const r of f.refusedAnswers) await refused(`answer ${r.name}`, () => judgeAnswer(r.message), r.why);
  },

  async "blocks.json"(f) {
    const transfer = await transfers.Transfer.of(unhex(f.transfer), unhex(f.key), unhex(f.open));
    same("keys", [hex(transfer.read), hex(transfer.block)], [f.readKey, f.blockKey]);
    for (const c of f.reads) {
      const got = await holds(`read ${c.counter}`, () => transfer.openRead(unhex(c.message)));
      same(`read ${c.counter}`, [Number(got.counter), got.indexes], [c.counter, c.indexes]);
      same(`read ${c.counter}`, await transfer.sealRead(c.counter, c.indexes, unhex(c.nonce)), c.message);
    }
    for (const c of f.blocks) {
      const data = content(c.size).subarray(c.index * transfers.blockSize, (c.index + 1) * transfers.blockSize);
      const message = await transfer.sealBlock(c.position, c.index, data, c.proof.map((h) => unhex(h)), unhex(c.nonce));
      same(c.name, await hash(message), c.hash);
      if (c.message) same(c.name, message, c.message);
      same(c.name, transfers.parseReply(message), { kind: "block", position: c.position });
      const got = await holds(c.name, () => transfer.openBlock(message, c.position, unhex(c.root), c.size, c.index));
      same(c.name, equal(got, data), true);
    }
    for (const c of f.refusals) {
      const reason = { code: c.code, message: c.text };
      same(c.code, await transfer.sealRefusal(c.counter, reason, unhex(c.nonce)), c.message);
      same(c.code, transfers.parseReply(unhex(c.message)), { kind: "refusal" });
      same(c.code, await holds(c.code, () => transfer.openRefusal(c.counter, unhex(c.message))), reason);
    }
    for (const c of f.plain) same(c.code, transfers.parseReply(unhex(c.message)), { kind: "plain", reason: { code: c.code, message: c.text } });
    for (const r of f.refusedReads) await refused(r.name, () => transfer.openRead(unhex(r.message)), r.why);
    for (const r of f.refusedBlocks) {
      const [message, root] = [unhex(r.message), unhex(f.blocks.find((c) => c.size === r.size).root)];
      await refused(r.name, () => transfer.openBlock(message, message[1], root, r.size, r.index), r.why);
    }
    for (const r of f.refusedRefusals) await refused(r.name, () => transfer.openRefusal(r.counter, unhex(r.message)), r.why);
    for (const r of f.refusedReplies) await refused(r.name, () => transfers.parseReply(unhex(r.message)), "malformed");
    const taken = new transfers.Window();
    for (const c of f.window) same(`counter ${c.counter}`, taken.accept(c.counter), c.fresh);
  },

  async "tree.json"(f) {
    for (const c of f.cases) {
      const data = content(c.size);
      same(`${c.size} bytes`, transfers.blocks(c.size), c.leaves.length);
      same(`${c.size} bytes`, await transfers.addressOf(data), c.root);
      const leaves = [];
      for (let i = 0; i < c.leaves.length; i++) {
        const block = data.subarray(i * transfers.blockSize, (i + 1) * transfers.blockSize);
        leaves.push(await transfers.leaf(block));
        await holds(`block ${i} of ${c.size}`, () => transfers.verifyBlock(unhex(c.root), c.size, i, block, c.proofs[i].map((h) => unhex(h))));
      }
      same(`leaves of ${c.size}`, leaves.map(hex), c.leaves);
      same(`top of ${c.size}`, await transfers.top(leaves), c.top);
      for (let i = 0; i < leaves.length; i++) same(`proof ${i} of ${c.size}`, (await transfers.proof(leaves, i)).map(hex), c.proofs[i]);
    }
    for (const c of f.shapes) {
      const leaves = await Promise.all(Array.from({ length: c.leaves }, (_, i) => hash(u32(i))));
      const top = await transfers.top(leaves);
      same(`${c.leaves} leaves`, [hex(top), hex(await transfers.root(c.leaves * transfers.blockSize, top))], [c.top, c.root]);
    }
    for (const c of f.lengths) {
      same(`block ${c.index} of ${c.size}`, [transfers.proofLength(c.size, c.index), transfers.blockLength(c.size, c.index)], [c.hashes, c.length]);
    }
    for (const c of f.sizes) same(`${c.size} bytes`, transfers.blocks(c.size), c.blocks);
    for (const r of f.refused) {
      const data = content(r.content).subarray(r.from, r.from + r.length);
      await refused(r.name, () => transfers.verifyBlock(unhex(r.root), r.size, r.index, data, r.proof.map((h) => unhex(h))), "root");
    }
  },

  async "listing.json"(f) {
    for (const c of f.cases) {
      const { header, entries } = await holds(c.name, () => transfers.parseListing(utf8(c.text)));
      same(c.name, [header.catalog, header.revision, entries.map((entry) => entry.path)], [c.catalog, c.revision, c.paths]);
      same(c.name, await transfers.addressOf(utf8(c.text)), c.root);
    }
    for (const r of f.refused) await refused(r.name, () => transfers.parseListing(unhex(r.text)), "malformed");
    for (const p of f.paths) {
      const judgement = () => transfers.checkPath(text(unhex(p.path)));
      await (p.good ? holds : refused)(`path ${p.path.slice(0, 40)}`, judgement);
    }
  },

  async "chain.json"(f) {
    const world = new World(await tokens.parseHub(f.hub));
    for (let i = 0; i <= f.ledger.length; i++) {
      for (const r of f.refused.filter(({ after }) => after === i)) {
        const before = JSON.stringify(stateOf(world));
        await refused(r.name, () => world.apply(unhex(r.event)), r.why);
        same(`after ${r.name}`, JSON.stringify(stateOf(world)), before);
      }
      if (i < f.ledger.length) await holds(f.ledger[i].name, () => world.apply(unhex(f.ledger[i].event)));
    }
    same("state", stateOf(world), f.state);

    const outside = new World(world.identity);
    for (const { name, event } of f.ledger) {
      const ev = events.decode(unhex(event));
      const share = ev.type.startsWith("share.");
      await holds(`${name}, withheld`, () => (share ? outside.withheld(events.withheld(ev)) : outside.apply(unhex(event))));
    }
    for (const [account, person] of Object.entries(f.state.people)) same("withheld", outside.people[account].head, person.head);
  },
};

/** furtherOf are the further fields of an event, as the vectors have them. */
function furtherOf(ev) {
  const { cause, digest, content, receipt } = ev;
  return Object.fromEntries(Object.entries({ cause: cause && hex(cause), digest, content, receipt }).filter(([, value]) => value !== undefined));
}

const messageOf = ({ subject, headers, data }) => ({ subject, headers: headers ?? [], data: unhex(data) });

/** meetForms holds an event against its forms. */
async function meetForms(c) {
  for (const [name, form, want] of [["headers", "headers", c.headers], ["compact", "compact", c.payload], ["by hash", "headers", c.byHash]]) {
    const envelope = await holds(`${c.name}, ${name}`, () => streams.readMessage(messageOf(want)));
    await holds(`${c.name}, ${name}`, () => events.check(envelope.ev));
    same(`${c.name}, ${name}`, events.encode(envelope.ev), c.compact);
    same(`${c.name}, ${name}`, envelope.which, hex(await hash(utf8(c.access))));
    const again = streams.message(envelope, form);
    same(`${c.name}, ${name}`, { ...again, data: hex(again.data) }, want);
  }
  const envelope = await holds(`${c.name} as JSON`, () => streams.readText(c.json));
  await holds(`${c.name} as JSON`, () => events.check(envelope.ev));
  same(`${c.name} as JSON`, events.encode(envelope.ev), c.compact);
  same(`${c.name} as JSON`, streams.writeText(envelope), c.json);
  same(c.name, furtherOf(envelope.ev), furtherOf({ ...c.fields, cause: c.fields.cause && unhex(c.fields.cause) }));
  if (!envelope.ev.batch) same(c.name, await sign(keys.parseSeed("U", c.signer), events.signed(envelope.ev)), hex(envelope.ev.signatures[0]));
}

/** judgeOf believes the accounts of access tokens, which can be found, but for one. */
async function judgeOf(access, rules, disbelieved) {
  const known = await Promise.all(access.map((token) => streams.parseAccess(token)));
  const accounts = known.map(({ account }) => keys.keyText("A", account)).filter((account) => account !== disbelieved);
  return new streams.Judge({ accounts, ...rules }, (which) => known.find((one) => equal(one.hash, which))?.token);
}

const mapped = (object, of) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, of(value, key)]));

/** stateOf is a world as the vector writes it. */
function stateOf(world) {
  const device = ({ name, since, revoked }) => ({ name, since, revoked });
  return {
    hub: world.hub,
    people: mapped(world.people, ({ devices, ...person }, account) => ({ ...person, devices: mapped(devices, device), imports: world.imports(account) })),
    rooms: world.rooms,
  };
}

for (const file of readdirSync(folder).sort()) {
  if (!file.endsWith(".json")) continue;
  const before = met;
  const meet = files[file];
  current = file;
  if (!meet) fail("nothing here meets it");
  else await holds(file, () => meet(JSON.parse(readFileSync(join(folder, file), "utf8"))));
  console.log(`${file}: ${met - before}`);
}
for (const file of Object.keys(files)) if (!readdirSync(folder).includes(file)) failures.push(`${file}: it is not there`);
console.log(`${met} met, ${failures.length} not met`);
for (const failure of failures) console.log(failure);
process.exitCode = failures.length === 0 ? 0 : 1;
