// A small ledger, event by event.

import { unhex } from "../../src/protocol/bytes.ts";
import { World } from "../../src/protocol/chain.ts";
import * as events from "../../src/protocol/event.ts";
import { parseHub } from "../../src/protocol/tokens.ts";
import type { Meet, Values } from "./judge.ts";

const mapped = (object: Values, of: (value: Values, key: string) => unknown) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, of(value, key)]));

/** stateOf is a world as the vector writes it. */
function stateOf(world: Values): Values {
  const device = ({ name, since, revoked }: Values) => ({ name, since, revoked });
  return {
    hub: world.hub,
    people: mapped(world.people, ({ devices, ...person }, account) => ({ ...person, devices: mapped(devices, device), imports: world.imports(account) })),
    rooms: world.rooms,
  };
}

export const chainFiles: Record<string, Meet> = {
  async "chain.json"(j, f) {
    const world = new World(await parseHub(f.hub));
    for (let i = 0; i <= f.ledger.length; i++) {
      for (const r of f.refused.filter(({ after }: Values) => after === i)) {
        const before = JSON.stringify(stateOf(world));
        await j.refused(r.name, () => world.apply(unhex(r.event)), r.why);
        j.same(`after ${r.name}`, JSON.stringify(stateOf(world)), before);
      }
      if (i < f.ledger.length) await j.holds(f.ledger[i].name, () => world.apply(unhex(f.ledger[i].event)));
    }
    j.same("state", stateOf(world), f.state);

    const outside = new World(world.identity);
    for (const { name, event } of f.ledger) {
      const ev = events.decode(unhex(event));
      const share = ev.type.startsWith("share.");
      await j.holds(`${name}, withheld`, () => (share ? outside.withheld(events.withheld(ev)) : outside.apply(unhex(event))));
    }
    for (const [account, person] of Object.entries<Values>(f.state.people)) j.same("withheld", outside.people[account]?.head, person.head);
  },
};
