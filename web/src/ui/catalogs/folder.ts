import type { Entry } from "../../model.ts";

/** Item is one line of a folder: a file, or a folder with what is in it, however deep. */
export type Item =
  | { kind: "file"; name: string; entry: Entry }
  | { kind: "folder"; name: string; path: string; files: number; size: number; modified: Date };

export type Order = { by: "name" | "size" | "modified" | "type"; down: boolean };

/** Listing finds what is in a folder of a catalog, whose entries have paths that are split at "/". */
export class Listing {
  readonly #folders = new Map<string, Map<string, Item>>();
  readonly #files = new Map<string, Entry>();

  constructor(entries: readonly Entry[]) {
    this.#folders.set("", new Map());
    for (const entry of entries) this.#add(entry);
  }

  /** file at a path. */
  file(path: string): Entry | undefined {
    return this.#files.get(path);
  }

  /** has says whether there is a folder; "" is the catalog itself. */
  has(folder: string): boolean {
    return this.#folders.has(folder);
  }

  /** items of a folder in an order: folders first. */
  items(folder: string, order: Order): Item[] {
    const items = [...(this.#folders.get(folder)?.values() ?? [])];
    return items.sort(comparer(order));
  }

  #add(entry: Entry): void {
    this.#files.set(entry.path, entry);
    const names = entry.path.split("/");
    const name = names.pop() ?? entry.path;
    let parent = "";
    for (const step of names) {
      const path = parent === "" ? step : `${parent}/${step}`;
      this.#count(parent, step, path, entry);
      parent = path;
    }
    this.#at(parent).set(`f ${name}`, { kind: "file", name, entry });
  }

  #count(parent: string, name: string, path: string, entry: Entry): void {
    const at = this.#at(parent);
    const there = at.get(`d ${name}`);
    if (there?.kind !== "folder") {
      at.set(`d ${name}`, { kind: "folder", name, path, files: 1, size: entry.size, modified: entry.modified });
      return;
    }
    there.files++;
    there.size += entry.size;
    if (entry.modified > there.modified) there.modified = entry.modified;
  }

  #at(folder: string): Map<string, Item> {
    let at = this.#folders.get(folder);
    if (at === undefined) this.#folders.set(folder, (at = new Map()));
    return at;
  }
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function comparer(order: Order): (a: Item, b: Item) => number {
  const sign = order.down ? -1 : 1;
  return (a, b) => {
    if (a.kind !== b.kind) return a.kind === "folder" ? -1 : 1;
    return sign * by(order.by, a, b) || names.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);
  };
}

function by(what: Order["by"], a: Item, b: Item): number {
  if (what === "size") return size(a) - size(b);
  if (what === "modified") return modified(a).getTime() - modified(b).getTime();
  if (what === "type") return type(a).localeCompare(type(b));
  return names.compare(a.name, b.name);
}

/** size of an item in bytes. */
export function size(item: Item): number {
  return item.kind === "file" ? item.entry.size : item.size;
}

/** modified is when an item was changed last. */
export function modified(item: Item): Date {
  return item.kind === "file" ? item.entry.modified : item.modified;
}

function type(item: Item): string {
  return item.kind === "file" ? item.entry.type : "";
}
