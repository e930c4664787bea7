import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Share } from "../../model.ts";
import { date, Icon, type IconName } from "../parts/index.ts";
import { catalogHref } from "../router.ts";
import { plain } from "../text.ts";
import { choice } from "./choice.ts";
import { modified, size, type Item } from "./folder.ts";
import { kind, label } from "./kind.ts";
import { bytes, files } from "./measure.ts";
import { useTiles, type Tiles } from "./tiles.ts";

interface Props {
  share: Share;
  items: readonly Item[];
  /** from is the path of what was open before; the keys go on there. */
  from: string | undefined;
  label: string;
}

/**
 * Entries are the folders and files of a folder, as a grid or a list. Only those near the part of the page that is in sight
 * are there, however many there are; the one that the keys are at always is.
 */
export function Entries({ share, items, from, label: called }: Props) {
  const list = useRef<HTMLUListElement>(null);
  const as = choice.value.as;
  const tiles = useTiles(list, items.length, as);
  const [at, setAt] = useState(() => Math.max(0, from === undefined ? 0 : items.findIndex((item) => holds(item, from))));
  const focus = useRef(from !== undefined);
  const now = Math.min(at, items.length - 1);
  useLayoutEffect(() => {
    if (!focus.current || tiles.columns === 0) return;
    focus.current = false;
    tiles.reveal(now);
    list.current?.querySelector<HTMLElement>(`[data-at="${now}"] a`)?.focus({ preventScroll: true });
  });
  const move = (event: KeyboardEvent) => {
    const to = target(event, now, items.length, tiles);
    if (to === undefined) return;
    event.preventDefault();
    focus.current = true;
    setAt(to);
    if (to === now) tiles.reveal(now);
  };
  return (
    <ul class="entries" ref={list} data-as={as} aria-label={called} onKeyDown={move}>
      {shown(tiles, now, items.length).map((index) => (
        <Tile key={index} item={items[index] as Item} index={index} count={items.length} tiles={tiles} share={share} current={index === now} onFocus={() => index !== now && setAt(index)} />
      ))}
    </ul>
  );
}

// shown are the indexes in sight, and the one that the keys are at, in order.
function shown({ from, to }: Tiles, at: number, count: number): number[] {
  const indexes = Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
  if (count > 0 && at < from) indexes.unshift(at);
  if (at >= to && at < count) indexes.push(at);
  return indexes;
}

function holds(item: Item, path: string): boolean {
  return item.kind === "file" ? item.entry.path === path : path === item.path || path.startsWith(`${item.path}/`);
}

function target(event: KeyboardEvent, at: number, count: number, { columns, rows }: Tiles): number | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const steps: Record<string, number> = { ArrowDown: columns, ArrowUp: -columns, j: columns, k: -columns, PageDown: columns * rows, PageUp: -columns * rows, Home: -count, End: count };
  if (columns > 1) Object.assign(steps, { ArrowRight: 1, ArrowLeft: -1, l: 1, h: -1 });
  const by = steps[event.key];
  return by === undefined ? undefined : Math.max(0, Math.min(count - 1, at + by));
}

interface TileProps {
  item: Item;
  index: number;
  count: number;
  tiles: Tiles;
  share: Share;
  current: boolean;
  onFocus(): void;
}

const icons: Record<ReturnType<typeof kind>, IconName> = { video: "film", audio: "music", image: "image", pdf: "text", text: "text", other: "file" };

// Tile is one of them; where it lies is told to the style sheet as numbers.
function Tile({ item, index, count, tiles, share, current, onFocus }: TileProps) {
  const path = item.kind === "file" ? item.entry.path : item.path;
  const about = item.kind === "file" ? label(item.entry) : files(item.files);
  const place = { "--row": Math.floor(index / tiles.columns), "--column": index % tiles.columns };
  return (
    <li class="entry" data-at={index} data-kind={item.kind} aria-setsize={count} aria-posinset={index + 1} style={place}>
      <a class="entry-link" href={catalogHref(share.ownerHandle, share.catalog, path)} tabIndex={current ? 0 : -1} onFocus={onFocus} title={plain(item.name)}>
        <span class="entry-picture">
          <Icon name={item.kind === "folder" ? "folder" : icons[kind(item.entry)]} size={choice.value.as === "grid" ? 36 : 22} />
        </span>
        <bdi class="entry-name">{plain(item.name)}</bdi>
        <span class="entry-about">{about}</span>
        <span class="entry-size">{bytes(size(item))}</span>
        <span class="entry-date">{date(modified(item))}</span>
      </a>
    </li>
  );
}
