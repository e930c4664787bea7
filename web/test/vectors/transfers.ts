// Transfers: the handshake, blocks, trees, listings.

import { concat, equal, hex, text, u32, unhex, utf8 } from "../../src/protocol/bytes.ts";
import { box, hash, unbox, x25519Public } from "../../src/protocol/crypto.ts";
import { decode } from "../../src/protocol/event.ts";
import * as keys from "../../src/protocol/keys.ts";
import * as transfers from "../../src/protocol/transfers.ts";
import { content, type Judge, type Meet, type Values } from "./judge.ts";
import { judgeOpen, leavesOf, Owner, proof, Window } from "./owner.ts";

const hashes = (all: string[]) => all.map((one) => unhex(one));

async function meetTree(j: Judge, c: Values): Promise<void> {
  const data = content(c.size);
  j.same(`${c.size} bytes`, transfers.blocks(c.size), c.leaves.length);
  j.same(`${c.size} bytes`, await transfers.addressOf(data), c.root);
  const leaves = await leavesOf(data, transfers.blockSize, c.leaves.length);
  j.same(`leaves of ${c.size}`, leaves.map(hex), c.leaves);
  j.same(`top of ${c.size}`, await transfers.top(leaves), c.top);
  for (let i = 0; i < leaves.length; i++) {
    const block = data.subarray(i * transfers.blockSize, (i + 1) * transfers.blockSize);
    await j.holds(`block ${i} of ${c.size}`, () => transfers.verifyBlock(unhex(c.root), c.size, i, block, hashes(c.proofs[i])));
    j.same(`proof ${i} of ${c.size}`, (await proof(leaves, i)).map(hex), c.proofs[i]);
  }
}

async function meetBlocks(j: Judge, f: Values, owner: Owner, reader: transfers.Transfer): Promise<void> {
  for (const c of f.blocks) {
    const data = content(c.size).subarray(c.index * transfers.blockSize, (c.index + 1) * transfers.blockSize);
    const message = await owner.sealBlock(c.position, c.index, data, hashes(c.proof), unhex(c.nonce));
    j.same(c.name, await hash(message), c.hash);
    if (c.message) j.same(c.name, message, c.message);
    j.same(c.name, transfers.parseReply(message), { kind: "block", position: c.position });
    const got = await j.holds(c.name, () => reader.openBlock(message, c.position, unhex(c.root), c.size, c.index));
    j.same(c.name, equal(got, data), true);
  }
  for (const r of f.refusedBlocks) {
    const [message, root] = [unhex(r.message), unhex(f.blocks.find((c: Values) => c.size === r.size).root)];
    await j.refused(r.name, () => reader.openBlock(message, message[1]!, root, r.size, r.index), r.why);
  }
}

export const transferFiles: Record<string, Meet> = {
  async "handshake.json"(j, f) {
    const [reader, owner] = [keys.keyText("A", unhex(f.reader)), keys.keyText("A", unhex(f.owner))];
    const place = { hub: f.hub, owner, reader: unhex(f.reader), subject: f.subject, now: f.now, xkey: keys.parseSeed("X", f.ownerXKey) };
    const takeOpen = (data: string) => judgeOpen(unhex(data), { ...place, byDevice: (ev) => equal(ev.device, unhex(f.readerDevice)) });
    const readerXKey = keys.parseSeed("X", f.readerXKey);
    const takeAnswer = (message: string) =>
      transfers.judgeAnswer(unhex(message), {
        open: unhex(f.openHash), subject: f.subject, reader, owner: unhex(f.owner), address: unhex(f.root),
        unbox: (purpose, context, sealed) => unbox(readerXKey, purpose, context, sealed),
        byDevice: (ev) => equal(ev.device, unhex(f.ownerDevice)),
      });
    const opened = await j.holds("open", () => takeOpen(f.open));
    j.same("Hₒ", opened.hash, f.openHash);
    j.same("request", JSON.stringify(opened.request), f.request);
    const ev = decode(unhex(f.open));
    j.same("context", transfers.openContext(ev), f.openContext);
    const to = await x25519Public(place.xkey);
    j.same("box", (await box(to, "open", transfers.openContext(ev), utf8(f.request), unhex(f.openEphemeral))).box, hex(ev.body));
    const answer = (await j.holds("answer", () => takeAnswer(f.answerMessage))).answer!;
    j.same("key", answer.secret, f.key);
    const back = await box(await keys.parseXKey(opened.request.xkey), "answer", opened.hash, unhex(f.answerEvent), unhex(f.answerEphemeral));
    j.same("answer", concat(Uint8Array.of(1), back.box), f.answerMessage);
    j.same("answer", text(decode(unhex(f.answerEvent)).body), f.answer);
    j.same("keys", (await Owner.of(answer.id, answer.secret, opened.hash)).keys, [f.readKey, f.blockKey]);
    const { refusal } = await j.holds("refusal", () => takeAnswer(f.refusalMessage));
    j.same("refusal", JSON.stringify(refusal), f.refusal);
    const { hint } = await j.holds("refusal in the clear", () => takeAnswer(f.plainMessage));
    j.same("refusal in the clear", JSON.stringify(hint), f.plain);
    for (const r of f.refusedOpens) await j.refused(`open ${r.name}`, () => takeOpen(r.open), r.why);
    for (const r of f.refusedAnswers) await j.refused(`answer ${r.name}`, () => takeAnswer(r.message), r.why);
  },

  async "blocks.json"(j, f) {
    const owner = await Owner.of(unhex(f.transfer), unhex(f.key), unhex(f.open));
    const reader = await transfers.Transfer.of(unhex(f.transfer), unhex(f.key), unhex(f.open));
    j.same("keys", owner.keys, [f.readKey, f.blockKey]);
    for (const c of f.reads) {
      const got = await j.holds(`read ${c.counter}`, () => owner.openRead(unhex(c.message)));
      j.same(`read ${c.counter}`, [Number(got.counter), got.indexes], [c.counter, c.indexes]);
      j.same(`read ${c.counter}`, await reader.sealRead(c.counter, c.indexes, unhex(c.nonce)), c.message);
    }
    await meetBlocks(j, f, owner, reader);
    for (const c of f.refusals) {
      const reason = { code: c.code, message: c.text };
      j.same(c.code, await owner.sealRefusal(c.counter, reason, unhex(c.nonce)), c.message);
      j.same(c.code, transfers.parseReply(unhex(c.message)), { kind: "refusal" });
      j.same(c.code, await j.holds(c.code, () => reader.openRefusal(c.counter, unhex(c.message))), reason);
    }
    for (const c of f.plain) j.same(c.code, transfers.parseReply(unhex(c.message)), { kind: "plain", reason: { code: c.code, message: c.text } });
    for (const r of f.refusedReads) await j.refused(r.name, () => owner.openRead(unhex(r.message)), r.why);
    for (const r of f.refusedRefusals) await j.refused(r.name, () => reader.openRefusal(r.counter, unhex(r.message)), r.why);
    for (const r of f.refusedReplies) await j.refused(r.name, () => transfers.parseReply(unhex(r.message)), "malformed");
    const taken = new Window();
    for (const c of f.window) j.same(`counter ${c.counter}`, taken.accept(c.counter), c.fresh);
  },

  async "tree.json"(j, f) {
    for (const c of f.cases) await meetTree(j, c);
    for (const c of f.shapes) {
      const leaves = await Promise.all(Array.from({ length: c.leaves }, (_, i) => hash(u32(i))));
      const top = await transfers.top(leaves);
      j.same(`${c.leaves} leaves`, [hex(top), hex(await transfers.root(c.leaves * transfers.blockSize, top))], [c.top, c.root]);
    }
    for (const c of f.lengths) {
      j.same(`block ${c.index} of ${c.size}`, [transfers.proofLength(c.size, c.index), transfers.blockLength(c.size, c.index)], [c.hashes, c.length]);
    }
    for (const c of f.sizes) j.same(`${c.size} bytes`, transfers.blocks(c.size), c.blocks);
    for (const r of f.refused) {
      const data = content(r.content).subarray(r.from, r.from + r.length);
      await j.refused(r.name, () => transfers.verifyBlock(unhex(r.root), r.size, r.index, data, hashes(r.proof)), "root");
    }
  },

  async "listing.json"(j, f) {
    for (const c of f.cases) {
      const { header, entries } = await j.holds(c.name, () => transfers.parseListing(utf8(c.text)));
      j.same(c.name, [header.catalog, header.revision, entries.map((entry) => entry.path)], [c.catalog, c.revision, c.paths]);
      j.same(c.name, await transfers.addressOf(utf8(c.text)), c.root);
    }
    for (const r of f.refused) await j.refused(r.name, () => transfers.parseListing(unhex(r.text)), "malformed");
    for (const p of f.paths) await j.either(p.good, `path ${p.path.slice(0, 40)}`, () => transfers.checkPath(text(unhex(p.path))));
  },
};
