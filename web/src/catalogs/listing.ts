// The listing of a catalog, which only its owner can give, sealed as any other content.

import { type Entry, Problem } from "../model.ts";
import { Content } from "../media/content.ts";
import type { Shelf } from "../media/shelf.ts";
import type { Source } from "../media/source.ts";
import { Refused } from "../protocol/bytes.ts";
import { parseListing } from "../protocol/transfers.ts";

const most = 64 << 20; // of a listing: some three hundred thousand entries

/** listing fetches and reads what a catalog holds. */
export async function listing(source: Source, shelf: Shelf): Promise<{ name: string; entries: Entry[] }> {
  const who = source.offer.ownerHandle;
  const pull = await source.open();
  if (pull.size > most) {
    await pull.close();
    throw new Problem("too-large", `This catalog of ${who}’s has more entries than a browser can show; use keyhall ls.`);
  }
  let opened: typeof pull | undefined = pull; // is used once; if it is lost, whatever the owner lists then
  const again = async () => {
    const next = opened ?? (await source.open());
    opened = undefined;
    if (!same(next.tree.address, pull.tree.address)) throw new Problem("conflict", `${who} has just changed this catalog; open it again.`);
    return next;
  };
  const content = new Content({ account: source.account, offer: source.offer, open: again }, pull.size, shelf);
  try {
    const { header, entries } = parseListing(await content.bytes(0, pull.size));
    return { name: header.catalog, entries: entries.map((entry) => ({ ...entry, modified: new Date(entry.modified) })) };
  } catch (error) {
    if (error instanceof Refused) throw new Problem("malformed", `The listing that ${who}’s computer sent cannot be read (${error.message}).`);
    throw error;
  } finally {
    content.close();
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);
