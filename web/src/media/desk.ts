// The page's side of what the service worker asks: an entry that is to be shown gets an address with a token that nobody can
// guess, good as long as the page lives, and what is asked for there is handed over as fast as it is taken.

import { Problem } from "../model.ts";
import { base64url, random } from "../protocol/bytes.ts";
import { mediaPath, type FromPage, type FromWorker, type ToWorker, type Who } from "../worker/words.ts";
import type { Facts } from "../worker/answers.ts";
import type { Content } from "./content.ts";
import type { Flow } from "./flow.ts";
import { fileName } from "./types.ts";

const flowsAtOnce = 8; // of one entry: more are ones that were forgotten
const stayEvery = 10_000; // a browser ends a worker that hears nothing, whatever it streams

interface Shown {
  content: Content;
  facts: Facts;
  served: Served[]; // the oldest first
}

/** Desk hands entries to the service worker. */
export class Desk {
  #shown = new Map<string, Shown>();
  #staying: ReturnType<typeof setInterval> | undefined;
  #workers: ServiceWorkerContainer;

  constructor(workers: ServiceWorkerContainer) {
    this.#workers = workers;
    workers.addEventListener("message", this.#heard);
    workers.startMessages();
  }

  /** show gives an entry an address on this origin. */
  show(content: Content, facts: Facts): { address: string; token: string } {
    const token = base64url.write(random(18));
    this.#shown.set(token, { content, facts, served: [] });
    return { address: `${mediaPath}${token}/${encodeURIComponent(fileName(facts.path))}`, token };
  }

  /** hide takes an address back; what is under way from there ends. */
  hide(token: string): void {
    const shown = this.#shown.get(token);
    this.#shown.delete(token);
    for (const served of shown?.served ?? []) served.end();
    shown?.content.close();
  }

  /** close takes all addresses back. */
  close(): void {
    for (const token of Array.from(this.#shown.keys())) this.hide(token);
    this.#workers.removeEventListener("message", this.#heard);
  }

  readonly #heard = (event: MessageEvent): void => {
    const word = event.data as Partial<Who> | null;
    const port = event.ports[0];
    if (word?.keyhall !== "who" || typeof word.token !== "string" || !port) return;
    const shown = this.#shown.get(word.token);
    if (!shown) {
      port.postMessage({ none: true } satisfies FromPage);
      port.close();
      return;
    }
    port.postMessage({ facts: shown.facts } satisfies FromPage);
    while (shown.served.length >= flowsAtOnce) shown.served.shift()?.end();
    const served = new Served(port, shown.content, () => {
      shown.served = shown.served.filter((one) => one !== served);
      this.#stay();
    });
    shown.served.push(served);
    this.#stay();
  };

  /** #stay keeps the worker awake while there is something to hand over. */
  #stay(): void {
    const busy = Array.from(this.#shown.values()).some((shown) => shown.served.length > 0);
    if (busy === (this.#staying !== undefined)) return;
    clearInterval(this.#staying);
    this.#staying = busy ? setInterval(() => this.#workers.controller?.postMessage({ keyhall: "stay" } satisfies ToWorker), stayEvery) : undefined;
  }
}

/** Served is one request that is being answered. */
class Served {
  #flow: Flow | undefined;
  #room = 0; // chunks that the worker has room for
  #busy = false;
  #ended = false;

  constructor(
    readonly port: MessagePort,
    readonly content: Content,
    readonly gone: () => void,
  ) {
    port.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#heard(data);
    port.addEventListener("close", () => this.#ended || this.#leave()); // the worker was ended
  }

  #heard(word: FromWorker): void {
    if ("stop" in word) return this.#leave();
    if ("start" in word) this.#flow = this.content.flow(word.start, word.end, word.on);
    else this.#room += word.more;
    void this.#hand();
  }

  /** #hand hands over what there is room for. */
  async #hand(): Promise<void> {
    const flow = this.#flow;
    if (this.#busy || !flow) return;
    this.#busy = true;
    try {
      while (this.#room > 0 && !flow.done && !this.#ended) {
        const chunk = (await flow.next()).slice(); // the block itself is kept here for a while
        if (this.#ended) return;
        this.#room--;
        this.port.postMessage({ chunk } satisfies FromPage, [chunk.buffer]);
      }
      if (flow.done && !this.#ended) this.#last({ end: true });
    } catch (error) {
      this.#last({ failed: error instanceof Problem ? error.message : "This could not be read." });
    } finally {
      this.#busy = false;
    }
  }

  #last(word: FromPage): void {
    if (this.#ended) return;
    this.port.postMessage(word);
    this.#leave();
  }

  /** end gives up what was to come; whoever waits for it hears so. */
  end(): void {
    this.#last({ failed: "This is not shown any more." });
  }

  #leave(): void {
    this.#ended = true;
    this.#flow?.cancel();
    this.port.close();
    this.gone();
  }
}
