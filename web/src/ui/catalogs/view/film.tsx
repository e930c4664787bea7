import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Entry, Share } from "../../../model.ts";
import { Banner, Button, useKeys } from "../../parts/index.ts";
import { plain } from "../../text.ts";
import { format } from "../kind.ts";

interface Props {
  entry: Entry;
  share: Share;
  url: string;
  name: string;
  sound: boolean;
  /** trouble is why its bytes did not come, where that is known. */
  trouble: string | undefined;
  other(why: string): ComponentChildren;
}

/** Fault is why a film does not play: its format, or that its bytes do not come. */
type Fault = { format: string } | { stopped: string; at: number };

/** Film plays what moves or sounds, with the browser's own player. */
export function Film({ entry, share, url, name, sound, trouble, other }: Props) {
  const player = useRef<HTMLMediaElement>(null);
  const [fault, setFault] = useState<Fault | undefined>();
  const [from, setFrom] = useState({ turn: 0, at: 0 });
  useMediaKeys(player);
  if (fault !== undefined && "format" in fault) return <div class="stage">{other(fault.format)}</div>;
  const failed = async (event: { currentTarget: HTMLMediaElement }) => {
    const media = event.currentTarget;
    setFault(await diagnose(media, url, entry, share));
  };
  const shared = {
    key: from.turn,
    ref: (element: HTMLMediaElement | null) => void (player.current = element),
    src: url,
    controls: true,
    autoPlay: true,
    preload: "metadata" as const,
    "aria-label": name,
    onError: (event: { currentTarget: HTMLMediaElement }) => void failed(event),
    onLoadedMetadata: (event: { currentTarget: HTMLMediaElement }) => from.at > 0 && (event.currentTarget.currentTime = from.at),
  };
  return (
    <div class="stage" data-sound={sound || undefined}>
      {sound ? <audio {...shared} /> : <video {...shared} playsInline />}
      {fault !== undefined && (
        <div class="stage-fault">
          <Banner kind="problem">
            {trouble ?? fault.stopped}
            <Button size="small" icon="again" onClick={() => (setFault(undefined), setFrom({ turn: from.turn + 1, at: fault.at }))}>
              Go on from here
            </Button>
          </Banner>
        </div>
      )}
    </div>
  );
}

// diagnose tells a format that the browser cannot play from bytes that did not come: the player calls both the same when
// it has not begun, so a first byte is asked for.
async function diagnose(media: HTMLMediaElement, url: string, entry: Entry, share: Share): Promise<Fault> {
  const at = media.currentTime;
  const stopped = { stopped: `It stopped: the next part did not come from ${plain(share.ownerHandle)}. Their computer may be off, or a network down.`, at };
  if (media.error?.code === MediaError.MEDIA_ERR_NETWORK) return stopped;
  const came = await fetch(url, { headers: { Range: "bytes=0-0" } }).then((answer) => answer.ok, () => false);
  if (!came) return stopped;
  if (media.error?.code === MediaError.MEDIA_ERR_DECODE && at > 0) return { format: `The player stopped at a place that it cannot read. The file may be damaged, or use what this browser does not know of ${format(entry)}.` };
  const known = media.canPlayType(entry.type) !== "";
  return { format: known ? `This browser plays some files of this kind (${format(entry)}), but not what is in this one: its pictures or its sound are in a format that it does not know.` : `This browser has no player for this format: ${format(entry)}.` };
}

const seek = 5;

// useMediaKeys has the keys of a player work wherever the focus is on the page, but where a key means something else. Those that
// repeat while they are held are not among the page's shortcuts, which only list them.
function useMediaKeys(player: { readonly current: HTMLMediaElement | null }): void {
  const media = (does: (media: HTMLMediaElement) => void) => () => player.current && does(player.current);
  useKeys([
    { keys: "Space", does: "Play or pause", run: () => undefined },
    { keys: "← →", does: `Back or on by ${seek} seconds`, run: () => undefined },
    { keys: "↑ ↓", does: "Louder or softer", run: () => undefined },
    { keys: "m", does: "Sound off or on", run: media((one) => (one.muted = !one.muted)) },
    { keys: "f", does: "Full screen, or back", run: media((one) => void (document.fullscreenElement ? document.exitFullscreen() : one.requestFullscreen()).catch(() => undefined)) },
  ]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const media = player.current;
      if (media === null || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || taken(event, media)) return;
      if (!act(event.key, media)) return;
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

function taken(event: KeyboardEvent, media: HTMLMediaElement): boolean {
  const target = event.target instanceof Element ? event.target : null;
  if (document.querySelector("dialog[open]") || target?.closest("input, textarea, select, [role=menu]")) return true;
  if (target === media) return true; // the player takes them itself
  return event.key === " " && target?.closest("button, a") != null;
}

function act(key: string, media: HTMLMediaElement): boolean {
  switch (key) {
    case " ":
      void (media.paused ? media.play().catch(() => undefined) : media.pause());
      return true;
    case "ArrowLeft":
    case "ArrowRight":
      media.currentTime = Math.max(0, media.currentTime + (key === "ArrowLeft" ? -seek : seek));
      return true;
    case "ArrowUp":
    case "ArrowDown":
      media.volume = Math.min(1, Math.max(0, media.volume + (key === "ArrowUp" ? 0.1 : -0.1)));
      return true;
  }
  return false;
}
