// node dist-test/media.test.mjs: what is asked for, kept, retried and given up when entries of catalogs are read, and how
// requests for them are answered; without a browser or a hub.

import process from "node:process";

import { signal } from "@preact/signals";

import { Content } from "../src/media/content.ts";
import { Pace } from "../src/media/pace.ts";
import { Lost } from "../src/media/pull.ts";
import { asked } from "../src/media/ranges.ts";
import { Shelf } from "../src/media/shelf.ts";
import { Tree, way } from "../src/media/tree.ts";
import { disposition, fileName, served, viewOf } from "../src/media/types.ts";
import { Problem } from "../src/model.ts";
import { concat, Refused } from "../src/protocol/bytes.ts";
import { blockLength, blocks, blockSize, leaf, proofLength, root, top } from "../src/protocol/tree.ts";
import { answer, mostAtOnce } from "../src/worker/answers.ts";

// Node 20 lacks it; browsers that run the app have it.
Promise.withResolvers ??= function <T>(this: PromiseConstructor): PromiseWithResolvers<T> {
  const made = {} as PromiseWithResolvers<T>;
  made.promise = new this<T>((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

let failed = 0;

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(want)) return;
  failed++;
  console.log(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

async function refuses(what: string, promise: Promise<unknown>, why: (error: unknown) => boolean): Promise<void> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  if (error !== undefined && why(error)) return;
  failed++;
  console.log(`${what}: ${error === undefined ? "it was taken" : String(error)}`);
}

const part = (start: number, end: number) => ({ kind: "part", start, end });

function ranges(): void {
  const whole = { kind: "whole" };
  const none = { kind: "none" };
  for (const [header, size, want] of [
    [null, 100, whole], ["bytes=0-", 100, part(0, 40)], ["bytes=70-", 100, part(70, 100)], ["bytes=0-0", 100, part(0, 1)],
    ["bytes=10-19", 100, part(10, 20)], ["bytes=0-99", 100, part(0, 100)], ["bytes=90-1000", 100, part(90, 100)],
    ["bytes=-5", 100, part(95, 100)], ["bytes=-500", 100, part(0, 100)], ["bytes=-0", 100, none], ["bytes=100-", 100, none],
    ["bytes=99999999999999999999-", 100, none], ["bytes=0-99999999999999999999", 100, part(0, 100)], ["bytes=5-4", 100, whole],
    ["bytes=", 100, whole], ["bytes=-", 100, whole], ["bytes=0-1,5-6", 100, whole], ["lines=0-1", 100, whole], ["bytes=a-b", 100, whole],
    [" bytes=1-2 ", 100, part(1, 3)], ["bytes=0-", 0, none], ["bytes=-1", 0, none],
  ] as const) {
    same(`${header} of ${size}`, asked(header, size, 40), want);
  }
  same("without a bound", asked("bytes=1-", 2 ** 50), part(1, 2 ** 50));
}

function answers(): void {
  const facts = { path: "a/b.mp4", type: "video/mp4", size: 20 << 20, root: "ab" };
  const ask = (headers: Record<string, string>, about = facts, save = false, method = "GET") =>
    answer({ method, headers: { get: (name) => headers[name] ?? null } }, about, save);
  const brief = ({ status, start, end, on, headers }: ReturnType<typeof ask>) => [status, start, end, on, headers["Content-Range"] ?? "", headers["Content-Length"]];
  same("everything", brief(ask({})), [200, 0, 20 << 20, false, "", String(20 << 20)]);
  same("from somewhere on", brief(ask({ range: "bytes=5-" })), [206, 5, 5 + mostAtOnce, true, `bytes 5-${4 + mostAtOnce}/${20 << 20}`, String(mostAtOnce)]);
  same("a part", brief(ask({ range: "bytes=5-9" })), [206, 5, 10, false, `bytes 5-9/${20 << 20}`, "5"]);
  same("of what it was", brief(ask({ range: "bytes=5-9", "if-range": '"ab"' })).slice(0, 3), [206, 5, 10]);
  same("of what it was not", brief(ask({ range: "bytes=5-9", "if-range": '"cd"' })).slice(0, 3), [200, 0, 20 << 20]);
  same("beyond the end", brief(ask({ range: `bytes=${20 << 20}-` })), [416, 0, 0, false, `bytes */${20 << 20}`, "0"]);
  same("only the head", brief(ask({}, facts, false, "HEAD")), [200, 0, 0, false, "", String(20 << 20)]);
  same("to the disk", brief(ask({ range: "bytes=5-" }, facts, true)).slice(0, 3), [206, 5, 20 << 20]);
  same("a film is shown", [ask({}).headers["Content-Type"], ask({}).headers["Content-Disposition"]], ["video/mp4", undefined]);
  for (const type of ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "video/mpegurl", "nonsense", "text/html; video/mp4"]) {
    const { headers } = ask({}, { ...facts, type });
    same(`${type} is bytes`, headers["Content-Type"], "application/octet-stream");
    same(`${type} goes to the disk`, headers["Content-Disposition"]?.startsWith("attachment; "), true);
    same(`${type} may do nothing`, headers["Content-Security-Policy"]?.includes("sandbox"), true);
    same(`${type} is not guessed`, headers["X-Content-Type-Options"], "nosniff");
  }
}

function types(): void {
  for (const [type, view, as] of [
    ["video/mp4", "video", "video/mp4"], ["Video/WebM; codecs=vp9", "video", "video/webm"], ["audio/flac", "audio", "audio/flac"],
    ["image/png", "image", "image/png"], ["image/svg+xml", undefined, "application/octet-stream"], ["image/bmp", undefined, "application/octet-stream"],
    ["text/plain; charset=latin1", "text", "text/plain; charset=utf-8"], ["text/html", undefined, "application/octet-stream"],
    ["application/pdf", "pdf", "application/pdf"], ["audio/x-mpegurl", undefined, "application/octet-stream"],
    ["video/ mp4", undefined, "application/octet-stream"], ["video/", undefined, "application/octet-stream"], ["/", undefined, "application/octet-stream"],
  ] as const) {
    same(type, [viewOf(type), served(type)], [view, as]);
  }
  for (const [path, name] of [
    ["a/b/c.mp4", "c.mp4"], ["\u202egpj.exe", "_gpj.exe"], ['<b>x\n"y".txt', "_b_x__y_.txt"], ["...", "file"], [".profile", "profile"],
    ["a/ b .txt ", "b .txt"], ["a\\b:c|d?.txt", "a_b_c_d_.txt"], ["ü☃.txt", "ü☃.txt"], ["x".repeat(500), "x".repeat(120)],
  ] as const) {
    same(JSON.stringify(path), fileName(path), name);
  }
  same("a name", disposition("a/größe 50%.txt"), `attachment; filename="gr__e 50_.txt"; filename*=UTF-8''gr%C3%B6%C3%9Fe%2050%25.txt`);
}

// A content without an owner: its blocks say which they are.

/** Owner answers reads as it is told, and counts them. */
class Owner {
  opens = 0;
  closes = 0;
  reads: number[][] = [];
  refuse: unknown; // to open
  lose = 0; // reads that bring nothing
  spoil: unknown; // what is wrong with what reads bring
  held: (() => void)[] | undefined; // reads that wait

  constructor(readonly size: number) {}

  content(shelf = new Shelf(1 << 24), problems: Problem[] = []): Content {
    const wire = { state: signal("online") };
    const source = { open: () => this.#open(), account: { wire }, offer: { ownerHandle: "alice" } };
    return new Content(source as never, this.size, shelf, (problem) => problems.push(problem));
  }

  async #open(): Promise<unknown> {
    this.opens++;
    if (this.refuse !== undefined) throw this.refuse;
    return { size: this.size, good: () => true, read: this.#read, close: async () => void this.closes++ };
  }

  readonly #read = async (indexes: number[], take: (index: number, data: Uint8Array) => void, wanted: () => boolean): Promise<void> => {
    this.reads.push([...indexes]);
    if (this.lose-- > 0) throw new Lost("on the way");
    if (this.spoil !== undefined) throw this.spoil;
    if (this.held) await new Promise<void>((resolve) => this.held!.push(resolve));
    for (const index of indexes) if (wanted()) take(index, new Uint8Array(blockLength(this.size, index)).fill(index));
  };

  get asked(): number[] {
    return this.reads.flat();
  }
}

async function contents(): Promise<void> {
  const size = 20 * blockSize + 5;
  const owner = new Owner(size);
  const problems: Problem[] = [];
  const content = owner.content(undefined, problems);
  const flow = content.flow(blockSize - 2, size);
  const parts: number[] = [];
  while (!flow.done) parts.push((await flow.next()).length);
  same("all of it, block by block", parts, [2, ...Array<number>(19).fill(blockSize), 5]);
  same("each block once, in order", owner.asked, Array.from({ length: 21 }, (_, i) => i));
  same("four at most in a read", owner.reads.every((read) => read.length <= 4), true);
  same("by one transfer", [owner.opens, problems.length], [1, 0]);
  same("a block again is there still", [...(await content.bytes(20 * blockSize + 1, size))], [20, 20, 20, 20]);
  same("and was not asked for", owner.asked.length, 21);

  const modest = new Owner(100 * blockSize);
  const first = modest.content().flow(50 * blockSize, 100 * blockSize);
  await first.next();
  same("who has read one block is not far ahead", modest.asked.length <= 6, true);
  first.cancel();
}

async function losses(): Promise<void> {
  const lost = new Owner(8 * blockSize);
  lost.lose = 2;
  same("lost answers are asked for again", (await lost.content().bytes(0, 3 * blockSize)).length, 3 * blockSize);
  same("by a new transfer", lost.opens > 1, true);

  const problems: Problem[] = [];
  const gone = new Owner(blockSize);
  gone.refuse = new Problem("refused", "alice does not share this with you any more.");
  await refuses("a share that ended", gone.content(undefined, problems).bytes(0, 1), (error) => error instanceof Problem && error.code === "refused");
  same("is not asked for again, and told", [gone.opens, problems.map((problem) => problem.code)], [1, ["refused"]]);

  const liar = new Owner(blockSize);
  liar.spoil = new Refused("root");
  await refuses("what is not the file", liar.content().bytes(0, 1), (error) => error instanceof Problem && error.message.includes("not the file"));
  same("is not asked for again", liar.reads.length, 1);
}

async function seeks(): Promise<void> {
  const owner = new Owner(1000 * blockSize);
  owner.held = [];
  const content = owner.content();
  const before = content.flow(0, owner.size, true);
  const lost = before.next().catch((error: unknown) => (error as Problem).code);
  await settled();
  before.cancel();
  const after = content.flow(500 * blockSize, owner.size, true);
  const next = after.next();
  await settled();
  for (let held = owner.held.splice(0); held.length > 0; held = owner.held.splice(0)) {
    for (const go of held) go();
    await settled();
  }
  same("what nobody waits for is given up", await lost, "cancelled");
  same("where the player went, it reads", (await next)[0], 500 % 256);
  same("nothing in between was asked for", owner.asked.every((index) => index < 10 || index >= 500), true);
  after.cancel();
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

function shelves(): void {
  const shelf = new Shelf(10);
  const bytes = (length: number) => new Uint8Array(length);
  shelf.put("a", bytes(4));
  shelf.put("b", bytes(4));
  shelf.get("a");
  shelf.put("c", bytes(4));
  same("the block that was used least lately goes", ["a", "b", "c"].map((name) => shelf.get(name) !== undefined), [true, false, true]);
  shelf.put("a", bytes(6));
  same("no more is kept than may be", [shelf.held, shelf.get("c") !== undefined], [10, true]);
  shelf.put("d", bytes(11));
  same("what is larger than all is not kept", [shelf.held, shelf.get("d")], [0, undefined]);

  const pace = new Pace();
  for (let i = 0; i < 100; i++) pace.took(5, 4);
  const fast = pace.ahead;
  for (let i = 0; i < 100; i++) pace.took(5000, 4);
  same("slow reads mean fewer ahead", [fast <= 32, pace.ahead < 8, pace.ahead > 0], [true, true, true]);
}

/** proofs are those of all leaves, made from their definition. */
async function proof(leaves: Uint8Array[], index: number): Promise<Uint8Array[]> {
  if (leaves.length === 1) return [];
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  return index < left
    ? [...(await proof(leaves.slice(0, left), index)), await top(leaves.slice(left))]
    : [...(await proof(leaves.slice(left), index - left)), await top(leaves.slice(0, left))];
}

async function trees(): Promise<void> {
  for (const count of [1, 2, 3, 7, 8]) {
    const size = (count - 1) * blockSize + 3;
    const data = Array.from({ length: count }, (_, i) => new Uint8Array(blockLength(size, i)).fill(i + 1));
    const leaves = await Promise.all(data.map(leaf));
    const address = await root(size, await top(leaves));
    const proofs = await Promise.all(data.map(async (_, i) => concat(...(await proof(leaves, i)))));
    same(`the way up of ${count}`, data.map((_, i) => way(count, i).length), data.map((_, i) => proofLength(size, i)));
    const tree = new Tree(address, size);
    for (const round of [1, 2]) {
      for (const i of [0, count - 1, ...data.keys()]) {
        await tree.check(i, data[i]!, proofs[i]!).catch((error: unknown) => same(`block ${i} of ${count}, round ${round}`, String(error), ""));
      }
    }
    const bent = data[0]!.slice();
    bent[1]! ^= 1;
    const wrong = (error: unknown) => error instanceof Refused && error.check === "root";
    for (const of of [tree, new Tree(address, size)]) {
      await refuses(`a changed block of ${count}`, of.check(0, bent, proofs[0]!), wrong);
      await refuses("a block of another length", of.check(0, data[0]!.subarray(1), proofs[0]!), wrong);
      await refuses("a block that is not there", of.check(blocks(size), data[0]!, proofs[0]!), wrong);
      if (count > 1) await refuses("another's proof", new Tree(address, size).check(0, data[0]!, proofs[count - 1]!), wrong);
      if (count > 2) await refuses("another's place", of.check(1, data[0]!, proofs[1]!), wrong);
    }
  }
}

ranges();
answers();
types();
shelves();
await contents();
await losses();
await seeks();
await trees();
process.exitCode = failed === 0 ? 0 : 1;
console.log(failed === 0 ? "media: all as it should be" : `media: ${failed} not as they should be`);
