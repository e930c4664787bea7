const units = ["kB", "MB", "GB", "TB", "PB"] as const;
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });

/** bytes is a size as people read it, in steps of 1000. */
export function bytes(size: number): string {
  if (size < 1000) return size === 1 ? "1 byte" : `${size} bytes`;
  let [left, unit] = [size / 1000, 0];
  while (left >= 999.5 && unit < units.length - 1) [left, unit] = [left / 1000, unit + 1];
  return `${short.format(left)} ${units[unit] ?? ""}`;
}

/** files is how many there are, in words. */
export function files(count: number): string {
  return count === 1 ? "1 file" : `${count.toLocaleString()} files`;
}
