// A catalog that is open: what its owner listed, and how an entry of it gets to the screen or the disk.

import { signal } from "@preact/signals";

import { type Catalog, type Entry, Problem } from "../model.ts";
import { Content } from "../media/content.ts";
import type { Desk } from "../media/desk.ts";
import type { Shelf } from "../media/shelf.ts";
import type { Source } from "../media/source.ts";
import { shows } from "../media/types.ts";
import { inCharge } from "../media/workers.ts";

/** Shelves is what catalogs read through. */
export interface Shelves {
  desk(): Desk;
  shelf: Shelf;
  /** source is where an entry comes from. */
  source(entry: string, root?: string): Source;
  /** save has the browser save what an address on this origin answers. */
  save(address: string): void;
  /** closed hears that a catalog is. */
  closed(): void;
}

interface Open {
  content: Content;
  token?: string;
  address?: string;
}

/** OpenCatalog is the Catalog of model.ts. */
export class OpenCatalog implements Catalog {
  readonly trouble = signal<{ path: string; problem: Problem } | undefined>();
  #open = new Map<string, Open>(); // by path
  #closed = false;

  constructor(
    readonly owner: string,
    readonly ownerHandle: string,
    readonly name: string,
    readonly entries: readonly Entry[],
    readonly shelves: Shelves,
  ) {}

  shows(entry: Entry): "video" | "audio" | "image" | "pdf" | "text" | undefined {
    return shows(entry.type);
  }

  #content(entry: Entry): Open {
    if (this.#closed) throw new Problem("cancelled", "This catalog is closed; open it again.");
    const known = this.#open.get(entry.path);
    if (known) return known;
    const opened: Open = { content: this.#read(entry) };
    this.#open.set(entry.path, opened);
    return opened;
  }

  #read(entry: Entry): Content {
    const failed = (problem: Problem) => (this.trouble.value = { path: entry.path, problem });
    return new Content(this.shelves.source(entry.path, entry.root), entry.size, this.shelves.shelf, failed);
  }

  async url(entry: Entry): Promise<string> {
    await inCharge();
    const open = this.#content(entry);
    if (!open.address) Object.assign(open, this.shelves.desk().show(open.content, entry));
    return open.address!;
  }

  async download(entry: Entry): Promise<void> {
    await inCharge();
    const content = this.#read(entry); // which goes on when the catalog is closed
    this.shelves.save(`${this.shelves.desk().show(content, entry).address}?save`);
  }

  async text(entry: Entry, limit: number): Promise<{ text: string; whole: boolean }> {
    const end = Math.min(entry.size, limit);
    const whole = end === entry.size;
    const bytes = await this.#content(entry).content.bytes(0, end);
    return { text: new TextDecoder().decode(bytes, { stream: !whole }), whole };
  }

  close(): void {
    this.#closed = true;
    for (const { content, token } of this.#open.values()) {
      if (token) this.shelves.desk().hide(token);
      else content.close();
    }
    this.#open.clear();
    this.shelves.closed();
  }
}
