// Of a long history only a part is on the page: enough to scroll in both directions before more is put there.

import { keyOf } from "./groups.ts";

/** Range says which messages are on the page, by their keys: an index would move when older ones come. */
export interface Range {
  /** first message on the page; none: so many of the newest. */
  first?: string;
  /** last message on the page; none: whatever is the newest. */
  last?: string;
}

/** step is how many messages are put on the page at a time, most how many there are at most. */
export const step = 80;
export const most = 320;

type Listed = readonly { author: string; id: string }[];

/** span is where a range lies in the list: from, up to but without to. */
export function span(list: Listed, range: Range): { from: number; to: number } {
  const last = range.last === undefined ? -1 : list.findLastIndex((one) => keyOf(one) === range.last);
  const to = last < 0 ? list.length : last + 1;
  const first = range.first === undefined ? -1 : list.findIndex((one) => keyOf(one) === range.first);
  const from = first < 0 || first >= to ? Math.max(0, to - step) : first;
  return { from, to: Math.min(to, from + most) };
}

/** up shows older ones, and lets go of the newest when there are too many. */
export function up(list: Listed, range: Range): Range {
  const { from, to } = span(list, range);
  const first = Math.max(0, from - step);
  const end = Math.min(to, first + most);
  return make(list, first, end);
}

/** down shows newer ones, and lets go of the oldest when there are too many. */
export function down(list: Listed, range: Range): Range {
  const { from, to } = span(list, range);
  const end = Math.min(list.length, to + step);
  return make(list, Math.max(from, end - most), end);
}

/** stay is a range that does not move when newer ones come. */
export function stay(list: Listed, range: Range): Range {
  const { from, to } = span(list, range);
  return make(list, from, to);
}

/** around shows the messages about one of them, more of those after it. */
export function around(list: Listed, index: number): Range {
  const from = Math.max(0, index - step / 4);
  return make(list, from, Math.min(list.length, from + step));
}

function make(list: Listed, from: number, to: number): Range {
  const [first, last] = [list[from], to < list.length ? list[to - 1] : undefined];
  return { first: first && keyOf(first), last: last && keyOf(last) };
}
