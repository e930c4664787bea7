// JSON in which no member is there twice (docs/protocol/streams.md): JSON.parse takes the last of two.

import { need, Refused } from "./bytes.mjs";

/** readJSON reads a JSON text of bounded depth without doubled members; check is the name of the refusal. */
export function readJSON(source, check, deepest = 32) {
  let value;
  try {
    value = JSON.parse(source);
  } catch {
    throw new Refused(check, "not JSON");
  }
  // It is JSON, so that these are all its tokens; of an object, every other text is a name.
  const open = [];
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
    } else if (name) {
      const said = JSON.parse(token);
      need(!object.has(said), check, `${said} is there twice`);
      object.add(said);
    }
  }
  return value;
}

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
