// The JSON requests of docs/protocol/web.md, to the origin this page came from.

import { Problem } from "../model.ts";
import { answered } from "./problem.ts";

type Method = "GET" | "POST" | "DELETE";

const patience = 35_000; // an answer to a link takes 25 s

/** ask asks the hub; what it refuses comes as a Problem with its sentence. */
export async function ask<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(patience);
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      headers: method === "GET" ? {} : { "Content-Type": "application/json" },
      ...(method === "GET" ? {} : { body: JSON.stringify(body ?? {}) }),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    text = await response.text();
  } catch {
    if (signal?.aborted) throw new Problem("cancelled", "This was cancelled.");
    throw new Problem("unavailable", "The hub cannot be reached just now; try again when you are online.");
  }
  const answer = parsed(text);
  if (!response.ok) throw refusal(response, answer);
  if (answer === undefined) throw new Problem("unavailable", "The hub answered something that cannot be read; try again later.");
  return answer as T;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const byStatus: Record<number, string> = { 400: "malformed", 401: "refused", 403: "refused", 404: "not-found", 409: "conflict", 410: "expired", 429: "throttled" };

function refusal(response: Response, answer: unknown): Problem {
  const said = (typeof answer === "object" && answer !== null ? answer : {}) as { code?: unknown; message?: unknown };
  const wait = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const code = typeof said.code === "string" ? said.code : (byStatus[response.status] ?? "unavailable");
  const sentence = typeof said.message === "string" ? said.message : `The hub could not do this (status ${response.status}); try again later`;
  return answered(code, sentence, Number.isFinite(wait) ? wait : undefined);
}
