// Linking (docs/protocol/web.md#linking), seen from a device that is in and holds the identity.

import { signal } from "@preact/signals";

import { type LinkOffer, Problem } from "../model.ts";
import type { Signer } from "../ports.ts";
import { base64, type Bytes } from "../protocol/bytes.ts";
import { parseXKey } from "../protocol/keys.ts";
import { type Ask, type LinkCode, linkWords, openAsk, sealAnswer } from "../protocol/link.ts";
import type { Backup } from "../protocol/recovery.ts";
import { problemOf } from "../hub/problem.ts";
import { issue, type Visit } from "./house.ts";
import { freeName } from "./names.ts";
import { inURL } from "./code.ts";
import { linkLife, linkURL, newLinkCode, patient, readLinkCode, refusal } from "./linking.ts";

const takeTime = 35_000; // an answer takes 25 s

/** Asked is who wants in: what they said, and as it was sealed. */
interface Asked {
  ask: Ask;
  sealed: Bytes;
}

/** Begun is what an answer takes. Of the keys that were opened only those are kept that are handed over: not the identity. */
interface Begun {
  code: LinkCode;
  xkeys: string[];
  asked: Asked;
}

/** Offer is the LinkOffer of model.ts. */
export class Offer implements LinkOffer {
  readonly code: string;
  readonly url: string;
  readonly asked = signal<{ name: string; words: string } | undefined>(undefined);
  readonly failed = signal<Problem | undefined>(undefined);
  readonly #by: Visit;
  readonly #identity: Signer;
  #cancelled = false;
  #begun: Promise<Begun>;

  constructor(by: Visit, given: string | undefined, identity: Signer, unlocked: () => Promise<Backup>) {
    this.code = given === undefined ? newLinkCode() : inURL(given);
    this.url = linkURL(location.origin, this.code);
    this.#by = by;
    this.#identity = identity;
    this.#begun = this.#wait(unlocked);
    this.#begun.catch((error: unknown) => {
      if (!this.#cancelled) this.failed.value = problemOf(error);
    });
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** wait opens the keys first, so that a wrong password is known at once, and then waits for somebody who asks. */
  async #wait(unlocked: () => Promise<Backup>): Promise<Begun> {
    const { hub } = this.#by.account;
    const code = await readLinkCode(hub, this.code);
    const { xkeys } = await unlocked();
    const sealed = await this.#take(code);
    let said: Ask;
    try {
      said = await openAsk(code, hub.id, sealed);
    } catch {
      throw new Problem("refused", "What the other device asks cannot be read: it used another code. Make a new one and try again.");
    }
    const { english } = await import("../protocol/english.ts");
    this.asked.value = { name: said.name, words: await linkWords(english, code, sealed) };
    return { code, xkeys, asked: { ask: said, sealed } };
  }

  async #take({ link }: LinkCode): Promise<Bytes> {
    const until = Date.now() + linkLife;
    while (Date.now() < until && !this.#cancelled) {
      const answer = await patient(() => this.#by.account.wire.request("hub.links.take", JSON.stringify({ link }), { timeout: takeTime }));
      if (answer === undefined) continue;
      const { ask } = JSON.parse(new TextDecoder().decode(answer)) as { ask?: string | null };
      if (ask) return base64.read(ask, "malformed");
    }
    if (this.#cancelled) throw new Problem("cancelled", "This was cancelled.");
    throw new Problem("expired", "No device asked in ten minutes; make a new code and try again.");
  }

  /** answer says yes, which makes the other a device of the person and hands the xkeys over, or no. */
  async answer(yes: boolean): Promise<void> {
    const { code, xkeys, asked } = await this.#begun;
    const { account, book } = this.#by;
    if (!yes) {
      this.cancel();
      return void (await account.call("links.answer", { link: code.link, answer: base64.write(refusal) }));
    }
    const { ask, sealed } = asked;
    const token = await issue(this.#identity, ask.device, freeName(ask.name, await book.me()));
    await book.append("people", "person.device", () => ({ token }));
    const person = await book.me();
    const answer = { hub: account.hub.id, account: person.account, handle: person.handle, token, xkeys, seq: person.seq, head: person.head };
    const box = await sealAnswer(code, sealed, await parseXKey(ask.xkey), answer);
    await account.call("links.answer", { link: code.link, answer: base64.write(box) });
  }
}
