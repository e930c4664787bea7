import { signal } from "@preact/signals";
import type { Order } from "./folder.ts";

/** Choice is how somebody likes to see folders. It is kept in this browser; it says nothing about what is in them. */
export interface Choice extends Order {
  as: "grid" | "list";
}

const kept = "keyhall.catalogs";
const usual: Choice = { as: "grid", by: "name", down: false };

/** choice is how folders are shown. */
export const choice = signal<Choice>(read());

/** choose changes it, and keeps it. */
export function choose(change: Partial<Choice>): void {
  choice.value = { ...choice.value, ...change };
  try {
    localStorage.setItem(kept, JSON.stringify(choice.value));
  } catch {
    // A browser that keeps nothing forgets this too.
  }
}

function read(): Choice {
  try {
    const found = JSON.parse(localStorage.getItem(kept) ?? "{}") as Partial<Choice>;
    const by = (["name", "size", "modified", "type"] as const).find((one) => one === found.by);
    return { as: found.as === "list" ? "list" : "grid", by: by ?? usual.by, down: found.down === true };
  } catch {
    return usual;
  }
}
