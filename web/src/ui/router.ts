// Where in the app somebody is. Codes come in the fragment of an address, which no server sees; they are taken out of the address bar
// as soon as they are read.

import { computed, signal } from "@preact/signals";
import { parse, safeDecode } from "./parse.ts";

export * from "./parse.ts";

const place = () => location.pathname + (location.pathname.startsWith("/catalogs/") ? location.hash : "");

const path = signal(place());

/** route is the page that is shown. */
export const route = computed(() => {
  const [pathname = "", ...fragment] = path.value.split("#");
  return parse(pathname, `#${fragment.join("#")}`);
});

/** arrived counts the pages that somebody went to since the first. */
export const arrived = signal(0);

/** carried is the code that an address brought along, until somebody takes it. */
export const carried = signal<string | undefined>(undefined);

/** navigate goes to an address of this origin; replace takes the place of the one that is shown. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  arrive();
}

function arrive(): void {
  takeCode();
  const moved = path.peek() !== place();
  path.value = place();
  if (!moved) return;
  arrived.value++;
  document.querySelector("main")?.scrollTo(0, 0);
  scrollTo(0, 0);
}

function takeCode(): void {
  if (location.hash.length < 2 || !["/join", "/link"].includes(location.pathname)) return;
  carried.value = safeDecode(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

/** follow has links within the app go without loading it again, and the browser's own back and forward. It returns what ends it. */
export function follow(): () => void {
  takeCode();
  const click = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.hash.startsWith("#main")) return;
    if (parse(link.pathname).page === "unknown") return;
    event.preventDefault();
    navigate(link.pathname + link.search + link.hash);
  };
  document.addEventListener("click", click);
  addEventListener("popstate", arrive);
  return () => {
    document.removeEventListener("click", click);
    removeEventListener("popstate", arrive);
  };
}
