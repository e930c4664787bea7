// Names of devices.

import { Problem } from "../model.ts";
import type { PersonState } from "../protocol/chain.ts";
import { name as normal } from "../protocol/names.ts";

const longest = 32; // characters

/** deviceNameOf is a device's name in its normal form. */
export function deviceNameOf(text: string): string {
  try {
    return normal(text.trim());
  } catch {
    throw new Problem("malformed", `“${text.trim()}” cannot be a device's name: names have 1 to 32 letters, digits, - and _, and begin with a letter or digit.`);
  }
}

/** freeName is a name that no living device of the person has: with a number behind it where it must. */
export function freeName(wanted: string, person: Pick<PersonState, "devices">): string {
  const taken = new Set(Object.values(person.devices).filter((fact) => fact.revoked === 0).map((fact) => fact.name));
  for (let number = 2, name = wanted; ; number++) {
    if (!taken.has(name)) return name;
    const tail = `-${number}`;
    name = Array.from(wanted).slice(0, longest - tail.length).join("").replace(/-+$/, "") + tail;
  }
}
