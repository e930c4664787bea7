// JSON in which no member is there twice (docs/protocol/streams.md): JSON.parse takes the last of two.

import { need, Refused } from "./bytes.ts";

/** readJSON reads a JSON text of bounded depth without doubled members; check is the name of the refusal. */
export function readJSON(source: string, check: string, deepest = 32): unknown {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    throw new Refused(check, "not JSON");
  }
  // It is JSON, so that these are all its tokens; of an object, every other text is a name.
  const open: (Set<string> | null)[] = [];
  let name = false;
  for (const [token] of source.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/gs)) {
    const object = open.at(-1);
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      need(open.length <= deepest, check, "too deep");
      name = token === "{";
    } else if (token === "}" || token === "]") {
      open.pop();
      name = false;
    } else if (token === ",") {
      name = object !== null;
    } else if (token === ":") {
      name = false;
    } else if (name && object) {
      const said = JSON.parse(token) as string;
      need(!object.has(said), check, `${said} is there twice`);
      object.add(said);
    }
  }
  return value;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
