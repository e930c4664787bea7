// New epochs for somebody who comes back: of the current ones the device that they lost has the keys.

import { HubBook } from "../hub/book.ts";
import { Problem } from "../model.ts";
import type { Account, Store } from "../ports.ts";
import { mayWrite, roleOf } from "../protocol/chain.ts";
import { Keyring } from "./keyring.ts";
import { visibleRooms } from "./listing.ts";
import { Speaker } from "./speaker.ts";

/** renewEpochs begins a new epoch in every sealed room in which the person may write. It says where that did not work. */
export async function renewEpochs(account: Account, book: HubBook, store: Store): Promise<string[]> {
  const keyring = new Keyring(account);
  const speaker = new Speaker(account, book, keyring);
  const problems: string[] = [];
  for (const { room, kind, role } of await visibleRooms(account)) {
    if (kind !== "sealed" || !role) continue;
    let name = room;
    try {
      const state = await book.room(room);
      name = (await store.get<string>("settings", `room-name ${room}`)) ?? (await keyring.name(state)) ?? room;
      if (!mayWrite(roleOf(state, account.keys.account, Date.now()))) {
        problems.push(`${name}: you only read there, so its key stays until somebody else changes it.`);
        continue;
      }
      await book.appendRoom(room, "room.epoch", (now) => speaker.newEpoch(now, name));
    } catch (error) {
      if (!(error instanceof Problem) || error.code === "unavailable") throw error;
      problems.push(`${name}: ${error.message}`);
    }
  }
  return problems;
}
