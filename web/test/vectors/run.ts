// Holds this implementation against all vectors, in Node as in a browser.

import { chainFiles } from "./chain.ts";
import { eventFiles } from "./events.ts";
import { formFiles } from "./forms.ts";
import { Judge, type Meet } from "./judge.ts";
import { people, wordsFile } from "./people.ts";
import { signinFiles } from "./signin.ts";
import { transferFiles } from "./transfers.ts";

const wordList = "bip39-english.txt";

/** run judges the files of a folder of vectors, by name, and gives a line for each, and one for each vector that is not met. */
export async function run(folder: Record<string, string>): Promise<{ lines: string[]; met: number; failures: string[] }> {
  const list = folder[wordList]?.trimEnd().split("\n") ?? [];
  const files: Record<string, Meet> = {
    ...people, "words.json": wordsFile(list), ...eventFiles, ...formFiles, ...transferFiles, ...chainFiles, ...signinFiles,
  };
  const judge = new Judge();
  const lines: string[] = [];
  for (const name of Object.keys(folder).sort()) {
    if (!name.endsWith(".json")) continue;
    const before = judge.met;
    const meet = files[name];
    judge.file = name;
    if (meet) await judge.holds(name, () => meet(judge, JSON.parse(folder[name]!)));
    else judge.fail("nothing here meets it");
    lines.push(`${name}: ${judge.met - before}`);
  }
  for (const name of Object.keys(files)) if (!(name in folder)) judge.failures.push(`${name}: it is not there`);
  lines.push(`${judge.met} met, ${judge.failures.length} not met`);
  return { lines, met: judge.met, failures: judge.failures };
}
