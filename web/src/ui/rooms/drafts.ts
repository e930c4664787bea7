import { signal, type Signal } from "@preact/signals";
import type { Rooms } from "../../model.ts";

// Drafts live as long as the page does, and not on the disk: what was not sent was said to nobody. They belong to the
// person who is signed in.
const drafts = new WeakMap<Rooms, Map<string, Signal<string>>>();

/** draft is what somebody has begun to write in a room. */
export function draft(rooms: Rooms, room: string): Signal<string> {
  let own = drafts.get(rooms);
  if (own === undefined) drafts.set(rooms, (own = new Map()));
  let text = own.get(room);
  if (text === undefined) own.set(room, (text = signal("")));
  return text;
}
