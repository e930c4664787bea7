import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** Shortcut is a key ("?"), or two one after the other ("g r"), and what it does. */
export interface Shortcut {
  keys: string;
  does: string;
  run(): void;
}

/** active are the shortcuts of what is on the screen, the shell's first. */
export const active = signal<readonly (readonly Shortcut[])[]>([]);

/** useKeys has shortcuts work while the component that calls it is there. They rest while somebody types or a dialog is open. */
export function useKeys(shortcuts: readonly Shortcut[]): void {
  const now = useRef(shortcuts);
  now.current = shortcuts;
  useEffect(() => {
    const mine = shortcuts.map((shortcut, index) => ({ ...shortcut, run: () => now.current[index]?.run() }));
    active.value = [...active.value, mine];
    return () => void (active.value = active.value.filter((list) => list !== mine));
  }, []);
}

let first = "";
let since = 0;

/** press does what a key stands for; a first of two is remembered for a second. */
export function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || busy(event.target)) return;
  const both = first !== "" && event.timeStamp - since < 1000 ? `${first} ${event.key}` : event.key;
  const all = active.value.flat();
  const found = all.findLast((shortcut) => shortcut.keys === both) ?? all.findLast((shortcut) => shortcut.keys === event.key);
  first = "";
  if (found) {
    event.preventDefault();
    found.run();
  } else if (all.some((shortcut) => shortcut.keys.startsWith(`${event.key} `))) {
    first = event.key;
    since = event.timeStamp;
  }
}

function busy(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]")) return true;
  return target instanceof HTMLElement && (target.isContentEditable || target.closest("input, textarea, select, [role=menu]") !== null);
}
