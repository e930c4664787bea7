/**
 * broken says which rule of names a handle breaks, if it does (docs/protocol/keys.md#names). What it lets through the hub may still
 * refuse: it knows all scripts.
 */
export function broken(handle: string): string | undefined {
  const name = handle.normalize("NFKC");
  const letters = [...name];
  if (letters.length === 0) return "Choose the name that others will know you by.";
  const bad = letters.find((letter) => !/[\p{L}\p{M}\p{Nd}_-]/u.test(letter));
  if (bad !== undefined) return /\s/u.test(bad) ? "A name has no spaces. A hyphen or an underscore can stand there." : `A name has letters, digits, “-” and “_”, but no “${bad}”.`;
  if (!/^[\p{L}\p{Nd}]/u.test(name)) return "A name begins with a letter or a digit.";
  if (letters.length > 32 || new TextEncoder().encode(name).length > 64) return "A name has at most 32 letters.";
  if (mixed(name)) return "All letters of a name are from one script, so that none can pass for another.";
  return undefined;
}

function mixed(name: string): boolean {
  const found = [/\p{Script=Latin}/u, /\p{Script=Greek}/u, /\p{Script=Cyrillic}/u, /\p{Script=Hebrew}/u, /\p{Script=Arabic}/u, /\p{Script=Armenian}/u, /\p{Script=Cherokee}/u];
  return found.filter((script) => script.test(name)).length > 1;
}
