// Which hub this page came from: it proves that it holds its operator's signing key, and is the same one as ever.

import { Problem } from "../model.ts";
import type { Hub } from "../ports.ts";
import { base64, hex, random } from "../protocol/bytes.ts";
import { fingerprint, keyText } from "../protocol/keys.ts";
import { checkProof, parseHub } from "../protocol/tokens.ts";
import { ask } from "./http.ts";

const hour = 3600;

interface Proof {
  hub: string;
  document: string;
  proof: string;
}

interface Document {
  version: number;
  websocket: string;
  sentinel: string;
  session?: number;
}

/** Pin is what a browser remembers of its hub. */
export interface Pin {
  id: string;
  operator: string;
  document: string;
}

/** Pins keep the one hub of this origin. */
export interface Pins {
  pin(): Promise<Pin | undefined>;
  setPin(pin: Pin): Promise<void>;
}

/**
 * discover asks the hub for its document and has it prove who it is. A hub with another id than the one that was there
 * first is refused. Where nothing answers, it is the hub as it was known last.
 */
export async function discover(pins: Pins, origin: string): Promise<Hub> {
  const pin = await pins.pin();
  let answer: Proof;
  const challenge = random(32);
  try {
    answer = await ask<Proof>("GET", `/.well-known/keyhall?challenge=${hex(challenge)}`);
  } catch (error) {
    if (pin && error instanceof Problem && error.code === "unavailable") return known(pin, origin);
    throw error;
  }
  const found = await proved(answer, challenge);
  if (pin && pin.id !== found.id) throw another(pin.id, found.id);
  const now: Pin = { id: found.id, operator: answer.hub, document: answer.document };
  const hub = await known(now, origin);
  await pins.setPin(now);
  return hub;
}

async function proved(answer: Proof, challenge: Uint8Array): Promise<{ id: string }> {
  try {
    const hub = await parseHub(answer.hub);
    await checkProof(hub, challenge, answer.document, base64.read(answer.proof, "hub"));
    return hub;
  } catch {
    throw new Problem("refused", "What answers here does not prove which hub it is. Do not sign in; tell the host.");
  }
}

const short = (id: string): string => `${id.slice(0, 6)}…${id.slice(-4)}`;

const another = (before: string, now: string): Problem =>
  new Problem(
    "refused",
    `Another hub answers at this address than before (${short(before)} then, ${short(now)} now); nothing was sent to it. Ask the host whether they made a new one. If so, clear this site's data in the browser's settings and join anew.`,
  );

async function known(pin: Pin, origin: string): Promise<Hub> {
  const { id, signing } = await parseHub(pin.operator);
  const document = JSON.parse(pin.document) as Document;
  if (document.version !== 1 || !document.websocket?.startsWith("/") || typeof document.sentinel !== "string") {
    throw new Problem("unavailable", "This page and the hub are of different versions; load the page again.");
  }
  const socket = new URL(document.websocket, origin);
  if (socket.origin !== origin) throw new Problem("refused", "The hub sends this page to another address; do not sign in, and tell the host.");
  socket.protocol = socket.protocol === "https:" ? "wss:" : "ws:";
  return {
    id,
    operator: pin.operator,
    signingKeys: signing.map((key) => keyText("O", key)),
    fingerprint: await fingerprint(id),
    origin,
    socket: socket.href,
    sentinel: document.sentinel,
    session: document.session && document.session > 0 ? document.session : hour,
  };
}
