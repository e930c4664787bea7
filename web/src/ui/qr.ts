// QR codes (ISO/IEC 18004), as far as links need them: bytes, error correction M, up to version 20, which holds 600 of them.

/** Outline is a QR code as the path of an SVG: one unit a module, with the four modules of quiet around. */
export interface Outline {
  size: number;
  path: string;
}

const quiet = 4;

/** outline draws a text. */
export function outline(text: string): Outline {
  const rows = modules(text);
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x++;
      path += `M${from + quiet} ${y + quiet}h${x + 1 - from}v1h-${x + 1 - from}z`;
    }
  });
  return { size: rows.length + 2 * quiet, path };
}

type Rows = boolean[][];

/** modules are the dark and light squares of a text, row by row; with the mask that is easiest to read, or the one given. */
export function modules(text: string, mask?: number): Rows {
  const bytes = new TextEncoder().encode(text);
  const version = checks.findIndex((_, at) => at > 0 && bytes.length <= room(at));
  if (version < 0) throw new RangeError("too long for a QR code");
  const all = interleave(payload(bytes, version), version);
  const masks = mask === undefined ? [0, 1, 2, 3, 4, 5, 6, 7] : [mask];
  const drawn = masks.map((each) => draw(version, all, each));
  return drawn.reduce((best, rows) => (ugliness(rows) < ugliness(best) ? rows : best));
}

// Of level M, by version: bytes of error correction in a block, and how many blocks there are (table 9).
const checks = [0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const blocks = [0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];

/** total is how many bytes a version has space for, those of the error correction among them. */
function total(version: number): number {
  const marks = version < 2 ? 0 : Math.floor(version / 7) + 2; // in a row of alignment patterns
  const aligned = marks === 0 ? 0 : (25 * marks - 10) * marks - 55;
  return Math.floor(((16 * version + 128) * version + 64 - aligned - (version < 7 ? 0 : 36)) / 8);
}

const capacity = (version: number) => total(version) - checks[version]! * blocks[version]!;

const lengthBits = (version: number) => (version < 10 ? 8 : 16);

const room = (version: number) => Math.floor((capacity(version) * 8 - 4 - lengthBits(version)) / 8);

/** payload is the mode (bytes), their number, they themselves, and what fills up the rest. */
function payload(bytes: Uint8Array, version: number): number[] {
  const bits: number[] = [];
  const put = (value: number, count: number) => {
    for (let at = count - 1; at >= 0; at--) bits.push((value >> at) & 1);
  };
  put(4, 4);
  put(bytes.length, lengthBits(version));
  for (const byte of bytes) put(byte, 8);
  put(0, 4);
  const filled = Array.from({ length: bits.length >> 3 }, (_, at) => bits.slice(8 * at, 8 * at + 8).reduce((sum, bit) => 2 * sum + bit, 0));
  for (let pad = 0xec; filled.length < capacity(version); pad ^= 0xec ^ 0x11) filled.push(pad);
  return filled;
}

/** times multiplies in the field of 256 elements that the error correction counts in (x⁸ + x⁴ + x³ + x² + 1). */
function times(a: number, b: number): number {
  let product = 0;
  for (let at = 7; at >= 0; at--) product = (product << 1) ^ (product >> 7 ? 0x11d : 0) ^ ((b >> at) & 1 ? a : 0);
  return product;
}

/** correction is the rest of a block divided by the polynomial with the roots 2⁰, 2¹, … */
function correction(block: number[], count: number): number[] {
  let divisor = [1];
  for (let step = 0, root = 1; step < count; step++, root = times(root, 2)) {
    divisor = [...divisor, 0].map((value, at) => value ^ (at > 0 ? times(divisor[at - 1]!, root) : 0));
  }
  let rest = new Array<number>(count).fill(0);
  for (const byte of block) {
    const factor = byte ^ rest[0]!;
    rest = [...rest.slice(1), 0].map((value, at) => value ^ times(divisor[at + 1]!, factor));
  }
  return rest;
}

/** interleave cuts the bytes into blocks, the short ones first, and deals them out by turns, then their corrections. */
function interleave(bytes: number[], version: number): number[] {
  const count = blocks[version]!;
  const short = Math.floor(bytes.length / count);
  const long = bytes.length % count;
  let from = 0;
  const cut = Array.from({ length: count }, (_, at) => bytes.slice(from, (from += short + (at < count - long ? 0 : 1))));
  const fixes = cut.map((block) => correction(block, checks[version]!));
  const deal = (hands: number[][], turns: number) => Array.from({ length: turns }, (_, turn) => hands.flatMap((hand) => hand.slice(turn, turn + 1))).flat();
  return [...deal(cut, short + 1), ...deal(fixes, checks[version]!)];
}

const masked: ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

function draw(version: number, bytes: number[], mask: number): Rows {
  const rows = frame(version, mask);
  const size = rows.length;
  let at = 0;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5; // the column of the timing pattern
    const upward = ((right + 1) & 2) === 0;
    for (let step = 0; step < size; step++) {
      const y = upward ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (rows[y]![x] !== undefined) continue;
        const bit = ((bytes[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
        rows[y]![x] = (bit === 1) !== masked[mask]!(x, y);
        at++;
      }
    }
  }
  return rows as Rows;
}

/** frame is everything but the data: what a camera finds the code by, and how it is to be read. */
function frame(version: number, mask: number): (boolean | undefined)[][] {
  const size = 4 * version + 17;
  const rows = Array.from({ length: size }, () => new Array<boolean | undefined>(size).fill(undefined));
  const set = (x: number, y: number, dark: boolean) => {
    if (rows[y] && x >= 0 && x < size) rows[y][x] = dark;
  };
  for (let at = 0; at < size; at++) {
    set(6, at, at % 2 === 0);
    set(at, 6, at % 2 === 0);
  }
  const rings = (x: number, y: number, reach: number, light: readonly number[]) => {
    for (let down = -reach; down <= reach; down++) {
      for (let over = -reach; over <= reach; over++) set(x + over, y + down, !light.includes(Math.max(Math.abs(over), Math.abs(down))));
    }
  };
  const marks = alignment(version);
  const far = marks.length - 1;
  marks.forEach((x, i) => marks.forEach((y, j) => (i === 0 && (j === 0 || j === far)) || (i === far && j === 0) || rings(x, y, 2, [1])));
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) rings(x, y, 4, [2, 4]);
  describe(version, mask, size, set);
  return rows;
}

/** alignment is where the centres of the alignment patterns are, in each direction. */
function alignment(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = 2 * Math.ceil((4 * version + 4) / (2 * count - 2));
  return [6, ...Array.from({ length: count - 1 }, (_, at) => 4 * version + 10 - (count - 2 - at) * step)];
}

/** describe writes level and mask, and from version 7 on the version, each with bits to correct it by. */
function describe(version: number, mask: number, size: number, set: (x: number, y: number, dark: boolean) => void): void {
  const format = ((mask << 10) | rest(mask, 10, 0x537)) ^ 0x5412; // level M is 00
  for (let at = 0; at < 15; at++) {
    const dark = ((format >> at) & 1) === 1;
    set(8, at < 6 ? at : at < 8 ? at + 1 : size - 15 + at, dark);
    set(at < 8 ? size - 1 - at : at === 8 ? 7 : 14 - at, 8, dark);
  }
  set(8, size - 8, true);
  if (version < 7) return;
  const said = (version << 12) | rest(version, 12, 0x1f25);
  for (let at = 0; at < 18; at++) {
    const dark = ((said >> at) & 1) === 1;
    const [near, along] = [Math.floor(at / 3), size - 11 + (at % 3)];
    set(near, along, dark);
    set(along, near, dark);
  }
}

/** rest is what a number of bits leaves when it is divided by a polynomial of a degree. */
function rest(value: number, degree: number, polynomial: number): number {
  let left = value;
  for (let step = 0; step < degree; step++) left = (left << 1) ^ ((left >> (degree - 1)) * polynomial);
  return left;
}

/** ugliness is what makes a code hard to read: long runs, blocks, what looks like a corner, and too much of one shade. */
function ugliness(rows: Rows): number {
  const across = rows.map((row) => row.map(Number).join(""));
  const down = rows.map((_, x) => rows.map((row) => Number(row[x])).join(""));
  let sum = 0;
  for (const line of [...across, ...down]) {
    for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
    sum += 40 * [...line.matchAll(/(?=00001011101|10111010000)/g)].length;
  }
  for (let y = 1; y < rows.length; y++) {
    for (let x = 1; x < rows.length; x++) {
      const shade = rows[y]![x];
      if (rows[y]![x - 1] === shade && rows[y - 1]![x] === shade && rows[y - 1]![x - 1] === shade) sum += 3;
    }
  }
  const dark = across.join("").replaceAll("0", "").length / rows.length ** 2;
  return sum + 10 * Math.floor(Math.abs(dark - 0.5) * 20);
}
