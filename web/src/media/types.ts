// What an entry may be shown as. Its type is its owner's word: only types that are never more than sound, picture or
// plain text to a browser are handed on, everything else is bytes for the disk.

/** View is how this browser shows something. */
export type View = "video" | "audio" | "image" | "pdf" | "text";

const pictures = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

// Playlists name addresses, which a player would ask.
const playlists = ["audio/mpegurl", "audio/x-mpegurl", "video/mpegurl", "video/x-mpegurl", "audio/x-scpls", "video/vnd.mpegurl"];

/** essence is a media type without its parameters, in small letters; empty where it is none. */
export function essence(type: string): string {
  const plain = (type.split(";")[0] ?? "").trim().toLowerCase();
  return /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/.test(plain) ? plain : "";
}

/** viewOf is how something of a type would be shown; undefined: not at all. */
export function viewOf(type: string): View | undefined {
  const plain = essence(type);
  if (playlists.includes(plain) || plain.endsWith("+xml")) return undefined; // XML is a document that can hold others
  if (plain.startsWith("video/")) return "video";
  if (plain.startsWith("audio/")) return "audio";
  if (pictures.includes(plain)) return "image";
  if (plain === "application/pdf") return "pdf";
  return plain === "text/plain" ? "text" : undefined;
}

/** served is the Content-Type that something of a type gets here. */
export function served(type: string): string {
  const view = viewOf(type);
  if (view === "text") return "text/plain; charset=utf-8";
  return view ? essence(type) : "application/octet-stream";
}

/** shows is how this very browser shows something of a type; undefined where it cannot. */
export function shows(type: string): View | undefined {
  const view = viewOf(type);
  switch (view) {
    case "video":
    case "audio":
      return document.createElement(view).canPlayType(type) === "" ? undefined : view;
    case "pdf":
      return navigator.pdfViewerEnabled ? view : undefined;
  }
  return view;
}

// What a file name may not hold: control characters, what turns the direction of writing, what is not shown, and the
// characters with which one or another system parts folders and files.
const bad = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\/:*?"<>|]/gu;

/** fileName is a name for the disk that says no more than the last part of a path does. */
export function fileName(path: string): string {
  const last = path.slice(path.lastIndexOf("/") + 1).replace(bad, "_").replace(/^[. ]+|[. ]+$/g, "");
  return Array.from(last).slice(0, 120).join("") || "file";
}

/** disposition is a Content-Disposition that saves a file under its name. */
export function disposition(path: string): string {
  const name = fileName(path);
  const plain = name.replace(/[^\x20-\x7e]/g, "_").replaceAll("%", "_");
  const exact = encodeURIComponent(name).replace(/['()*!]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}
