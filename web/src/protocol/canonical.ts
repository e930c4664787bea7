// Canonical JSON (docs/protocol/README.md#canonical-json): a body is read, written again, and
// refused if it does not come out as it went in.

import { base64, type Bytes, compare, equal, need, Refused, text, unhex, utf8 } from "./bytes.ts";
import { isObject } from "./json.ts";

const escapes: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** quote is how a body says a text. */
export function quote(value: string): string {
  const escape = (c: string) => escapes[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `"${value.replace(/["\\\u0000-\u001f]/g, escape)}"`;
}

/** Type says how a value is written, after checking that it is one. */
export interface Type<T> {
  (value: unknown): string;
  /** of is there for the compiler alone. */
  readonly of?: (value: T) => T;
}

/** Optional is the type of a member that may be left out. */
export interface Optional<T> extends Type<T> {
  readonly optional: true;
}

/** Of is what a type is of. */
export type Of<A> = A extends Type<infer T> ? T : never;

type Members = Record<string, Type<any>>;
type OptionalNames<M> = { [K in keyof M]: M[K] extends Optional<any> ? K : never }[keyof M];
type Shown<T> = { [K in keyof T]: T[K] };
type ObjectOf<M> = Shown<{ [K in Exclude<keyof M, OptionalNames<M>>]: Of<M[K]> } & { [K in OptionalNames<M>]?: Of<M[K]> }>;

const fail = (message: string): never => {
  throw new Refused("canonical", message);
};

export const string: Type<string> = (value) => (typeof value === "string" && value.isWellFormed() ? quote(value) : fail("not a text"));
export const bool: Type<boolean> = (value) => (typeof value === "boolean" ? String(value) : fail("not true or false"));
export const integer: Type<number> = (value) => (Number.isSafeInteger(value) ? String(value === 0 ? 0 : value) : fail("not an integer"));

/** time is a moment in UTC of at most milliseconds. */
export const time: Type<string> = (value) => {
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?Z$/;
  if (typeof value !== "string" || !form.test(value)) return fail("not a time");
  const at = new Date(value);
  if (Number.isNaN(at.getTime()) || at.toISOString().slice(0, 19) !== value.slice(0, 19)) return fail("not a time");
  return `"${value}"`;
};

/** timeText is how a body says a moment. */
export const timeText = (at: Date): string => at.toISOString().replace(/\.?0*Z$/, "Z");

/** bytes are bytes in base64. */
export const bytes: Type<string> = (value) => {
  if (typeof value !== "string") return fail("not base64");
  base64.read(value, "canonical");
  return `"${value}"`;
};

/** digest are 32 bytes in hex. */
export const digest: Type<string> = (value) => {
  if (typeof value !== "string") return fail("not a hash");
  try {
    unhex(value, 32);
  } catch {
    return fail("not a hash");
  }
  return `"${value}"`;
};

const isEmpty = (value: unknown) => /^0*$/.test(String(value));

/** hash is a digest that is not zero: the hash of an event, or a commitment. */
export const hash: Type<string> = (value) => (isEmpty(value) ? fail("a hash of zeros") : digest(value));

export const list =
  <T>(type: Type<T>): Type<T[]> =>
  (value) =>
    Array.isArray(value) ? `[${value.map((each) => type(each)).join(",")}]` : fail("not a list");

/** optional members are left out, and never empty or zero. */
export const optional = <T>(type: Type<T>): Optional<T> =>
  Object.assign((value: unknown) => (isEmpty(value) ? fail("a member to be left out") : type(value)), { optional: true as const });

/** object has members in this order and no others. */
export const object =
  <M extends Members>(members: M): Type<ObjectOf<M>> =>
  (value) => {
    if (!isObject(value)) return fail("not an object");
    const parts: string[] = [];
    for (const [name, type] of Object.entries(members)) {
      if (Object.hasOwn(value, name) && value[name] !== undefined) parts.push(`${quote(name)}:${type(value[name])}`);
      else if (!("optional" in type)) fail(`no ${name}`);
    }
    return `{${parts.join(",")}}`;
  };

/** map has members of any name in bytewise order, all of one type. */
export const map =
  <T>(type: Type<T>): Type<Record<string, T>> =>
  (value) => {
    if (!isObject(value)) return fail("not an object");
    const names = Object.keys(value).sort((a, b) => compare(utf8(a), utf8(b)));
    return `{${names.map((name) => `${string(name)}:${type(value[name])}`).join(",")}}`;
  };

/** encode is the one form of a body. */
export const encode = <T>(type: Type<T>, value: T): Bytes => utf8(type(value));

/** parse reads a body of a type; check is the name of the refusal. */
export function parse<T>(type: Type<T>, data: Uint8Array, check = "canonical"): T {
  try {
    const value = JSON.parse(text(data, "canonical")) as T;
    need(equal(encode(type, value), data), "canonical", "not in its one form");
    return value;
  } catch (error) {
    if (error instanceof Refused || error instanceof SyntaxError) throw new Refused(check, error.message);
    throw error;
  }
}
