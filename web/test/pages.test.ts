// node dist-test/pages.test.mjs: what the pages of rooms and catalogs work out by themselves, without a browser.

import process from "node:process";

import type { Entry, Message, RoomInfo } from "../src/model.ts";
import { Listing, type Item, type Order } from "../src/ui/catalogs/folder.ts";
import { command, format, kind } from "../src/ui/catalogs/kind.ts";
import { bytes } from "../src/ui/catalogs/measure.ts";
import { day, group, keyOf } from "../src/ui/rooms/groups.ts";
import { bare, find, order } from "../src/ui/rooms/names.ts";
import { around, down, most, span, stay, step, up, type Range } from "../src/ui/rooms/window.ts";
import { clean, parts, plain } from "../src/ui/text.ts";

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

function texts(): void {
  same("lines stay lines", clean("a\r\nb\rc\u2028d\te"), "a\nb\nc\nd\te");
  same("what turns the text around is gone", clean("a\u202Eb\u2066c\u0007d\u009Be\uFFF9f\u{E0041}g"), "abcdefg");
  same("what only joins letters stays", clean("می\u200Cخواهم \u200F👩\u200D👧"), "می\u200Cخواهم \u200F👩\u200D👧");
  const flag = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
  same("a flag stays one", clean(flag), flag);
  same("what does not show is shown in a name", plain("a\u202Egpj.exe\n"), "a\uFFFDgpj.exe\uFFFD");
}

function links(): void {
  const hrefs = (text: string) => parts(text).flatMap((part) => (part.kind === "link" ? [part.href] : []));
  same("an address", parts("see https://example.org/a?b=c#d."), [{ kind: "text", text: "see " }, { kind: "link", text: "https://example.org/a?b=c#d", href: "https://example.org/a?b=c#d" }, { kind: "text", text: "." }]);
  same("brackets around and in it", hrefs("(https://a.example/x_(y)) [http://b.example/]"), ["https://a.example/x_(y)", "http://b.example/"]);
  same("capitals", hrefs("HTTPS://EXAMPLE.org"), ["https://example.org/"]);
  for (const text of ["javascript:alert(1)", "data:text/html,x", "https://", "https://bank.example@evil.example/", "http://u:p@h.example", "ftp://h.example", "https:/\u202E/x"]) same(`${text} is no link`, hrefs(text), []);
  same("a quote ends it", hrefs('https://a.example/"onclick="x'), ["https://a.example/"]);
  same("rooms", parts("#all1, a#b ##c /#d #élan-2").flatMap((part) => (part.kind === "room" ? [part.room] : [])), ["all1", "élan-2"]);
  const closed = ")]".repeat(16_000);
  same("thousands of brackets are one text", parts(`https://a.example/(x)${closed}`).map((part) => [part.kind, part.text.length]), [["link", 21], ["text", closed.length]]);
  const hostile = `<b>"'&${"#".repeat(50)}http://`;
  same("nothing is lost", parts(hostile).map((part) => part.text).join(""), hostile);
}

const at = (minute: number, author = "A", id = `${minute}`): Message => ({ id, seq: minute, author, handle: author, mine: false, time: new Date(2026, 0, 1, 12, minute), text: "", state: "stored" });

function groups(): void {
  const shape = (messages: Message[], fresh?: string) => group(messages, fresh).map((one) => [one.author, one.messages.length, one.fresh, one.day !== undefined]);
  same("by author", shape([at(0), at(1), at(2, "B"), at(3)]), [["A", 2, false, true], ["B", 1, false, false], ["A", 1, false, false]]);
  same("after a pause", shape([at(0), at(9)]), [["A", 1, false, true], ["A", 1, false, false]]);
  same("by day", shape([at(0), at(24 * 60)]), [["A", 1, false, true], ["A", 1, false, true]]);
  same("what is new", shape([at(0), at(1), at(2)], keyOf(at(1))), [["A", 1, false, true], ["A", 2, true, false]]);
  same("the day goes on above", group([at(1)], undefined, at(0)).map((one) => one.day), [undefined]);
  const now = new Date(2026, 0, 2, 0, 5);
  same("days", [day(now, now), day(at(0).time, now)], ["Today", "Yesterday"]);
}

function windows(): void {
  const list = Array.from({ length: 1000 }, (_, index) => at(index, "A"));
  const where = (range: Range, of = list) => Object.values(span(of, range));
  same("the newest", where({}), [1000 - step, 1000]);
  let range = stay(list, {});
  same("stays when newer come", where(range, [...list, at(2000)]), [1000 - step, 1001]);
  same("stays when older come", where(range, [at(-1), ...list]), [1001 - step, 1001]);
  for (let i = 0; i < 9; i++) range = up(list, range);
  same("upwards it lets go below", where(range), [1000 - 10 * step, 1000 - 10 * step + most]);
  for (let i = 0; i < 99; i++) range = down(list, range);
  same("and downwards above", where(range), [1000 - most, 1000]);
  same("around one", where(around(list, 500)), [500 - step / 4, 500 - step / 4 + step]);
  same("of nothing", where({ first: "gone", last: "gone" }, []), [0, 0]);
  const twins = [at(1, "A", "x"), at(2, "B", "x")];
  same("two who use one id", where(stay(twins.slice(1), {}), twins), [1, 2]);
}

function rooms(): void {
  const room = (id: string, name?: string, role?: RoomInfo["role"]): RoomInfo => ({ id, name, role, open: false, listed: true, members: 1, unread: 0 });
  const list = [room("1", "b"), room("2", "b", "writer"), room("3", "a10"), room("4", "a9"), room("5")];
  same("one's own first", find(list, "#B")?.id, "2");
  same("by its id", find(list, "1")?.id, "1");
  same("none", find(list, "c"), undefined);
  same("in order", order(list).map((one) => one.id), ["4", "3", "1", "2", "5"]);
  same("a name as it is typed", bare("  #Gärten "), "gärten");
}

const entry = (path: string, size = 1, type = "text/plain"): Entry => ({ path, size, type, root: "", modified: new Date(2026, 0, size) });

function folders(): void {
  const listing = new Listing([entry("b/c/d.txt", 4), entry("a10", 2), entry("a9", 3), entry("b/e", 1), entry("b", 9), entry("__proto__/constructor", 5)]);
  const names = (folder: string, by: Order["by"] = "name", down = false) => listing.items(folder, { by, down }).map((item: Item) => `${item.name}${item.kind === "folder" ? "/" : ""}`);
  same("folders first, numbers as numbers", names(""), ["__proto__/", "b/", "a9", "a10", "b"]);
  same("by size, downwards", names("", "size", true), ["__proto__/", "b/", "b", "a9", "a10"]);
  same("below", names("b"), ["c/", "e"]);
  const b = listing.items("", { by: "name", down: false })[1];
  same("what is in a folder counts", b?.kind === "folder" && [b.path, b.files, b.size], ["b", 2, 5]);
  same("a file and a folder of one name", [listing.file("b")?.size, listing.has("b")], [9, true]);
  same("what is not there", [listing.file("x"), listing.has("b/x"), names("b/x")], [undefined, false, []]);
}

function kinds(): void {
  same("kinds", ["video/mp4", "audio/flac", "image/png", "application/pdf", "text/x-go; charset=utf-8", "image/svg+xml", "text/html", "audio/mpegurl", "application/zip", ""].map((type) => kind({ type })), ["video", "audio", "image", "pdf", "text", "text", "text", "text", "other", "other"]);
  same("formats", [format({ type: "video/x-matroska" }), format({ type: "text/x-go" }), format({ type: "" })], ["Matroska video", "Text (text/x-go)", "File of an unknown type"]);
  same("to type", command("play", "bob", "films", "a/b.mkv"), "keyhall play bob/films/a/b.mkv");
  same("to type, quoted", command("get", "bob", "films", "it's $(x)"), `keyhall get 'bob/films/it'\\''s $(x)'`);
  same("nothing to type that does not show", command("get", "bob", "films", "a\u001b[201~b"), undefined);
  same("sizes", [0, 1, 999, 1000, 999_499, 1_234_567, 9_999_999_999].map(bytes), ["0 bytes", "1 byte", "999 bytes", "1 kB", "999 kB", "1.23 MB", "10 GB"]);
}

texts();
links();
groups();
windows();
rooms();
folders();
kinds();
process.exitCode = failed === 0 ? 0 : 1;
console.log(failed === 0 ? "pages: all as it should be" : `pages: ${failed} not as they should be`);
