// Canonical JSON (docs/protocol/README.md#canonical-json): a body is read, written again, and
// refused if it does not come out as it went in.

import { base64, compare, equal, need, Refused, text, unhex, utf8 } from "./bytes.mjs";

const escapes = { '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** quote is how a body says a text. */
export function quote(value) {
  const escape = (c) => escapes[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `"${value.replace(/["\\\u0000-\u001f]/g, escape)}"`;
}

// A type says how a value is written, after checking it.

const fail = (message) => {
  throw new Refused("canonical", message);
};

export const string = (value) => (typeof value === "string" && value.isWellFormed() ? quote(value) : fail("not a text"));
export const bool = (value) => (typeof value === "boolean" ? String(value) : fail("not true or false"));
export const integer = (value) => (Number.isSafeInteger(value) ? String(value === 0 ? 0 : value) : fail("not an integer"));

/** time is a moment in UTC of at most milliseconds. */
export function time(value) {
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?Z$/;
  if (typeof value !== "string" || !form.test(value)) return fail("not a time");
  const at = new Date(value);
  if (Number.isNaN(at.getTime()) || at.toISOString().slice(0, 19) !== value.slice(0, 19)) return fail("not a time");
  return `"${value}"`;
}

/** bytes are bytes in base64. */
export function bytes(value) {
  if (typeof value !== "string") return fail("not base64");
  base64.read(value, "canonical");
  return `"${value}"`;
}

/** digest are 32 bytes in hex. */
export function digest(value) {
  if (typeof value !== "string") return fail("not a hash");
  try {
    unhex(value, 32);
  } catch {
    return fail("not a hash");
  }
  return `"${value}"`;
}

/** hash is a digest that is not zero: the hash of an event, or a commitment. */
export const hash = (value) => (/^0*$/.test(value) ? fail("a hash of zeros") : digest(value));

export const list = (type) => (value) => (Array.isArray(value) ? `[${value.map(type).join(",")}]` : fail("not a list"));

/** optional members are left out, and never empty or zero. */
export const optional = (type) => Object.assign((value) => (/^0*$/.test(value) ? fail("a member to be left out") : type(value)), { optional: true });

/** object has members in this order and no others. */
export const object = (members) => (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("not an object");
  const parts = [];
  for (const [name, type] of Object.entries(members)) {
    if (!Object.hasOwn(value, name)) {
      if (type.optional) continue;
      return fail(`no ${name}`);
    }
    parts.push(`${quote(name)}:${type(value[name])}`);
  }
  return `{${parts.join(",")}}`;
};

/** map has members of any name in bytewise order, all of one type. */
export const map = (type) => (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("not an object");
  const names = Object.keys(value).sort((a, b) => compare(utf8(a), utf8(b)));
  return `{${names.map((name) => `${string(name)}:${type(value[name])}`).join(",")}}`;
};

/** encode is the one form of a body. */
export const encode = (type, value) => utf8(type(value));

/** parse reads a body of a type; check is the name of the refusal. */
export function parse(type, data, check = "canonical") {
  try {
    const value = JSON.parse(text(data, "canonical"));
    need(equal(encode(type, value), data), "canonical", "not in its one form");
    return value;
  } catch (error) {
    if (error instanceof Refused || error instanceof SyntaxError) throw new Refused(check, error.message);
    throw error;
  }
}

