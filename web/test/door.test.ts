// node dist-test/door.test.mjs: what getting in works out by itself, without a browser or a hub.

import process from "node:process";

import { nameOf } from "../src/door/device.ts";
import { inURL } from "../src/door/code.ts";
import { renewToken, type Visit } from "../src/door/house.ts";
import { freeName } from "../src/door/names.ts";
import { answered, problemOf, said } from "../src/hub/problem.ts";
import { Refused, utf8 } from "../src/protocol/bytes.ts";
import type { PersonState } from "../src/protocol/chain.ts";
import { box } from "../src/protocol/crypto.ts";
import { parseXKey } from "../src/protocol/keys.ts";
import { KeyOpener, openerFromSeed } from "../src/vault/signers.ts";

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

function names(): void {
  const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
  same("Chrome", nameOf(windows), "chrome-windows");
  same("Edge", nameOf(`${windows} Edg/140.0.0.0`), "edge-windows");
  same("Firefox", nameOf("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"), "firefox-linux");
  same("Safari", nameOf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1"), "safari-iphone");
  same("Android", nameOf("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"), "chrome-android");
  same("anything", nameOf("curl/8"), "browser");

  const person = (...taken: [string, number][]) => ({ devices: Object.fromEntries(taken.map(([name, revoked], i) => [`U${i}`, { name, revoked }])) }) as unknown as PersonState;
  same("a free name", freeName("desk", person(["lap", 0])), "desk");
  same("a taken name", freeName("desk", person(["desk", 0], ["desk-2", 0])), "desk-3");
  same("the name of a device that was revoked", freeName("desk", person(["desk", 4])), "desk");
  const long = "d".repeat(32);
  same("a long name", freeName(long, person([long, 0])), `${"d".repeat(30)}-2`);
}

/** A browser that cannot clone the key of an xkey keeps it wrapped, and opens what is sealed to it all the same. */
async function xkeys(): Promise<void> {
  const [context, secret] = [utf8("here"), utf8("a secret")];
  const seed = crypto.getRandomValues(new Uint8Array(32));
  for (const keeps of [() => true, () => false]) {
    const { kept, text } = await openerFromSeed(seed, keeps);
    same("what is wrapped", kept.wrapped !== undefined, !keeps());
    same("what can be exported", kept.key.extractable, false);
    same("where the seed shows", [kept.raw, kept.wrapped?.sealed ?? []].some((bytes) => `${Array.from(bytes)}`.includes(`${Array.from(seed)}`)), false);
    const again = new KeyOpener({ ...kept, ...(kept.wrapped ? { key: structuredClone(kept.key), wrapped: structuredClone(kept.wrapped) } : {}) });
    const sealed = await box(await parseXKey(text), "share", context, secret);
    same("what is opened", Array.from(await again.open("share", context, sealed.box)), Array.from(secret));
  }
}

/** What another device of the person has given to this one, it takes up: the hub opens no session for a token from before. */
async function tokens(): Promise<void> {
  const visit = (own: string, fact: Record<string, unknown>) =>
    ({ account: { keys: { token: own, device: { text: "U" } } }, book: { me: async () => ({ devices: { U: { expires: 9e9, name: "desk", ...fact } } }) } }) as unknown as Visit;
  same("the token that stands", await renewToken(visit("a", { token: "a", revoked: 0 })), undefined);
  same("another than before", await renewToken(visit("a", { token: "b", revoked: 0 })), "b");
  same("of a device that was revoked, none", await renewToken(visit("a", { token: "", revoked: 7 })), undefined);
}

function codes(): void {
  same("a code", inURL("  kh-abc \n"), "kh-abc");
  same("a link", inURL("http://localhost:8420/join#kh-abc"), "kh-abc");
  same("a link that was encoded", inURL("https://hall.example/link#kl-a%2Db"), "kl-a-b");
  same("a link that was cut", inURL("https://hall.example/link#%"), "%");
}

function problems(): void {
  const hub = answered("taken", "the handle is taken; choose another");
  same("a code of the hub's", [hub.code, hub.message], ["taken", "The handle is taken; choose another."]);
  const odd = answered("constructor", "\u202ebackwards\u0007\n<b>" + "x".repeat(1000));
  same("a code that nobody knows", odd.code, "unavailable");
  same("what works no page", /[\u0000-\u001f\u202e]/.test(odd.message), false);
  same("what fits", odd.message.length <= 302, true);
  same("no words", answered("refused", "").message.length > 20, true);
  const headers = (all: Record<string, string>) => ({ headers: (name: string) => (all[name] === undefined ? [] : [all[name]]) });
  same("an answer", said(headers({})), undefined);
  same("nobody there", said(headers({ Status: "503" }))?.code, "unavailable");
  same("an error of a service", said(headers({ "Nats-Service-Error-Code": "conflict", "Nats-Service-Error": "look again" }))?.code, "conflict");
  same("what does not hold", problemOf(new Refused("signature")).code, "refused");
}

names();
await tokens();
await xkeys();
codes();
problems();
if (failed === 0) console.log("door: all as it should be");
else process.exitCode = 1;
