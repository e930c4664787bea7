// What others share with this person: what the hub lists is a hint, what counts is each owner's own signed grant.

import { Problem, type Share } from "../model.ts";
import type { Account, Keys } from "../ports.ts";
import { base64, concat, Refused, utf8 } from "../protocol/bytes.ts";
import { object, parse, string } from "../protocol/canonical.ts";
import { type PersonState, standing } from "../protocol/chain.ts";
import { parseKey } from "../protocol/keys.ts";
import { isName } from "../protocol/names.ts";
import type { People } from "../media/source.ts";

/** about is what an owner says of a catalog to whom it is shared with. */
export const about = object({ name: string });

/** context is what the box with it is bound to. */
export const context = (grant: string, owner: string): Uint8Array => concat(utf8(grant), parseKey("A", owner));

/** Listed is what the hub says of a share. */
interface Listed {
  grant: string;
  owner: string;
  catalog: string;
}

/** listed are all shares that the hub shows, page by page. */
async function listed(account: Account): Promise<Listed[]> {
  const shares: Listed[] = [];
  for (let after = ""; ; ) {
    const page = await account.call<{ shares: Listed[]; more?: boolean }>("shares.inbox", after === "" ? {} : { after });
    shares.push(...page.shares);
    if (!page.more) return shares;
    const last = page.shares.at(-1)?.grant ?? "";
    if (last <= after) throw new Problem("refused", "The hub lists shares without end; do not trust it.");
    after = last;
  }
}

/** inbox are the shares that stand, by owner and name. What does not hold, or cannot be read, hides nothing of others. */
export async function inbox(account: Account, people: People): Promise<Share[]> {
  const own = await people.me();
  const all = new Map((await listed(account)).map((share) => [share.grant, share]));
  const shares = await Promise.all(
    Array.from(all.values(), async (share) => {
      try {
        return await invitation(account.keys, people, own, share);
      } catch (error) {
        if (error instanceof Refused || (error instanceof Problem && error.code !== "unavailable")) return undefined;
        throw error;
      }
    }),
  );
  const order = new Intl.Collator().compare;
  return shares.filter((share) => share !== undefined).sort((a, b) => order(a.ownerHandle, b.ownerHandle) || order(a.name, b.name));
}

/** invitation verifies what the hub lists against the owner's chain; undefined for what does not stand there. */
async function invitation(keys: Keys, people: People, own: PersonState, share: Listed): Promise<Share | undefined> {
  let owner = await people.person(share.owner);
  if (!Object.hasOwn(owner.granted, share.grant)) owner = await people.again(share.owner); // a body may have been withheld
  if (!standing(owner, share.grant, share.catalog, keys.account, Date.now())) return undefined;
  const grant = owner.granted[share.grant]!;
  const name = await nameIn(keys, grant.sealed, share);
  const taken = Object.hasOwn(own.taken, share.grant);
  return {
    grant: share.grant, owner: share.owner, ownerHandle: owner.handle, catalog: share.catalog, name,
    state: taken ? "accepted" : "offered", // by what this person has signed, whatever the hub says
    ...(grant.expires === "" ? {} : { expires: new Date(grant.expires) }),
  };
}

async function nameIn(keys: Keys, sealed: string, share: Listed): Promise<string> {
  const box = base64.read(sealed, "content");
  for (const [i, xkey] of keys.xkeys.entries()) {
    try {
      const { name } = parse(about, await xkey.open("share", context(share.grant, share.owner), box), "content");
      if (!isName(name)) throw new Refused("content", "the name of what is shared");
      return name;
    } catch (error) {
      if (i === keys.xkeys.length - 1) throw error;
    }
  }
  throw new Refused("box", "no key opens it");
}
