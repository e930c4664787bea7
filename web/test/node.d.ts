// What the tests use of Node, where they run.

declare module "node:fs" {
  export function readFileSync(path: string, encoding: "utf8"): string;
  export function readdirSync(path: string): string[];
}

declare module "node:path" {
  export function join(...parts: string[]): string;
}

declare module "node:process" {
  export const argv: string[];
  export let exitCode: number | undefined;
  const process: { argv: string[]; exitCode: number | undefined };
  export default process;
}
