// Which page an address is, and the other way round.

export type Route =
  | { page: "home" }
  | { page: "join" }
  | { page: "link" }
  | { page: "rooms"; room?: string }
  | { page: "catalogs"; owner?: string; catalog?: string; path: string }
  | { page: "people" }
  | { page: "settings"; part: SettingsPart }
  | { page: "unknown"; path: string };

export type SettingsPart = "devices" | "signin" | "look";

const settingsParts: readonly string[] = ["devices", "signin", "look"] satisfies SettingsPart[];

/** parse reads the path of an address. What is inside a catalog is in the fragment: a hub learns no names of files. */
export function parse(pathname: string, fragment = ""): Route {
  const unknown: Route = { page: "unknown", path: pathname };
  let parts: string[];
  try {
    parts = pathname.split("/").slice(1).map(decodeURIComponent);
  } catch {
    return unknown;
  }
  if (parts.at(-1) === "") parts.pop();
  const [page, first, second] = parts;
  switch (page) {
    case undefined:
      return { page: "home" };
    case "join":
    case "link":
    case "people":
      return parts.length === 1 ? { page } : unknown;
    case "rooms":
      return parts.length <= 2 ? { page, room: first } : unknown;
    case "catalogs":
      return parts.length === 1 || parts.length === 3 ? { page, owner: first, catalog: second, path: safeDecode(fragment.slice(1)) } : unknown;
    case "settings":
      if (parts.length === 1) return { page, part: "devices" };
      return parts.length === 2 && settingsParts.includes(first!) ? { page, part: first as SettingsPart } : unknown;
    default:
      return unknown;
  }
}

/** roomHref is the address of a room. */
export function roomHref(room: string): string {
  return `/rooms/${encodeURIComponent(room)}`;
}

/** catalogHref is the address of a catalog, or of a folder or an entry in it. */
export function catalogHref(owner: string, catalog: string, path = ""): string {
  const inside = path.split("/").filter(Boolean).map(encodeURIComponent).join("/");
  return `/catalogs/${encodeURIComponent(owner)}/${encodeURIComponent(catalog)}${inside === "" ? "" : `#${inside}`}`;
}

/** safeDecode is a text without percent signs, or as it is where they mean nothing. */
export function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
