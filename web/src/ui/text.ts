// What others wrote, made safe to show. Nothing here makes markup: a text is cut into parts, and the page shows each part as
// a text node or as a link to an address that was looked at.

/** Part of a message: plain text, an address of the web, or a room that is named as #room. */
export type Part = { kind: "text"; text: string } | { kind: "link"; text: string; href: string } | { kind: "room"; text: string; room: string };

// Controls that show nothing but change what is around them: C0 and C1 but for tab and line feed, the bidirectional embeddings,
// overrides and isolates, marks of interlinear annotation, the deprecated format characters, and tags but for those of a flag.
const hidden = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069\u206A-\u206F\uFFF9-\uFFFB]|(?<!\u{1F3F4}[\u{E0020}-\u{E007F}]*)[\u{E0000}-\u{E007F}]/gu;

/** clean takes out of a text what could disturb the text around it. Lines stay lines. */
export function clean(text: string): string {
  return text.replace(/\r\n?|[\u2028\u2029]/g, "\n").replace(hidden, "");
}

/** plain is a name on one line, in which what would not show is shown as a replacement character. */
export function plain(name: string): string {
  return name.replace(/[\t\n\r\u2028\u2029]/g, "\uFFFD").replace(hidden, "\uFFFD");
}

const special = /https?:\/\/[^\s<>"`{}|\\^]+|(?<![\p{L}\p{M}\p{N}_&/#-])#[\p{L}\p{N}][\p{L}\p{M}\p{N}_-]{0,31}(?![\p{L}\p{M}\p{N}_-])/giu;

/** parts cuts a cleaned text at the addresses and rooms in it. */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(special)) {
    const part = match[0].startsWith("#") ? roomPart(match[0]) : linkPart(match[0]);
    if (part === undefined) continue;
    if (match.index > end) found.push({ kind: "text", text: text.slice(end, match.index) });
    found.push(part);
    end = match.index + part.text.length;
  }
  if (end < text.length) found.push({ kind: "text", text: text.slice(end) });
  return found;
}

function roomPart(text: string): Part {
  return { kind: "room", text, room: text.slice(1) };
}

// linkPart takes an address only as far as it is one: what ends a sentence is not part of it, and neither is a bracket that was
// opened before it. An address with a name in front of the host ("https://bank.example@elsewhere/") is not made a link.
function linkPart(match: string): Part | undefined {
  const unopened: Record<string, number> = { ")": surplus(match, "(", ")"), "]": surplus(match, "[", "]") };
  let end = match.length;
  for (; end > 0; end--) {
    const last = match.charAt(end - 1);
    if ((unopened[last] ?? 0) > 0) unopened[last]!--;
    else if (!/[.,;:!?'*_~…»”’]/u.test(last)) break;
  }
  const text = match.slice(0, end);
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const web = url.protocol === "https:" || url.protocol === "http:";
  if (!web || url.username !== "" || url.password !== "" || url.hostname === "") return undefined;
  return { kind: "link", text, href: url.href };
}

/** surplus is how many more brackets are closed than opened. They are counted once: whoever writes may write thousands. */
const surplus = (text: string, open: string, close: string): number => text.split(close).length - text.split(open).length;
