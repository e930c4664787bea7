import type { Catalog, Entry, Share } from "../../../model.ts";
import { Code, Icon } from "../../parts/index.ts";
import { plain } from "../../text.ts";
import { command, kind } from "../kind.ts";
import { Download } from "../viewer.tsx";

/** Other is what is shown instead of a file: why it is not, and what to do about it. */
export function Other({ catalog, share, entry, why }: { catalog: Catalog; share: Share; entry: Entry; why: string }) {
  const plays = ["video", "audio"].includes(kind(entry));
  const typed = command(plays ? "play" : "get", share.ownerHandle, share.name, entry.path);
  return (
    <div class="other">
      <div class="empty-arch">
        <Icon name={plays ? "film" : "file"} size={28} />
      </div>
      <p role="status">{plain(why)}</p>
      <Download catalog={catalog} entry={entry} primary />
      {typed !== undefined && (
        <div class="other-command stack" data-gap="tight">
          <p class="small quiet">{plays ? "Or play it on a computer with Keyhall, in a player that knows the format:" : "Or get it on a computer with Keyhall, in a terminal:"}</p>
          <Code text={typed} label="Command" />
        </div>
      )}
    </div>
  );
}
