// Bytes and their text forms, each strict: one value has one text.

/** Refused is the error of what must not be taken; check names the rule that it breaks. */
export class Refused extends Error {
  constructor(check, message = check) {
    super(message);
    this.check = check;
  }
}

/** need refuses unless the condition holds. */
export function need(condition, check, message) {
  if (!condition) throw new Refused(check, message);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text) => encoder.encode(text);

/** text reads UTF-8 and refuses what is none. */
export function text(bytes, check = "form") {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Refused(check, "not UTF-8");
  }
}

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** compare orders byte strings. */
export function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text, length = text.length / 2) {
  need(text.length === 2 * length && /^[0-9a-f]*$/.test(text), "hex");
  return Uint8Array.from({ length }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export function u16(n) {
  return Uint8Array.of(n >> 8, n & 0xff);
}

export function u32(n) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, n);
  return out;
}

/** u64 takes a BigInt or a safe integer. */
export function u64(n) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(n));
  return out;
}

/** Reader takes fields off the front of bytes and refuses to read past their end. */
export class Reader {
  constructor(bytes, check) {
    this.bytes = bytes;
    this.check = check;
  }

  get left() {
    return this.bytes.length;
  }

  take(n) {
    need(n <= this.bytes.length, this.check, "cut short");
    const field = this.bytes.subarray(0, n);
    this.bytes = this.bytes.subarray(n);
    return field;
  }

  #view(n) {
    const field = this.take(n);
    return new DataView(field.buffer, field.byteOffset, n);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    return this.#view(2).getUint16(0);
  }

  u32() {
    return this.#view(4).getUint32(0);
  }

  u64() {
    return this.#view(8).getBigUint64(0);
  }

  str16() {
    return text(this.take(this.u16()), this.check);
  }
}

/** radix makes a text form whose characters carry so many bits each. */
function radix(alphabet, bits, padding) {
  const values = new Map(Array.from(alphabet, (character, value) => [character, value]));
  const group = bits === 5 ? 8 : 4;
  const write = (bytes) => {
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
    while (padding && out.length % group !== 0) out += "=";
    return out;
  };
  const read = (text, check) => {
    const characters = padding ? text.replace(/={1,2}$/, "") : text;
    const out = new Uint8Array(Math.floor((characters.length * bits) / 8));
    let buffer = 0;
    let held = 0;
    let at = 0;
    for (const character of characters) {
      need(values.has(character), check, "a character of another alphabet");
      buffer = (buffer << bits) | values.get(character);
      held += bits;
      if (held >= 8) {
        held -= 8;
        out[at++] = buffer >> held;
        buffer &= (1 << held) - 1;
      }
    }
    need(write(out) === text, check, "another text for the same bytes");
    return out;
  };
  return { write, read };
}

const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const base64 = radix(upper + upper.toLowerCase() + "0123456789+/", 6, true);
export const base64url = radix(upper + upper.toLowerCase() + "0123456789-_", 6, false);
export const base32 = radix(upper.toLowerCase() + "234567", 5, false);
export const base32Upper = radix(upper + "234567", 5, false);
