// How a request for an entry is answered: status, headers, and which bytes.

import { asked } from "../media/ranges.ts";
import { disposition, served, viewOf } from "../media/types.ts";

/** Facts is what the page says of an entry. */
export interface Facts {
  path: string;
  type: string;
  size: number;
  /** root of the content: what is answered belongs to it, now and later. */
  root: string;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** start and end (not included) of the bytes; the same where there are none. */
  start: number;
  end: number;
  /** on: whether whoever asks will come back for what follows. */
  on: boolean;
}

/** mostAtOnce is how much a request for everything from somewhere on gets: an answer that a worker's end cuts short is short. */
export const mostAtOnce = 8 << 20;

// What is shown comes from somebody else and stands on the origin of the app: as a document of its own it may do nothing.
// The PDF viewer is the browser's and works in no sandbox; there, what is served as a PDF is never anything else.
const locked = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/** answer says how to answer a request for an entry. */
export function answer(request: { method: string; headers: { get(name: string): string | null } }, facts: Facts, save: boolean): Answer {
  const tag = `"${facts.root}"`;
  const condition = request.headers.get("if-range");
  const range = condition === null || condition === tag ? request.headers.get("range") : null;
  const wanted = asked(range, facts.size, save ? Infinity : mostAtOnce);
  const headers: Record<string, string> = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-store",
    "Content-Security-Policy": viewOf(facts.type) === "pdf" ? "object-src 'self'; frame-ancestors 'self'" : `${locked}; sandbox`,
    "Content-Type": served(facts.type),
    "Cross-Origin-Resource-Policy": "same-origin",
    "ETag": tag,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  };
  if (save || !viewOf(facts.type)) headers["Content-Disposition"] = disposition(facts.path);
  if (wanted.kind === "none") {
    return { status: 416, headers: { ...headers, "Content-Range": `bytes */${facts.size}`, "Content-Length": "0" }, start: 0, end: 0, on: false };
  }
  const { start, end } = wanted.kind === "part" ? wanted : { start: 0, end: facts.size };
  headers["Content-Length"] = String(end - start);
  if (wanted.kind === "part") headers["Content-Range"] = `bytes ${start}-${end - 1}/${facts.size}`;
  const status = wanted.kind === "part" ? 206 : 200;
  if (request.method === "HEAD") return { status, headers, start, end: start, on: false };
  return { status, headers, start, end, on: wanted.kind === "part" && range?.trim().endsWith("-") === true };
}
