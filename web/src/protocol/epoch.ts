// The keys of epochs and what they seal beside messages (docs/protocol/rooms.md#epochs).

import { type Bytes, concat, equal, need, utf8 } from "./bytes.ts";
import { hash, label, open, seal, type SealKey, unbox } from "./crypto.ts";

export const commitment = (room: string, key: Uint8Array): Promise<Bytes> => hash(label("epoch"), utf8(room), key);

/** epochContext is the context of a box with an epoch's key. */
export const epochContext = (room: string, committed: Uint8Array): Bytes => concat(utf8(room), committed);

/** checkEpochKey holds what was in a member's box against the commitment. */
export async function checkEpochKey(room: string, committed: Uint8Array, key: Uint8Array): Promise<void> {
  need(key.length === 32, "length", "no epoch key");
  need(equal(await commitment(room, key), committed), "commitment");
}

/** openEpochKey opens a member's box and holds the key against the commitment. */
export async function openEpochKey(secret: Uint8Array | CryptoKey, room: string, committed: Uint8Array, box: Uint8Array): Promise<Bytes> {
  const key = await unbox(secret, "epoch", epochContext(room, committed), box);
  await checkEpochKey(room, committed, key);
  return key;
}

const nameData = (room: string) => concat(label("room-name"), utf8(room));
export const openName = (room: string, key: SealKey, sealed: Uint8Array): Promise<Bytes> => open(key, sealed, nameData(room));
export const sealName = (room: string, key: SealKey, nonce: Uint8Array, name: string): Promise<Bytes> => seal(key, nonce, utf8(name), nameData(room));
