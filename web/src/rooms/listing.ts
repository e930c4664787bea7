// The rooms that a hub shows somebody.

import { Problem } from "../model.ts";
import type { Account } from "../ports.ts";
import { parseID } from "../protocol/keys.ts";

/** Listed is a room as the hub lists it. */
export interface Listed {
  room: string;
  kind: "sealed" | "open";
  listed: boolean;
  /** name where everyone may know it. */
  name?: string;
  role?: string;
  members: number;
}

/** visibleRooms are all rooms that the hub shows, page by page. */
export async function visibleRooms(account: Account): Promise<Listed[]> {
  const rooms = new Map<string, Listed>();
  for (let after = "", more = true; more; ) {
    const page = await account.call<{ rooms: Listed[]; more?: boolean }>("rooms.list", after === "" ? {} : { after });
    if (!Array.isArray(page?.rooms)) throw new Problem("unavailable", "The hub answered something that cannot be read; try again later.");
    for (const one of page.rooms) rooms.set(checked(one).room, one);
    const last = page.rooms.at(-1)?.room ?? "";
    more = page.more === true;
    if (more && last <= after) throw new Problem("refused", "The hub lists rooms without end; do not trust it.");
    after = last;
  }
  return Array.from(rooms.values());
}

function checked(one: Listed): Listed {
  try {
    parseID(one.room);
    if ((one.role || one.listed || one.kind === "open") && Number.isSafeInteger(one.members) && (one.kind === "sealed" || one.kind === "open")) return one;
  } catch {
    // said below
  }
  throw new Problem("refused", "The hub lists a room that cannot be; do not trust it.");
}
