// Linking (docs/protocol/web.md#linking), seen from the device that wants in.

import { signal } from "@preact/signals";

import { ask } from "../hub/http.ts";
import { type LinkAsk, Problem } from "../model.ts";
import type { Hub } from "../ports.ts";
import { base64, type Bytes, equal, random } from "../protocol/bytes.ts";
import { grouped, parseKey } from "../protocol/keys.ts";
import { type LinkAnswer, type LinkCode, linkWords, openAnswer, parseLinkCode, sealAsk } from "../protocol/link.ts";
import { parseToken } from "../protocol/tokens.ts";
import { type Held, lockXKeys } from "../vault/held.ts";
import { generateSigner, type KeyOpener, type KeySigner, openerFromSeed } from "../vault/signers.ts";
import { arrive, type House, settle } from "./house.ts";
import { deviceNameOf } from "./names.ts";
import { inURL } from "./code.ts";

/** linkLife is how long the hub keeps what was said under a code. */
export const linkLife = 10 * 60 * 1000;

const awhile = 1_000; // until a network may be back

/** patient asks what the hub keeps somebody waiting for; undefined: there is no answer yet, or no network just now. */
export async function patient<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "unavailable") throw error;
    await new Promise((resolve) => setTimeout(resolve, awhile));
    return undefined;
  }
}

/** refusal is the answer that lets nobody in: no box has one byte. */
export const refusal: Bytes = Uint8Array.of(0);

/** newLinkCode draws a code. */
export const newLinkCode = (): string => grouped("kl", random(10), 4);

/** linkURL is what a QR says, or a link that is passed on. */
export const linkURL = (origin: string, code: string): string => `${origin}/link#${code}`;

/** readLinkCode reads a code that somebody typed, or a URL with one. */
export async function readLinkCode(hub: Hub, text: string): Promise<LinkCode> {
  try {
    return await parseLinkCode(inURL(text), hub.fingerprint);
  } catch {
    throw new Problem("malformed", "This is not a link's code, or not all of it: it begins with kl- and has four groups of four characters.");
  }
}

/** Link is a LinkAsk on its way. */
export class Link implements LinkAsk {
  readonly code: string;
  readonly url: string;
  readonly words = signal<string | undefined>(undefined);
  readonly done: Promise<void>;
  readonly #stop = new AbortController();

  constructor(house: House, given: string | undefined, device: string) {
    this.code = given === undefined ? newLinkCode() : inURL(given);
    this.url = linkURL(location.origin, this.code);
    this.done = this.#run(house, device);
    this.done.catch(() => undefined); // the page awaits it when it gets to it
  }

  cancel(): void {
    this.#stop.abort();
  }

  async #run(house: House, wanted: string): Promise<void> {
    const hub = await house.hub();
    const name = deviceNameOf(wanted);
    const code = await readLinkCode(hub, this.code);
    const [device, xkey] = [await generateSigner("U"), await openerFromSeed(random(32))];
    const asked = await sealAsk(code, { hub: hub.id, device: device.text, xkey: xkey.text, name });
    await this.#ask(code, asked);
    const { english } = await import("../protocol/english.ts");
    this.words.value = await linkWords(english, code, asked);
    const answer = await this.#answer(hub, code, asked, xkey);
    await this.#comeIn(house, hub, device, answer);
  }

  async #ask({ link }: LinkCode, asked: Bytes): Promise<void> {
    try {
      await ask("POST", "/api/link/ask", { link, ask: base64.write(asked) }, this.#stop.signal);
    } catch (error) {
      if (!(error instanceof Problem) || (error.code !== "taken" && error.code !== "conflict")) throw error;
      throw new Problem("taken", "Somebody has used this code before you. If that was not you, do not say yes on your other device; make a new code.");
    }
  }

  /** answer waits for the other device, as long as the hub keeps the code. */
  async #answer(hub: Hub, code: LinkCode, asked: Bytes, xkey: KeyOpener): Promise<LinkAnswer> {
    const until = Date.now() + linkLife;
    while (Date.now() < until) {
      const said = await patient(() => ask<{ answer?: string }>("POST", "/api/link/answer", { link: code.link }, this.#stop.signal));
      if (!said?.answer) continue;
      const sealed = base64.read(said.answer, "malformed");
      if (equal(sealed, refusal)) throw new Problem("refused", "Your other device said no, and did not let this browser in.");
      try {
        return await openAnswer(code, hub.id, asked, sealed, (purpose, context, box) => xkey.open(purpose, context, box));
      } catch {
        throw new Problem("refused", "The answer was not made for this browser; make a new code and try again.");
      }
    }
    throw new Problem("expired", "Nobody said yes in ten minutes; make a new code and try again.");
  }

  /** comeIn holds what was handed over against the chain: token and device are this browser's own. */
  async #comeIn(house: House, hub: Hub, device: KeySigner, answer: LinkAnswer): Promise<void> {
    const token = await parseToken(answer.token).catch(() => undefined);
    if (token?.device !== device.text || token.account !== answer.account) {
      throw new Problem("refused", "What the other device handed over is not for this browser; make a new code and try again.");
    }
    parseKey("A", answer.account);
    const xkeys = await lockXKeys(answer.xkeys);
    const held: Held = { account: answer.account, handle: answer.handle, token: answer.token, device: device.kept, xkeys };
    const by = await arrive(house, hub, held);
    try {
      const person = await by.book.me();
      const stands = person.places[answer.head] === answer.seq && person.devices[device.text]?.token === answer.token;
      if (!stands) throw new Problem("refused", "The hub does not show what your other device has just signed; do not trust it, and ask its host.");
      await settle(house, { ...held, handle: person.handle }, by, () => undefined);
    } catch (error) {
      await by.account.wire.close();
      throw error;
    }
  }
}
