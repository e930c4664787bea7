import { useEffect } from "preact/hooks";
import type { Keyhall, Notice } from "../../model.ts";
import { said } from "../parts/announce.ts";
import { IconButton } from "../parts/button.tsx";
import { Icon } from "../parts/icon.tsx";

const icons = { warning: "warning", problem: "warning", done: "check" } as const;
const kinds = { warning: "warn", problem: "problem", done: "note" } as const;

/** Live is what is said whatever page one is on. It lies over the page, so that nothing moves. */
export function Live({ keyhall }: { keyhall: Keyhall }) {
  return (
    <aside class="live" aria-label="Notices">
      <div class="live-list" role="log" aria-live="polite" aria-relevant="additions">
        {keyhall.notices.value.map((notice) => (
          <Told key={notice.id} notice={notice} dismiss={() => keyhall.dismiss(notice)} />
        ))}
      </div>
      <div class="live-said" role="status" data-said={said.value !== "" || undefined}>
        {said}
      </div>
    </aside>
  );
}

const seen = 8_000; // milliseconds that what went well stays

function Told({ notice, dismiss }: { notice: Notice; dismiss(): void }) {
  useEffect(() => {
    if (notice.kind !== "done") return;
    const timer = setTimeout(dismiss, seen);
    return () => clearTimeout(timer);
  }, [notice.id]);
  return (
    <div class="banner live-notice" data-kind={kinds[notice.kind]}>
      <Icon name={icons[notice.kind]} />
      <div class="live-text">
        <p>{notice.text}</p>
        <IconButton label="Dismiss" icon="close" size="small" onClick={dismiss} />
      </div>
    </div>
  );
}
