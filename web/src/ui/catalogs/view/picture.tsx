import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Entry } from "../../../model.ts";
import { Button, IconButton, useKeys } from "../../parts/index.ts";
import { format } from "../kind.ts";

interface Props {
  entry: Entry;
  url: string;
  name: string;
  /** trouble is why its bytes did not come, where that is known. */
  trouble: string | undefined;
  onStep(by: 1 | -1): void;
  other(why: string): ComponentChildren;
}

/** Zoom is how large a picture is shown: as it fits, or so many pixels of the page for one of its own. */
type Zoom = "fit" | number;

const least = 0.125;
const largest = 8;

/** Picture shows one, as it fits or larger; the arrows go to the next in the folder. */
export function Picture({ entry, url, name, trouble, onStep, other }: Props) {
  const image = useRef<HTMLImageElement>(null);
  const [zoom, setZoom] = useState<Zoom>("fit");
  const [broken, breaks] = useState(false);
  const [arrived, arrive] = useState(false);
  const by = (factor: number) => setZoom((now) => Math.min(largest, Math.max(least, (now === "fit" ? fitted(image.current) : now) * factor)));
  const step = (to: 1 | -1) => zoom === "fit" && onStep(to);
  useLayoutEffect(() => scale(image.current, zoom), [zoom, arrived]);
  useKeys([
    { keys: "ArrowRight", does: "Next file, where the picture fits", run: () => step(1) },
    { keys: "ArrowLeft", does: "Previous file, where the picture fits", run: () => step(-1) },
    { keys: "+", does: "Larger", run: () => by(1.5) },
    { keys: "-", does: "Smaller", run: () => by(1 / 1.5) },
    { keys: "0", does: "As it fits", run: () => setZoom("fit") },
  ]);
  if (broken) return <div class="stage">{other(trouble ?? `This picture did not come, or this browser cannot read it (${format(entry)}).`)}</div>;
  return (
    <div class="stage" data-picture>
      <div class="picture-frame" data-zoom={zoom === "fit" ? "fit" : "own"} tabIndex={zoom === "fit" ? undefined : 0} role={zoom === "fit" ? undefined : "region"} aria-label={zoom === "fit" ? undefined : `${name}, enlarged: the arrows move it`}>
        <img ref={image} src={url} alt={entry.description ?? name} draggable={false} onError={() => breaks(true)} onLoad={() => arrive(true)} data-arrived={arrived || undefined} />
      </div>
      <div class="picture-tools">
        <IconButton label="Smaller" icon="minus" size="small" onClick={() => by(1 / 1.5)} />
        <Button kind="quiet" size="small" aria-pressed={zoom === "fit"} onClick={() => setZoom(zoom === "fit" ? 1 : "fit")}>
          {zoom === "fit" ? "Fits" : `${Math.round(zoom * 100)} %`}
        </Button>
        <IconButton label="Larger" icon="plus" size="small" onClick={() => by(1.5)} />
      </div>
    </div>
  );
}

function fitted(image: HTMLImageElement | null): number {
  return image && image.naturalWidth > 0 ? image.clientWidth / image.naturalWidth : 1;
}

function scale(image: HTMLImageElement | null, zoom: Zoom): void {
  if (image === null) return;
  image.style.width = zoom === "fit" ? "" : `${Math.round(image.naturalWidth * zoom)}px`;
}
