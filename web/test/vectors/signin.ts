// Passwords, passkeys, logins, links and sessions.

import { argon2id } from "@noble/hashes/argon2.js";

import { base64url, hex, text, unhex, utf8 } from "../../src/protocol/bytes.ts";
import { box, ed25519Public, hash, hkdf, label, open, seal, sign, unbox, x25519Public } from "../../src/protocol/crypto.ts";
import { verify } from "../../src/protocol/ed25519.ts";
import { encode } from "../../src/protocol/event.ts";
import { english } from "../../src/protocol/english.ts";
import * as keys from "../../src/protocol/keys.ts";
import * as links from "../../src/protocol/link.ts";
import * as passwords from "../../src/protocol/passwords.ts";
import { sessionStatement } from "../../src/protocol/session.ts";
import { alike, type Judge, type Meet, type Values } from "./judge.ts";

async function meetPassword(j: Judge, f: Values, c: Values): Promise<void> {
  const account = keys.parseKey("A", f.account);
  const { password, salt, memory, passes } = passwords.salted(c.password, unhex(c.salt), c);
  j.same(c.name, password, c.text);
  const master = argon2id(password, salt, { m: memory, t: passes, p: 1, dkLen: 32 });
  j.same(c.name, master, c.master);
  const { verifier, wrapping } = await passwords.passwordSecrets(master, f.hub);
  j.same(c.name, verifier, c.verifier);
  j.same(c.name, await hash(verifier), c.hash);
  const data = passwords.passwordData(f.hub, account);
  j.same(c.name, data, c.ad);
  j.same(c.name, await hkdf(master, await keys.fingerprint(f.hub), label("password-wrap")), c.wrap);
  j.same(c.name, await seal(wrapping, unhex(c.nonce), utf8(f.plaintext), data), c.blob);
  j.same(c.name, text(await j.holds(c.name, () => open(wrapping, unhex(c.blob), data))), f.plaintext);
}

async function meetLogin(j: Judge, f: Values, c: Values): Promise<void> {
  const { ev, login } = await j.holds(c.name, () => passwords.readLogin(f.hub, unhex(c.event)));
  j.same(c.name, login.type, c.type);
  j.same(c.name, text(ev.body), c.body);
  j.same(c.name, "credential" in login ? login.credential : "", c.credential);
}

export const signinFiles: Record<string, Meet> = {
  async "password.json"(j, f) {
    j.same("fingerprint", await keys.fingerprint(f.hub), f.fingerprint);
    for (const c of f.cases) await meetPassword(j, f, c);
    for (const r of f.refused) await j.refused(r.name, () => passwords.salted("password", unhex(r.salt), r), "cost");
    const { wrapping } = await passwords.passwordSecrets(unhex(f.cases[0].master), f.hub);
    const account = keys.parseKey("A", f.account);
    for (const r of f.refusedBlobs) await j.refused(r.name, () => open(wrapping, unhex(r.blob), passwords.passwordData(f.hub, account)), r.why);

    const { input, output, wrap, ad, nonce, blob, credential } = f.passkey;
    j.same("passkey", passwords.passkeyInput, input);
    const passkey = await passwords.passkeyWrapping(unhex(output), f.hub);
    j.same("passkey", await hkdf(unhex(output), await keys.fingerprint(f.hub), label("passkey-wrap")), wrap);
    const data = passwords.passkeyData(f.hub, account, base64url.read(credential, "credential"));
    j.same("passkey", data, ad);
    j.same("passkey", await seal(passkey, unhex(nonce), utf8(f.plaintext), data), blob);
  },

  async "login.json"(j, f) {
    for (const c of f.cases) await meetLogin(j, f, c);
    for (const r of f.refused) await j.refused(r.name, () => passwords.readLogin(f.hub, unhex(r.event)), r.why);
    await meetMaking(j, f);
  },

  async "session.json"(j, f) {
    const statement = sessionStatement(f.hub, unhex(f.challenge));
    j.same("statement", statement, f.statement);
    const seed = keys.parseSeed("U", f.seed);
    j.same("device", keys.keyText("U", await ed25519Public(seed)), f.device);
    j.same("signature", await sign(seed, statement), f.signature);
    j.same("signature", await verify(keys.parseKey("U", f.device), statement, unhex(f.signature)), true);
    for (const r of f.refused) {
      const said = sessionStatement(r.hub, unhex(r.challenge));
      j.same(r.name, await verify(keys.parseKey("U", r.device), said, unhex(r.signature)), false);
    }
  },

  async "link.json"(j, f) {
    for (const code of [f.code, ...f.readings]) {
      const got = await j.holds(code, () => links.parseLinkCode(code, unhex(f.fingerprint)));
      j.same(code, [hex(got.secret), got.link, hex(got.key), got.code], [f.secret, f.link, f.key, f.code]);
    }
    for (const r of f.refused) await j.refused(r.name, () => links.parseLinkCode(r.code, unhex(f.fingerprint)), "code");
    const code = await links.parseLinkCode(f.code, unhex(f.fingerprint));
    j.same("associated data", links.askData(code.id), f.askAd);
    const sealedAsk = unhex(f.ask);
    const ask = await j.holds("ask", () => links.openAsk(code, f.hub, sealedAsk));
    j.same("ask", JSON.stringify(ask), f.askPlaintext);
    j.same("ask", await links.sealAsk(code, ask, unhex(f.askNonce)), f.ask);
    j.same("hash", await hash(sealedAsk), f.askHash);
    j.same("words", await links.linkWords(english, code, sealedAsk), f.words);
    for (const r of f.refusedAsks) await j.refused(r.name, () => links.openAsk(code, f.hub, unhex(r.blob)), r.why);
    await meetAnswer(j, f, code, sealedAsk);
  },
};

async function meetAnswer(j: Judge, f: Values, code: links.LinkCode, sealedAsk: Uint8Array): Promise<void> {
  const secret = keys.parseSeed("X", f.xkey);
  const unboxed = (purpose: string, context: Uint8Array, sealed: Uint8Array) => unbox(secret, purpose, context, sealed);
  const take = (blob: string) => links.openAnswer(code, f.hub, sealedAsk, unhex(blob), unboxed);
  const context = await links.answerContext(code, sealedAsk);
  j.same("context", context, f.context);
  const answer = await j.holds("answer", () => take(f.answer));
  j.same("answer", JSON.stringify(answer), f.answerPlaintext);
  const to = await x25519Public(secret);
  j.same("answer", await links.sealAnswer(code, sealedAsk, to, answer, unhex(f.ephemeral)), f.answer);
  j.same("box", (await box(to, "link", context, utf8(f.answerPlaintext), unhex(f.ephemeral))).box, f.answer);
  for (const r of f.refusedAnswers) await j.refused(`answer ${r.name}`, () => take(r.blob), r.why);
}

/** meetMaking makes logins of its own, which have to be read as what they are, and opens the backups in them. */
async function meetMaking(j: Judge, f: Values): Promise<void> {
  const seed = await hash(utf8("keyhall vectors: alice identity"));
  const identity = { raw: await ed25519Public(seed), sign: (message: Uint8Array) => sign(seed, message) };
  const backup = {
    hub: f.hub, account: keys.keyText("A", identity.raw), handle: "alice", identity: keys.seedText("A", seed),
    xkeys: [keys.seedText("X", seed)], device: keys.keyText("U", identity.raw), seq: 1, head: "1".repeat(64), catalogs: [],
  };
  const secrets = await passwords.passwordSecrets(seed, f.hub);
  const [salt, credential] = [passwords.newSalt(), utf8("a credential")];

  const password = encode(await passwords.makePasswordLogin(f.hub, identity, salt, { memory: 8192, passes: 1 }, secrets, backup, 1000));
  j.same("made", (await passwords.readLogin(f.hub, password)).login.type, "login.password");
  j.same("made", alike(await passwords.openPasswordLogin(f.hub, secrets.wrapping, password), backup), true);
  await j.refused("made, of another hub", () => passwords.openPasswordLogin(`${f.hub}X`, secrets.wrapping, password), "not-meant");

  const wrapping = await passwords.passkeyWrapping(seed, f.hub);
  const passkey = encode(await passwords.makePasskeyLogin(f.hub, identity, credential, wrapping, backup, 1000));
  j.same("made", alike(await passwords.openPasskeyLogin(f.hub, wrapping, credential, passkey), backup), true);
  await j.refused("made, of another passkey", () => passwords.openPasskeyLogin(f.hub, wrapping, utf8("another"), passkey), "not-meant");
  await j.refused("made, by the password", () => passwords.openPasskeyLogin(f.hub, secrets.wrapping, credential, passkey), "sealed");

  const removal = encode(await passwords.makeLoginRemoval(f.hub, identity, credential, 1000));
  j.same("made", (await passwords.readLogin(f.hub, removal)).login, { type: "login.remove", credential: base64url.write(credential) });
}
