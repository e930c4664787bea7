import { useCallback, useLayoutEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";

/** Tiles says which of many tiles of one size are near the part of the page that is in sight. */
export interface Tiles {
  /** columns of tiles; 0 until the page is measured. */
  columns: number;
  /** rows that fit into what is in sight. */
  rows: number;
  /** from, up to but without to: the tiles to be drawn. */
  from: number;
  to: number;
  /** reveal scrolls so that a tile is in sight. */
  reveal(index: number): void;
}

/** beyond is how many rows are drawn above and below what is in sight. */
const beyond = 6;

/** sizes in rem: how wide a tile is at least (a list has one a row), and how high. */
const sizes = { grid: { width: 8.75, height: 10.5 }, list: { width: Infinity, height: 3.5 } };

interface Seen {
  columns: number;
  rows: number;
  first: number;
}

/** useTiles follows a list of tiles in the page's scrolling part, and sets its height and the tiles' by custom properties. */
export function useTiles(list: RefObject<HTMLElement | null>, count: number, as: keyof typeof sizes): Tiles {
  const [seen, set] = useState<Seen>({ columns: 0, rows: 0, first: 0 });
  useLayoutEffect(() => {
    const element = list.current;
    const frame = element?.closest<HTMLElement>(".main");
    if (!element || !frame) return;
    const look = () => {
      const next = measure(element, frame, as);
      element.style.setProperty("--columns", String(next.columns));
      element.style.setProperty("--rows", String(Math.ceil(count / next.columns)));
      set((before) => (before.columns === next.columns && before.rows === next.rows && before.first === next.first ? before : next));
    };
    look();
    const resized = new ResizeObserver(look);
    resized.observe(element);
    resized.observe(frame);
    frame.addEventListener("scroll", look, { passive: true });
    return () => {
      resized.disconnect();
      frame.removeEventListener("scroll", look);
    };
  }, [count, as]);
  const reveal = useCallback((index: number) => scrollTo(list.current, Math.floor(index / Math.max(1, seen.columns)), as), [seen.columns, as]);
  const first = Math.max(0, seen.first - beyond);
  const from = Math.min(count, first * seen.columns);
  return { columns: seen.columns, rows: seen.rows, from, to: Math.min(count, (seen.first + seen.rows + beyond + 1) * seen.columns), reveal };
}

function rem(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function measure(element: HTMLElement, frame: HTMLElement, as: keyof typeof sizes): Seen {
  const unit = rem();
  const height = sizes[as].height * unit;
  const columns = Math.max(1, Math.floor(element.clientWidth / (sizes[as].width * unit)));
  const above = frame.getBoundingClientRect().top - element.getBoundingClientRect().top;
  return { columns, rows: Math.max(1, Math.floor(frame.clientHeight / height)), first: Math.max(0, Math.floor(above / height)) };
}

function scrollTo(element: HTMLElement | null, row: number, as: keyof typeof sizes): void {
  const frame = element?.closest<HTMLElement>(".main");
  if (!element || !frame) return;
  const height = sizes[as].height * rem();
  const top = element.getBoundingClientRect().top - frame.getBoundingClientRect().top + row * height;
  if (row === 0) frame.scrollTop = 0;
  else if (top < height / 2) frame.scrollTop += top - height / 2;
  else if (top + 1.5 * height > frame.clientHeight) frame.scrollTop += top + 1.5 * height - frame.clientHeight;
}
