import { useState } from "preact/hooks";
import type { People } from "../../model.ts";
import { plain } from "../text.ts";
import { announce } from "./announce.ts";
import { Banner } from "./banner.tsx";

/** useUnsure holds something back, once, that is about to be given to somebody who is known through the hub alone. */
export function useUnsure(people: People): { who: string | undefined; holds(handle: string): Promise<boolean> } {
  const [who, warn] = useState<string>();
  const holds = async (handle: string) => {
    if (who === handle) return false;
    const unsure = (await people.find(handle)).trust === "unverified";
    warn(unsure ? handle : undefined);
    if (unsure) announce(`You know ${plain(handle)} only through the hub.`);
    return unsure;
  };
  return { who, holds };
}

/** Unsure says so, and that whoever asks again means it. */
export function Unsure({ who }: { who: string | undefined }) {
  if (who === undefined) return null;
  return <Banner kind="warn">You know {plain(who)} only through the hub, which could have made them up. Compare words under People first; ask again to go on without.</Banner>;
}
