// How what this implementation says is held against the vectors.

import { hex, Refused } from "../../src/protocol/bytes.ts";

/** Values are a file of vectors as JSON.parse gives it; their shapes are in docs/protocol/vectors.md and the files themselves. */
export type Values = any;

/** alike compares values as JSON means them, but that what is undefined is not there. */
export function alike(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = (of: object) => Object.keys(of).filter((name) => (of as Values)[name] !== undefined);
  const [left, right] = [names(a), names(b)];
  return left.length === right.length && left.every((name) => Object.hasOwn(b, name) && alike((a as Values)[name], (b as Values)[name]));
}

const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 200);

/** Judge counts the vectors that are met, and notes those that are not. */
export class Judge {
  met = 0;
  readonly failures: string[] = [];
  /** file is what is judged just now. */
  file = "";

  fail(what: string): void {
    this.failures.push(`${this.file}: ${what}`);
  }

  /** same notes whether a value is the vector's; bytes are compared as hex. */
  same(what: string, got: unknown, want: unknown): void {
    const said = got instanceof Uint8Array ? hex(got) : got;
    if (alike(said, want)) this.met++;
    else this.fail(`${what}: ${shown(said)}, want ${shown(want)}`);
  }

  /** holds notes whether a step succeeds, and gives its value. */
  async holds<T>(what: string, step: () => T | Promise<T>): Promise<T> {
    try {
      const value = await step();
      this.met++;
      return value;
    } catch (error) {
      this.fail(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
      return undefined as T; // what is made of it fails too, and is noted
    }
  }

  /** refused notes whether a step is refused, by one of the checks where they are given. */
  async refused(what: string, step: () => unknown, ...checks: string[]): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Refused)) this.fail(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
      else if (checks.length > 0 && !checks.includes(error.check)) this.fail(`${what}: refused as ${error.check} (${error.message}), want ${checks}`);
      else this.met++;
      return;
    }
    this.fail(`${what}: taken`);
  }

  /** either is holds or refused, by what the vector says. */
  async either(good: boolean, what: string, step: () => unknown, ...checks: string[]): Promise<void> {
    if (good) await this.holds(what, step);
    else await this.refused(what, step, ...checks);
  }
}

/** Meet holds this implementation against one file. */
export type Meet = (judge: Judge, f: Values) => Promise<void>;

/** content is the content of a size that the vectors speak of. */
export const content = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i ^ (i >> 8) ^ (i >> 16)) & 0xff);
