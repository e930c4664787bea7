// Who is in a room just now (docs/protocol/web.md#presence).

import { type Bytes, need } from "./bytes.ts";
import { encode, object, parse, string } from "./canonical.ts";

const stateType = object({ state: string });
const states = ["here", "typing", "gone"] as const;

/** Live is what somebody says of themselves. */
export type Live = (typeof states)[number];

/** liveLife is how long what was said counts, in milliseconds. */
export const liveLife = 45000;

export const liveSubject = (room: string, account: string): string => `room.${room}.live.${account}`;

export const encodeLive = (state: Live): Bytes => encode(stateType, { state });

export function parseLive(plaintext: Uint8Array): Live {
  const state = states.find((one) => one === parse(stateType, plaintext, "malformed").state);
  need(state !== undefined, "malformed", "state");
  return state;
}
