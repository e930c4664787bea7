// Whatever went wrong between this browser and the hub, as a Problem.

import { errors } from "@nats-io/nats-core";
import type { Msg } from "@nats-io/nats-core";

import { Problem } from "../model.ts";
import { Refused } from "../protocol/bytes.ts";

export type Code = Problem["code"];

const codes = new Set<string>(["malformed", "refused", "not-found", "taken", "conflict", "expired", "too-large", "unavailable", "throttled"]);
const longest = 300; // characters of a sentence that is somebody else's

/** answered is the problem that a hub or another member has answered with: a code, and words of theirs. */
export function answered(code: string, sentence: string, wait?: number): Problem {
  const known = codes.has(code) ? (code as Code) : "unavailable";
  const words = Array.from(sentence.replace(/[\p{Cc}\p{Cf}]+/gu, " "));
  const text = words.length > longest ? `${words.slice(0, longest).join("")}…` : words.join("");
  return new Problem(known, text === "" ? "The hub could not do this, and did not say why; try again." : capital(text), wait);
}

/** capital makes a sentence of the hub's, which begin as errors do. */
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

/** said is the error that a message of the micro framework carries, if it does. */
export function said(message: Pick<Msg, "headers"> | { headers(name: string): string[] }): Problem | undefined {
  const { headers } = message;
  const value = (name: string): string => (typeof headers === "function" ? headers(name)[0] : headers?.get(name)) ?? "";
  const status = typeof headers === "function" ? value("Status") : headers?.code ? String(headers.code) : "";
  if (status === "503") return new Problem("unavailable", "Nobody answers there just now; try again later.");
  const code = value("Nats-Service-Error-Code");
  return code === "" ? undefined : answered(code, value("Nats-Service-Error"));
}

/** ofConnections are errors that say no more than that there is no connection. */
const ofConnections = [errors.ConnectionError, errors.ClosedConnectionError, errors.DrainingConnectionError, errors.RequestError, errors.ProtocolError];

/** problemOf is what an error means to people. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Refused) return new Problem("refused", `What came from the hub does not hold (${error.message}); nothing was done with it.`);
  if (error instanceof errors.AuthorizationError) return new Problem("refused", "The hub refused the login.");
  if (error instanceof errors.PermissionViolationError) return new Problem("refused", "The hub does not allow this.");
  const cause = error instanceof Error ? error.cause : undefined;
  if (error instanceof errors.NoRespondersError || cause instanceof errors.NoRespondersError) {
    return new Problem("unavailable", "Nobody answers there just now; try again later.");
  }
  if (error instanceof errors.TimeoutError) return new Problem("unavailable", "The hub did not answer in time; try again.");
  if (!ofConnections.some((kind) => error instanceof kind)) console.error(error); // nobody foresaw it
  return new Problem("unavailable", "The hub cannot be reached just now; try again.");
}
