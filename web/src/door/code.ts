// Codes, as they are or in the link that carries them.

/** inURL is a code, out of the link that carries it or as it is. */
export function inURL(text: string): string {
  const at = text.indexOf("#");
  const code = at < 0 ? text : text.slice(at + 1);
  try {
    return decodeURIComponent(code).trim();
  } catch {
    return code.trim(); // it is no code, and who reads it says so
  }
}
