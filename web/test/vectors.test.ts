// node dist-test/vectors.test.mjs FOLDER: holds the app's own protocol code against every vector. It prints a line per
// file, and fails with a line per vector that is not met.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

import { run } from "./vectors/run.ts";

const folder = process.argv[2]!;
const { lines, failures } = await run(Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")])));
for (const line of [...lines, ...failures]) console.log(line);
process.exitCode = failures.length === 0 ? 0 : 1;
