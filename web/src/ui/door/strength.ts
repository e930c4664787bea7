/** Strength is how long somebody with the hub's disk would try passwords before this one: 0 (at once) to 4 (not in this life). */
export interface Strength {
  level: 0 | 1 | 2 | 3 | 4;
  words: string;
}

/** least is how many characters a password has at the least. */
export const least = 8;

const common = ["password", "passwort", "qwerty", "qwertz", "azerty", "letmein", "welcome", "iloveyou", "dragon", "monkey", "football", "keyhall", "secret", "sommer", "summer", "winter", "admin", "abc", "123"];

/** strength guesses: by what the password is made of, less what is repeated, in sequence, well known or the person's own name. */
export function strength(password: string, handle: string): Strength {
  const letters = [...password.normalize("NFKC")];
  if (letters.length === 0) return { level: 0, words: "Four words that have nothing to do with each other are hard to guess and easy to keep." };
  if (letters.length < least) return { level: 0, words: `Too short: ${least} characters at the least, better 14 or more.` };
  const bits = worth(plain(letters, handle)) * Math.log2(pool(password));
  if (bits < 40) return { level: 1, words: "Weak: guessed within hours by somebody who has the hub's disk." };
  if (bits < 56) return { level: 2, words: "Fair: a few more words or letters make it good." };
  if (bits < 72) return { level: 3, words: "Good." };
  return { level: 4, words: "Strong." };
}

/** plain takes out what a guesser tries first, and leaves one letter in its place. */
function plain(letters: string[], handle: string): string[] {
  let text = letters.join("").toLowerCase();
  const known = handle.length > 2 ? [handle.toLowerCase(), ...common] : common;
  for (const word of known) text = text.replaceAll(word, "*");
  return [...text];
}

/** worth counts the letters that are not to be expected after the one before. */
function worth(letters: string[]): number {
  let sum = 0;
  letters.forEach((letter, index) => {
    const step = index === 0 ? undefined : letter.codePointAt(0)! - letters[index - 1]!.codePointAt(0)!;
    sum += step === 0 || step === 1 || step === -1 ? 0.2 : 1;
  });
  return Math.min(sum, new Set(letters).size * 2);
}

function pool(password: string): number {
  const kinds: [RegExp, number][] = [
    [/[a-z]/, 20],
    [/[A-Z]/, 20],
    [/[0-9]/, 8],
    [/[^a-zA-Z0-9]/, 12],
  ];
  return kinds.reduce((sum, [kind, size]) => sum + (kind.test(password) ? size : 0), 0);
}
