import type { RoomInfo } from "../../model.ts";
import { plain } from "../text.ts";

/** title is what a room is called on a page: "#name"; of one whose name this browser cannot open yet, that it is a room. */
export function title(room: Pick<RoomInfo, "name">): string {
  return room.name === undefined ? "Unnamed room" : `#${plain(room.name)}`;
}

/** find looks for a room by what an address or a person says: its id, or its name with or without "#". */
export function find(rooms: readonly RoomInfo[], said: string): RoomInfo | undefined {
  const name = bare(said);
  const named = rooms.filter((room) => room.name === name);
  return rooms.find((room) => room.id === said) ?? named.find((room) => room.role !== undefined) ?? named[0];
}

/** bare is a room's name as it is kept: without "#", in small letters. */
export function bare(said: string): string {
  return said.trim().replace(/^#/, "").normalize("NFKC").toLowerCase();
}

/** order puts rooms in the order of their names; those without one come last. */
export function order(rooms: readonly RoomInfo[]): RoomInfo[] {
  return [...rooms].sort((a, b) => Number(a.name === undefined) - Number(b.name === undefined) || (a.name ?? a.id).localeCompare(b.name ?? b.id, undefined, { numeric: true }));
}
