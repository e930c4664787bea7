// What a device signs to open a session (docs/protocol/web.md#sessions).

import { type Bytes, concat, need, utf8 } from "./bytes.ts";
import { label } from "./crypto.ts";

/** sessionStatement is what a device signs for a challenge of the hub's. */
export function sessionStatement(hub: string, challenge: Uint8Array): Bytes {
  need(challenge.length === 32, "malformed", "challenge");
  return concat(label("session"), utf8(hub), Uint8Array.of(0), challenge);
}
