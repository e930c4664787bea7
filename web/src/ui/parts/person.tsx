import { Tag } from "./banner.tsx";
import type { Known } from "../../model.ts";

/** Avatar is the first letter of a handle in the colours of a key, the same on every page and every screen. The handle stands beside it. */
export function Avatar({ account, handle, size }: { account: string; handle: string; size?: "small" | "large" }) {
  return (
    <span class="avatar" data-hue={hue(account)} data-size={size} aria-hidden="true">
      {[...handle][0]?.toUpperCase() ?? "?"}
    </span>
  );
}

function hue(account: string): number {
  let sum = 0;
  for (const letter of account) sum = (sum * 31 + letter.charCodeAt(0)) % 65_521;
  return sum % 12;
}

/** Trust says how far somebody's key can be relied on. */
export function Trust({ known }: { known: Known }) {
  if (known.changed !== undefined) {
    return (
      <Tag kind="danger" icon="warning">
        changed
      </Tag>
    );
  }
  switch (known.trust) {
    case "self":
      return <Tag>you</Tag>;
    case "verified":
      return (
        <Tag kind="good" icon="shield">
          verified
        </Tag>
      );
    case "introduced":
      return <Tag>introduced</Tag>;
    case "unverified":
      return <Tag kind="warn">unverified</Tag>;
  }
}
