// Listings of catalogs (docs/protocol/transfers.md#the-listing).

import { compare, need, utf8 } from "./bytes.ts";
import { digest, integer, object, type Of, optional, parse, string, time } from "./canonical.ts";
import { isName } from "./names.ts";
import { isSize } from "./tree.ts";

const headerType = object({ catalog: string, revision: integer, entries: integer });
const entryType = object({ path: string, size: integer, type: string, modified: time, root: digest, description: optional(string) });

/** Header is the first line of a listing, ListingEntry any other. */
export type Header = Of<typeof headerType>;
export type ListingEntry = Of<typeof entryType>;

export const maxListing = 256 << 20;

/** checkPath refuses what no entry is called. */
export function checkPath(path: string): void {
  need(path.isWellFormed() && utf8(path).length <= 4096 && !path.includes("\0"), "malformed", "path");
  need(path.split("/").every((part) => part !== "" && part !== "." && part !== ".."), "malformed", "path");
}

/** checkTime refuses a time that no program here can say. */
export function checkTime(value: string): void {
  need(value >= "1970-01-01T00:00:00Z", "malformed", "a time before 1970");
}

export function parseHeader(line: Uint8Array): Header {
  const header = parse(headerType, line, "malformed");
  need(isName(header.catalog), "malformed", "catalog");
  need(header.revision >= 0 && header.entries >= 0 && header.entries <= 2 ** 21, "malformed", "revision or count");
  return header;
}

export function parseEntry(line: Uint8Array): ListingEntry {
  const entry = parse(entryType, line, "malformed");
  checkPath(entry.path);
  need(isSize(entry.size), "malformed", "size");
  need(/^[\x20-\x7e]*\/[\x20-\x7e]*$/.test(entry.type) && entry.type.length <= 127, "malformed", "type");
  need(utf8(entry.description ?? "").length <= 1024, "malformed", "description");
  checkTime(entry.modified);
  return entry;
}

/** parseListing reads a whole listing. */
export function parseListing(data: Uint8Array): { header: Header; entries: ListingEntry[] } {
  need(data.length > 0 && data.length <= maxListing && data[data.length - 1] === 10, "malformed", "its end");
  const lines: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const end = data.indexOf(10, at);
    lines.push(data.subarray(at, end));
    at = end + 1;
  }
  const header = parseHeader(lines[0]!);
  need(lines.length === 1 + header.entries, "malformed", "count");
  const entries = lines.slice(1).map(parseEntry);
  for (let i = 1; i < entries.length; i++) {
    need(compare(utf8(entries[i - 1]!.path), utf8(entries[i]!.path)) < 0, "malformed", "order");
  }
  return { header, entries };
}
