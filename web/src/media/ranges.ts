// What a request for a part of something asks for (RFC 9110, section 14).

/** Asked is what a request wants: everything, the bytes from start up to end (not included), or what is not there. */
export type Asked = { kind: "whole" } | { kind: "part"; start: number; end: number } | { kind: "none" };

/**
 * asked reads the header Range of a request for something of a size. A range without an end gets at most so many bytes: a
 * player takes them and asks on. What is no range, or several, is answered with everything, as the standard allows.
 */
export function asked(header: string | null, size: number, most = Infinity): Asked {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return { kind: "whole" };
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length > 0 ? { kind: "part", start: size - length, end: size } : { kind: "none" };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  if (start >= size) return { kind: "none" };
  const end = last === "" ? Math.min(size, start + most) : Math.min(size, Number(last) + 1);
  return { kind: "part", start, end };
}
