import { signal } from "@preact/signals";

const minute = signal(Date.now());
setInterval(() => (minute.value = Date.now()), 30_000);

const clocks = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const dates = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/**
 * Time shows when: "near" as far away ("5 minutes ago", "in 3 days"), "clock" as a time of day, "day" as a date. The whole of it is
 * in its title.
 */
export function Time({ at, as = "near" }: { at: Date; as?: "near" | "clock" | "day" }) {
  const text = as === "clock" ? clock(at) : as === "day" ? date(at) : near(at, minute.value);
  return (
    <time dateTime={at.toISOString()} title={moment(at)}>
      {text}
    </time>
  );
}

/** near says how far something is from now, coarsely. */
export function near(at: Date, now: number): string {
  const seconds = (at.getTime() - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 45) return "just now";
  if (size < 3_600) return relative.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return relative.format(Math.round(seconds / 3_600), "hour");
  if (size < 30 * 86_400) return relative.format(Math.round(seconds / 86_400), "day");
  return new Date(now).getFullYear() === at.getFullYear() ? days.format(at) : date(at);
}

/** clock is a time of day. */
export function clock(at: Date): string {
  return clocks.format(at);
}

/** date is a day with its year. */
export function date(at: Date): string {
  return dates.format(at);
}

/** moment is day and time, in full. */
export function moment(at: Date): string {
  return moments.format(at);
}
