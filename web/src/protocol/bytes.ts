// Bytes and their text forms, each strict: one value has one text.

/** Refused is the error of what must not be taken; check names the rule that it breaks. */
export class Refused extends Error {
  constructor(
    readonly check: string,
    message = check,
  ) {
    super(message);
  }
}

/** need refuses unless the condition holds. */
export function need(condition: unknown, check: string, message?: string): asserts condition {
  if (!condition) throw new Refused(check, message);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes are bytes in memory of their own, as WebCrypto takes them; all of ours are. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** own says of bytes that came with a wider type that they are in no shared memory. */
export const own = (bytes: Uint8Array): Bytes => bytes as Bytes;

export const utf8 = (text: string): Bytes => encoder.encode(text);

/** text reads UTF-8 and refuses what is none. */
export function text(bytes: Uint8Array, check = "form"): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Refused(check, "not UTF-8");
  }
}

/** random gives bytes that nobody can guess. */
export const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length));

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** compare orders byte strings. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

export const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text: string, length = text.length / 2): Bytes {
  need(text.length === 2 * length && /^[0-9a-f]*$/.test(text), "hex");
  return Uint8Array.from({ length }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export const u16 = (n: number): Bytes => Uint8Array.of(n >> 8, n & 0xff);

export function u32(n: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, n);
  return out;
}

/** u64 takes a BigInt or a safe integer. */
export function u64(n: bigint | number): Bytes {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(n));
  return out;
}

/** Reader takes fields off the front of bytes and refuses to read past their end. */
export class Reader {
  #bytes: Uint8Array;

  constructor(
    bytes: Uint8Array,
    readonly check: string,
  ) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length;
  }

  take(n: number): Uint8Array {
    need(n <= this.#bytes.length, this.check, "cut short");
    const field = this.#bytes.subarray(0, n);
    this.#bytes = this.#bytes.subarray(n);
    return field;
  }

  #view(n: number): DataView {
    const field = this.take(n);
    return new DataView(field.buffer, field.byteOffset, n);
  }

  u8(): number {
    return this.#view(1).getUint8(0);
  }

  u16(): number {
    return this.#view(2).getUint16(0);
  }

  u32(): number {
    return this.#view(4).getUint32(0);
  }

  u64(): bigint {
    return this.#view(8).getBigUint64(0);
  }

  str16(): string {
    return text(this.take(this.u16()), this.check);
  }
}

/** Radix is a text form whose characters carry so many bits each. */
export interface Radix {
  write(bytes: Uint8Array): string;
  /** read refuses, by the name of check, whatever write would not have written. */
  read(text: string, check: string): Bytes;
}

function writeRadix(bytes: Uint8Array, alphabet: string, bits: number): string {
  let out = "";
  let buffer = 0;
  let held = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    held += 8;
    while (held >= bits) {
      held -= bits;
      out += alphabet[(buffer >> held) & ((1 << bits) - 1)];
    }
    buffer &= (1 << held) - 1;
  }
  if (held > 0) out += alphabet[(buffer << (bits - held)) & ((1 << bits) - 1)];
  return out;
}

function readRadix(characters: string, values: Map<string, number>, bits: number, check: string): Bytes {
  const out = new Uint8Array(Math.floor((characters.length * bits) / 8));
  let buffer = 0;
  let held = 0;
  let at = 0;
  for (const character of characters) {
    const value = values.get(character);
    need(value !== undefined, check, "a character of another alphabet");
    buffer = (buffer << bits) | value;
    held += bits;
    if (held >= 8) {
      held -= 8;
      out[at++] = buffer >> held;
      buffer &= (1 << held) - 1;
    }
  }
  return out;
}

function radix(alphabet: string, bits: number, padding: boolean): Radix {
  const values = new Map(Array.from(alphabet, (character, value) => [character, value]));
  const write = (bytes: Uint8Array): string => {
    const out = writeRadix(bytes, alphabet, bits);
    return padding ? out.padEnd(Math.ceil(out.length / 4) * 4, "=") : out;
  };
  const read = (text: string, check: string): Bytes => {
    const out = readRadix(padding ? text.replace(/={1,2}$/, "") : text, values, bits, check);
    need(write(out) === text, check, "another text for the same bytes");
    return out;
  };
  return { write, read };
}

const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const base64 = radix(`${upper}${upper.toLowerCase()}0123456789+/`, 6, true);
export const base64url = radix(`${upper}${upper.toLowerCase()}0123456789-_`, 6, false);
export const base32 = radix(`${upper.toLowerCase()}234567`, 5, false);
export const base32Upper = radix(`${upper}234567`, 5, false);
