import type { Entry } from "../../model.ts";
import { essence, viewOf } from "../../media/types.ts";
import { plain } from "../text.ts";

/** Kind is how an entry is shown. */
export type Kind = "video" | "audio" | "image" | "pdf" | "text" | "other";

const readable = /^(text\/|audio\/(x-)?mpegurl$|application\/(json|ld\+json|xml|toml|yaml|sql|javascript|x-sh|x-subrip|x-ndjson|vnd\.apple\.mpegurl)$)|\+(json|xml)$/;

/** kind says how an entry is shown, by its type; what is a script or a page elsewhere is the text that it is written in. */
export function kind(entry: Pick<Entry, "type">): Kind {
  const view = viewOf(entry.type);
  if (view !== undefined) return view;
  return readable.test(essence(entry.type)) ? "text" : "other";
}

const formats: Record<string, string> = {
  "video/x-matroska": "Matroska video",
  "video/mp2t": "MPEG transport stream",
  "video/mpeg": "MPEG video",
  "video/x-msvideo": "AVI video",
  "video/quicktime": "QuickTime video",
  "video/mp4": "MP4 video",
  "video/webm": "WebM video",
  "audio/flac": "FLAC sound",
  "audio/aac": "AAC sound",
  "audio/midi": "MIDI music",
  "audio/aiff": "AIFF sound",
  "audio/mpeg": "MP3 sound",
  "audio/ogg": "Ogg sound",
  "audio/wav": "WAV sound",
  "image/heic": "HEIC picture",
  "image/tiff": "TIFF picture",
  "image/bmp": "BMP picture",
  "image/vnd.adobe.photoshop": "Photoshop picture",
  "image/jxl": "JPEG XL picture",
  "application/zip": "ZIP archive",
  "application/gzip": "gzip archive",
  "application/x-tar": "tar archive",
  "application/x-7z-compressed": "7-Zip archive",
  "application/epub+zip": "EPUB book",
  "application/pdf": "PDF document",
  "image/png": "PNG picture",
  "image/jpeg": "JPEG picture",
  "image/gif": "GIF picture",
  "image/webp": "WebP picture",
  "image/avif": "AVIF picture",
  "image/svg+xml": "SVG drawing, as text",
  "text/plain": "Text",
  "text/markdown": "Markdown text",
};

/** format is what people call a type; one that has no name here is called by itself. */
export function format(entry: Pick<Entry, "type">): string {
  const type = essence(entry.type);
  return formats[type] ?? (type === "" || type === "application/octet-stream" ? "File of an unknown type" : `${label(entry)} (${type})`);
}

const labels: Record<Kind, string> = { video: "Film", audio: "Sound", image: "Picture", pdf: "PDF", text: "Text", other: "File" };

/** label is one word for what an entry is. */
export function label(entry: Pick<Entry, "type">): string {
  return labels[kind(entry)];
}

/**
 * command is what plays or gets an entry outside the browser, as somebody would type it into a terminal. There is none for a
 * path with characters that do not show: nobody should paste those.
 */
export function command(verb: "play" | "get", owner: string, catalog: string, path: string): string | undefined {
  const target = `${owner}/${catalog}/${path}`;
  if (plain(target) !== target) return undefined;
  return `keyhall ${verb} ${/^[\p{L}\p{N}_./@%+=:,-]+$/u.test(target) ? target : `'${target.replaceAll("'", `'\\''`)}'`}`;
}
