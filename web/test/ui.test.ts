// node dist-test/ui.test.mjs: what the pages work out by themselves, without a browser.

import process from "node:process";

import { broken } from "../src/ui/door/handle.ts";
import { strength } from "../src/ui/door/strength.ts";
import { modules, outline } from "../src/ui/qr.ts";
import { catalogHref, parse, roomHref } from "../src/ui/parse.ts";
import { agentWords } from "../src/ui/settings/agent.ts";

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

function addresses(): void {
  same("home", parse("/"), { page: "home" });
  same("a room", parse("/rooms/x2%2Fy"), { page: "rooms", room: "x2/y" });
  same("rooms", parse("/rooms/"), { page: "rooms" });
  same("settings", parse("/settings"), { page: "settings", part: "devices" });
  same("a folder", parse("/catalogs/AB/cid", "#a/b%20c.mp4"), { page: "catalogs", owner: "AB", catalog: "cid", path: "a/b c.mp4" });
  for (const path of ["/nothing", "/rooms/a/b", "/settings/other", "/catalogs/AB", "/people/a", "/catalogs/AB/cid/a", "/rooms/%ff", "/constructor"]) {
    same(path, parse(path), { page: "unknown", path });
  }
  const [path, fragment] = catalogHref("AB", "c#1", "ä/50%?#.txt").split("#");
  same("no name of a file is in what a hub sees", path, "/catalogs/AB/c%231");
  same("there and back", parse(path!, `#${fragment}`), { page: "catalogs", owner: "AB", catalog: "c#1", path: "ä/50%?#.txt" });
  same("a room there and back", parse(roomHref("r?1")), { page: "rooms", room: "r?1" });
}

function names(): void {
  for (const good of ["alice", "x", "7th", "jean-luc_2", "Ünal", "ольга", "山田太郎", "a".repeat(32)]) same(good, broken(good), undefined);
  for (const bad of ["", "a b", "-a", "_a", "a.b", "a/b", "a*", "a>", "p\u0430ul", "a".repeat(33), "\u0301a", "a\u200bb"]) same(`“${bad}” is broken`, broken(bad) !== undefined, true);
}

function passwords(): void {
  const level = (password: string, handle = "alice") => strength(password, handle).level;
  for (const bad of ["", "short", "password", "aaaaaaaaaaaaaaa", "12345678901234", "alicealice", "Summer2024", "qwertyqwerty"]) same(`${bad} is weak`, level(bad) <= 1, true);
  for (const good of ["orbit velvet canyon lamp", "x7Qp-m2Zt-9Kd4-Rw8b", "correct horse battery staple"]) same(`${good} is good`, level(good) >= 3, true);
  same("one's own name does not count", level("alice-orbit", "alice") < level("alice-orbit", "bob"), true);
}

/** What is known was made by two other programs (uqr and qrcode-generator), which agree, and read back by a third (jsQR). */
function codes(): void {
  const drawn = (rows: boolean[][]) => rows.map((row) => row.map((dark) => (dark ? "#" : ".")).join(""));
  same("the QR code of a link", drawn(modules(known.text, 2)), known.rows);
  const invite = drawn(modules(`https://hall.example.org:8420/join#kh-${"abcdefgh-".repeat(13)}abcd`, 5));
  same("the size of an invite's", invite.length, 53);
  same("the QR code of an invite", fnv(invite.join("")), 2340500516);
  const { size, path } = outline(known.text);
  same("its size with the quiet around it", size, 41);
  const squares = [...path.matchAll(/M(\d+) (\d+)h(\d+)/g)].reduce((sum, [, , , width]) => sum + Number(width), 0);
  const best = [0, 1, 2, 3, 4, 5, 6, 7].map((mask) => drawn(modules(known.text, mask)).join("").replaceAll(".", "").length);
  same("every dark square is drawn", best.includes(squares), true);
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

function agents(): void {
  same("Edge", agentWords("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"), "Edge on Windows");
  same("Chrome on Android", agentWords("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"), "Chrome on Android");
  same("Safari", agentWords("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"), "Safari on iPhone");
  same("Firefox", agentWords("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"), "Firefox on Linux");
  same("a program", agentWords("curl/8"), "An unknown browser");
}

const known = {
  text: "http://localhost:8420/link#kl-7h2k-m4qp-x5zt-b3nd",
  rows: [
    "#######...........##...#..#######",
    "#.....#..#.##..#..#..##.#.#.....#",
    "#.###.#.####..###....##.#.#.###.#",
    "#.###.#.####......#...###.#.###.#",
    "#.###.#.###..#####..#..##.#.###.#",
    "#.....#.##..#.#..#.#..#.#.#.....#",
    "#######.#.#.#.#.#.#.#.#.#.#######",
    "........##..#.#.#..####..........",
    "#.#####......#...#.##.#.#.#####..",
    ".#.##..#...#.##.####.###..#..##.#",
    "###..###.#.#.#####......#...#.##.",
    "....##.#.##..#...###.#......###.#",
    "#.....#.#.###.#.#...#..#....##...",
    "...##..######..#.##..###..#....##",
    "...#.#########.##...#...###..#.#.",
    ".....#.#.##....#..#..####..#..#..",
    "##.#..###.....##.#..#.####.##...#",
    "###..#..##.#.##.#.##.###..##.####",
    "##....#..###..###.#......##.#.#..",
    "##..##..#.....#.....###.##..###..",
    "....###...###..#..#...#..#..##..#",
    "###.#..#.#.#.#.###..##.#.##..#..#",
    "#..#.###.#...#....##.##..###.###.",
    "#.##...###.#.#..#..###...##..###.",
    "#.#.##########...#.##...#####....",
    "........#....#...###..#.#...#.#.#",
    "#######..##..#####....###.#.#.##.",
    "#.....#.#.#...#..##..#.##...#.###",
    "#.###.#.#...#...#..#..#.######.#.",
    "#.###.#.##..#..#.##....#.#.###.##",
    "#.###.#.#.##..####......#.##.##..",
    "#.....#..#####.#..#.##.#..###.#..",
    "#######.#.####.#.#..#...#..###.#.",
  ],
};

addresses();
names();
passwords();
codes();
agents();
process.exitCode = failed === 0 ? 0 : 1;
console.log(failed === 0 ? "ui: all as it should be" : `ui: ${failed} not as they should be`);
