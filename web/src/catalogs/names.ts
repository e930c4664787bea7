// What this person calls their own catalogs. The chain says only whom they are shared with, by ids; the names are in what a
// password or a recovery code opens, and this browser keeps them from there.

import type { Store } from "../ports.ts";

const key = (catalog: string): string => `catalog ${catalog}`;

/** keepNames keeps the names of one's own catalogs. */
export async function keepNames(store: Store, catalogs: readonly { id: string; name: string }[]): Promise<void> {
  for (const { id, name } of catalogs) await store.put("settings", key(id), name);
}

/** keptName is the name of one's own catalog, as far as this browser has heard it. */
export const keptName = (store: Store, catalog: string): Promise<string | undefined> => store.get<string>("settings", key(catalog));
