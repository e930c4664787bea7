import { signal } from "@preact/signals";

/** said is the last thing announced; the shell has a live region for it. */
export const said = signal("");

/** announce has something read out and shown for a moment: that something was done. What a person must not miss is a Notice. */
export function announce(text: string): void {
  said.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => (said.value = ""), 4000);
}

let timer: ReturnType<typeof setTimeout> | undefined;
