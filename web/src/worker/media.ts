// Entries of catalogs as answers to requests: what the pages hand over, handed on.

import { answer, type Facts } from "./answers.ts";
import { mediaPath, type FromPage, type FromWorker, type Who } from "./words.ts";

declare const self: ServiceWorkerGlobalScope;

const patience = 15_000; // for a page to say that an entry is its own
const ahead = 4; // chunks that wait here for whoever reads

/** isMedia says whether a path is one of these. */
export const isMedia = (path: string): boolean => path.startsWith(mediaPath);

/** media answers a request for /media/<token>/<name>. */
export async function media(request: Request, from: string): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "Only reading is possible here.");
  const url = new URL(request.url);
  const token = url.pathname.slice(mediaPath.length).split("/")[0] ?? "";
  const page = await owner(token, from);
  if (!page) return plain(404, "The page that showed this is closed. Open the catalog again.");
  const how = answer(request, page.facts, url.searchParams.has("save"));
  if (how.start === how.end) {
    page.port.close();
    return new Response(null, { status: how.status, headers: how.headers });
  }
  const body = new Body(page.port, how);
  const failed = await body.ready;
  if (failed !== undefined) return plain(503, failed);
  return new Response(body.stream, { status: how.status, headers: how.headers });
}

function plain(status: number, text: string): Response {
  const headers = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox" };
  return new Response(text, { status, headers });
}

/** owner finds the page that made a token, which is most often the one that asks. */
async function owner(token: string, from: string): Promise<{ port: MessagePort; facts: Facts } | undefined> {
  const all = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pages = all.filter((page) => !isMedia(new URL(page.url).pathname));
  pages.sort((a, b) => Number(b.id === from) - Number(a.id === from));
  return new Promise((resolve) => {
    let left = pages.length;
    const none = () => resolve(undefined);
    const timer = setTimeout(none, patience);
    if (left === 0) none();
    for (const page of pages) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }: MessageEvent<FromPage>) => {
        if ("facts" in data) {
          clearTimeout(timer);
          resolve({ port: port1, facts: data.facts });
          return;
        }
        port1.close();
        if (--left === 0) none();
      };
      page.postMessage({ keyhall: "who", token } satisfies Who, [port2]);
    }
  });
}

/** Body is what a page hands over for one request, as a stream that asks for more as it is read. */
class Body {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** ready is when the first bytes are there, or why they do not come. */
  readonly ready: Promise<string | undefined>;
  #port: MessagePort;
  #coming = 0; // chunks that were asked for
  #ended = false;

  constructor(port: MessagePort, part: { start: number; end: number; on: boolean }) {
    this.#port = port;
    const begun = Promise.withResolvers<string | undefined>();
    this.ready = begun.promise;
    this.stream = new ReadableStream(
      {
        start: (controller) => {
          const hear = (word: FromPage) => {
            this.#take(controller, word);
            begun.resolve("failed" in word ? word.failed : undefined);
          };
          port.onmessage = ({ data }: MessageEvent<FromPage>) => hear(data);
          port.addEventListener("close", () => hear({ failed: "The page that showed this is closed." }));
          this.#say({ start: part.start, end: part.end, on: part.on });
          this.#ask(controller);
        },
        pull: (controller) => this.#ask(controller),
        cancel: () => {
          this.#ended = true;
          this.#say({ stop: true });
          port.close();
        },
      },
      new CountQueuingStrategy({ highWaterMark: ahead }),
    );
  }

  #say(word: FromWorker) {
    this.#port.postMessage(word);
  }

  /** #ask asks for as many chunks as there is room for. */
  #ask(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) {
    const more = (controller.desiredSize ?? 0) - this.#coming;
    if (more <= 0) return;
    this.#coming += more;
    this.#say({ more });
  }

  #take(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>, word: FromPage) {
    if (this.#ended) return;
    if ("chunk" in word) {
      this.#coming--;
      controller.enqueue(word.chunk);
      return;
    }
    this.#ended = true;
    if ("end" in word) controller.close();
    else controller.error(new TypeError("failed" in word ? word.failed : "the page has no more of this"));
    this.#port.close();
  }
}
