// The same in a browser: whoever drives it hands over the files and reads the lines.

import { run } from "./vectors/run.ts";

Object.assign(globalThis, {
  async meetVectors(folder: Record<string, string>): Promise<string> {
    const { lines, failures } = await run(folder);
    return [...lines, ...failures].join("\n");
  },
});
