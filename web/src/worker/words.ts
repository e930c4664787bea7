// What the service worker and the pages of the app say to each other. The worker remembers nothing: it is ended and
// started again as the browser likes, and asks the pages anew for each request.

/** Who is what the worker asks every page, with a port for the answer: whose token is this? */
export interface Who {
  keyhall: "who";
  token: string;
}

/** FromPage is what a page says on the port of a request. Chunks come as they were asked for, in order. */
export type FromPage =
  | { none: true }
  | { facts: { path: string; type: string; size: number; root: string } }
  | { chunk: Uint8Array<ArrayBuffer> }
  | { end: true }
  | { failed: string };

/** FromWorker is what the worker says there: which bytes, how many chunks it has room for, and that it wants no more. */
export type FromWorker = { start: number; end: number; on: boolean } | { more: number } | { stop: true };

/** ToWorker is what a page tells the worker unasked: to take charge of it, and that it is needed still. */
export type ToWorker = { keyhall: "claim" } | { keyhall: "stay" };

export const mediaPath = "/media/";
