// Keys, names, codes, tokens and what is sealed to somebody.

import { concat, hex, text, unhex, utf8 } from "../../src/protocol/bytes.ts";
import * as canonical from "../../src/protocol/canonical.ts";
import { shape } from "../../src/protocol/chain.ts";
import { box, ed25519Public, hash, seal, sign, unbox, x25519Public } from "../../src/protocol/crypto.ts";
import { verify } from "../../src/protocol/ed25519.ts";
import { english } from "../../src/protocol/english.ts";
import * as keys from "../../src/protocol/keys.ts";
import { isName, name } from "../../src/protocol/names.ts";
import { backupData, openBackup } from "../../src/protocol/recovery.ts";
import * as tokens from "../../src/protocol/tokens.ts";
import * as transfers from "../../src/protocol/transfers.ts";
import type { Judge, Meet, Values } from "./judge.ts";

async function codes(j: Judge, f: Values, list: readonly string[]): Promise<void> {
  j.same("list", english, list);
  for (const c of f.cases) {
    const got = await keys.words(english, c.hub, unhex(c.a), unhex(c.b));
    j.same(c.name, got.statement, c.statement);
    j.same(c.name, got.sum, c.hash);
    j.same(c.name, got.words, c.words);
  }
}

/** wordsFile needs the list that lies beside the vectors. */
export const wordsFile =
  (list: readonly string[]): Meet =>
  (j, f) =>
    codes(j, f, list);

export const people: Record<string, Meet> = {
  async "keys.json"(j, f) {
    for (const c of f.cases) {
      const seed = unhex(c.seed);
      j.same(c.name, seed, hex(await hash(utf8(`keyhall vectors: ${c.name}`))));
      j.same(c.name, c.kind === "X" ? await x25519Public(seed) : await ed25519Public(seed), c.public);
      j.same(c.name, keys.keyText(c.kind, unhex(c.public)), c.text);
      j.same(c.name, keys.seedText(c.kind, seed), c.seedText);
      j.same(c.name, keys.parseSeed(c.kind, c.seedText), c.seed);
      j.same(c.name, c.kind === "X" ? await keys.parseXKey(c.text) : keys.parseKey(c.kind, c.text), c.public);
    }
    for (const r of f.refused) {
      await j.refused(r.name, () => (r.kind === "X" ? keys.parseXKey(r.text) : keys.parseKey(r.kind, r.text)), "key");
    }
  },

  async "signatures.json"(j, f) {
    for (const c of f.cases) j.same(c.name, await verify(unhex(c.key), unhex(c.message), unhex(c.signature)), c.valid);
    for (const key of f.smallOrder) {
      for (const r of f.smallOrder) {
        j.same(`${key} ${r}`, await verify(unhex(key), utf8("any message"), concat(unhex(r), new Uint8Array(32))), true);
      }
    }
  },

  async "ids.json"(j, f) {
    for (const c of f.cases) {
      j.same(c.text, keys.parseID(c.text), c.raw);
      j.same(c.text, keys.formatID(unhex(c.raw)), c.text);
    }
    for (const r of f.refused) await j.refused(r.name, () => keys.parseID(r.text), "id");
  },

  async "names.json"(j, f) {
    j.same("unicode", f.unicode, "15.0.0");
    for (const c of f.cases) {
      j.same(c.text, await j.holds(c.text, () => name(c.text)), c.name);
      j.same(c.text, isName(c.text), c.text === c.name);
    }
    for (const r of f.refused) await j.refused(r.name, () => name(r.text), "name");
  },

  async "invite.json"(j, f) {
    for (const c of f.cases) {
      j.same(c.name, await keys.fingerprint(c.hub), c.fingerprint);
      for (const code of [c.code, ...c.readings]) {
        const got = await j.holds(code, () => keys.parseInvite(code));
        j.same(code, [got.hub, got.inviter, got.secret, got.raw, got.seed].map(hex), [c.fingerprint, c.inviter, c.secret, c.raw, c.seed]);
        j.same(code, [got.code, got.key], [c.code, c.key]);
      }
    }
    for (const r of f.refused) await j.refused(r.name, () => keys.parseInvite(r.code), "code");
  },

  async "recovery.json"(j, f) {
    for (const code of [f.code, ...f.readings]) {
      const got = await j.holds(code, () => keys.parseRecovery(code));
      j.same(code, [got.hub, got.secret, got.raw, got.seed, got.wrap].map(hex), [f.fingerprint, f.secret, f.raw, f.seed, f.wrap]);
      j.same(code, [got.code, got.key], [f.code, f.key]);
    }
    for (const r of f.refused) await j.refused(r.name, () => keys.parseRecovery(r.code), "code");
    const code = await keys.parseRecovery(f.code);
    const data = backupData(f.hub, keys.parseKey("U", f.key));
    j.same("associated data", data, f.ad);
    j.same("blob", await seal(code.wrap, unhex(f.nonce), utf8(f.plaintext), data), f.blob);
    const got = await j.holds("backup", () => openBackup(f.hub, code, unhex(f.event)));
    j.same("plaintext", text(got.plaintext), f.plaintext);
    j.same("identity", got.backup.identity, f.identity);
    for (const r of f.refusedBackups) await j.refused(r.name, () => openBackup(f.hub, code, unhex(r.event)), r.why);
  },

  async "device-token.json"(j, f) {
    for (const c of f.cases) {
      const got = await j.holds(c.name, () => tokens.parseToken(c.token));
      j.same(c.name, [got.account, got.device, got.name, got.issued, got.expires], [c.account, c.device, c.called, c.iat, c.exp]);
      j.same(c.name, tokens.devicePayload(got), c.payload);
      const seed = keys.parseSeed("A", c.identity);
      j.same(c.name, await ed25519Public(seed), hex(got.accountKey));
      const by = { raw: got.accountKey, sign: (message: Uint8Array) => sign(seed, message) };
      j.same(`${c.name}, issued anew`, await tokens.makeToken(got, by), c.token);
      for (const at of c.good) j.same(`${c.name} at ${at.time}`, tokens.goodAt(got, at.time), at.good);
    }
    for (const r of f.refused) await j.refused(r.name, () => tokens.parseToken(r.token), "token");
  },

  async "hub-proof.json"(j, f) {
    const hub = await j.holds("hub", () => tokens.parseHub(f.hub));
    j.same("id", hub.id, f.id);
    j.same("signing keys", hub.signing.map((key) => keys.keyText("O", key)), f.signing);
    const statement = await tokens.proofStatement(unhex(f.challenge), f.document);
    j.same("statement", statement, f.statement);
    j.same("document", await hash(utf8(f.document)), f.documentHash);
    j.same("proof", await sign(keys.parseSeed("O", f.signingSeed), statement), f.proof);
    await j.holds("proof", () => tokens.checkProof(hub, unhex(f.challenge), f.document, unhex(f.proof)));
    for (const r of f.refusedHubs) await j.refused(r.name, () => tokens.parseHub(r.hub), "hub");
    for (const r of f.refused) await j.refused(r.name, () => tokens.checkProof(hub, unhex(r.challenge), r.document, unhex(r.proof)), "hub");
  },

  async "canonical-json.json"(j, f) {
    const message = canonical.object({ text: canonical.string });
    const shapes: Record<string, (data: Uint8Array) => unknown> = {
      "room.message": (data) => canonical.parse(message, data),
      "share.sealed": (data) => canonical.parse(canonical.object({ name: canonical.string }), data),
      "transfer.request": transfers.parseRequest,
      "transfer.answer": transfers.parseAnswer,
      "transfer.refusal": transfers.parseRefusal,
      "transfer.plain": (data) => transfers.parseReply(concat(Uint8Array.of(0), data)),
      "listing.header.line": transfers.parseHeader,
    };
    const read = (kind: string) => shapes[kind] ?? ((data: Uint8Array) => canonical.parse(shape(kind)!, data));
    for (const c of f.strings) {
      j.same(c.text, canonical.encode(message, { text: c.text }), c.body);
      j.same(c.text, canonical.parse(message, unhex(c.body)).text, c.text);
    }
    for (const c of f.cases) await j.holds(`${c.shape} ${c.body}`, () => read(c.shape)(utf8(c.body)));
    for (const r of f.refused) await j.refused(`${r.shape}: ${r.name}`, () => read(r.shape)(unhex(r.body)), "canonical", "malformed");
  },

  async "box.json"(j, f) {
    for (const c of f.cases) {
      const [secret, context] = [keys.parseSeed("X", c.recipient), unhex(c.context)];
      const made: Values = await box(await keys.parseXKey(c.to), c.purpose, context, unhex(c.plaintext), unhex(c.ephemeral));
      for (const part of ["enc", "sharedSecret", "key", "baseNonce", "box"]) j.same(`${c.name}: ${part}`, made[part], c[part]);
      j.same(c.name, await j.holds(c.name, () => unbox(secret, c.purpose, context, unhex(c.box))), c.plaintext);
    }
    for (const r of f.refused) {
      await j.refused(r.name, () => unbox(keys.parseSeed("X", r.recipient), r.purpose, unhex(r.context), unhex(r.box)), "box");
    }
  },
};
