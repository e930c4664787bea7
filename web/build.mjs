// Builds the web app: node build.mjs [--tests] [--out FOLDER]
//
//	src/main.ts                  app-HASH.js and what it loads when it is needed
//	src/worker/worker.ts         worker.js, the service worker: its scope is the origin
//	src/vault/argon2.worker.ts   argon2.js, which computes what a password becomes
//	src/ui/styles                app-HASH.css: index.css, or every file in the order of their names
//	src/index.html, src/public   as they are, but for the names that have a hash
//
// It says what each script weighs, compressed, and fails where all of them weigh more than limit. With --tests it
// bundles the tests (test/*.test.ts) for Node into dist-test, and for a browser those that run there (test/*.page.ts).

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const limit = 150_000; // bytes of all scripts, with gzip
const targets = ["chrome137", "firefox130", "safari18"]; // the first with Ed25519 and X25519 in WebCrypto

const given = process.argv.slice(2);
const out = given.includes("--out") ? given[given.indexOf("--out") + 1] : undefined;

const common = {
  absWorkingDir: here,
  bundle: true,
  charset: "utf8",
  logLevel: "warning",
  metafile: true,
  write: false,
};

// nats-core is CommonJS, of which nothing is left out by itself. Of what it exports this is all that the app uses, and of
// what it needs itself the app has no use for a library of keys, as it signs with WebCrypto.
const natsFolder = join(here, "node_modules/@nats-io/nats-core/lib");
const natsUsed = { ws_transport: ["wsconnect"], errors: ["errors"], headers: ["headers"], core: ["Match"], nuid: ["nuid"] };

function natsEntry() {
  const required = createRequire(import.meta.url);
  return Object.entries(natsUsed).map(([file, names]) => {
    const has = required(join(natsFolder, file));
    for (const name of names) if (!(name in has)) throw new Error(`nats-core has no ${name} in ${file} any more`);
    return `export { ${names} } from "./${file}.js";`;
  });
}

const natsCore = {
  name: "nats-core",
  setup({ onLoad }) {
    onLoad({ filter: /nats-core\/lib\/mod\.js$/ }, () => ({ contents: natsEntry().join("\n"), loader: "js", resolveDir: natsFolder }));
    onLoad({ filter: /nats-core\/lib\/nkeys\.js$/ }, () => ({ contents: "exports.nkeys = {};", loader: "js" }));
  },
};

const shipped = { ...common, plugins: [natsCore], minify: true, legalComments: "external", target: targets, define: { "process.env.NODE_ENV": '"production"' } };

/** missing are the entry points that nobody has written. */
const missing = [];

function there(path) {
  if (existsSync(join(here, path))) return true;
  missing.push(path);
  return false;
}

/** bundle gives the files of some entry points, and for each entry point the name of its file. */
async function bundle(folder, options) {
  const made = await build({ ...options, outdir: join(here, folder) });
  const files = made.outputFiles.map(({ path, contents }) => ({ name: relative(join(here, folder), path), contents }));
  const names = {};
  for (const [path, { entryPoint }] of Object.entries(made.metafile.outputs)) {
    if (entryPoint && !path.endsWith(".LEGAL.txt")) names[entryPoint] = relative(join(here, folder), join(here, path));
  }
  return { files, names };
}

/** styles is one style sheet for all in src/ui/styles. */
function styles() {
  const folder = "src/ui/styles";
  if (!there(folder)) return undefined;
  if (existsSync(join(here, folder, "index.css"))) return { entryPoints: { app: `${folder}/index.css` } };
  const sheets = readdirSync(join(here, folder)).filter((name) => name.endsWith(".css"));
  const contents = sheets.sort().map((name) => `@import "./${name}";`).join("\n");
  return { stdin: { contents, loader: "css", resolveDir: join(here, folder), sourcefile: "app.css" } };
}

/** tree is every file below a folder. */
function tree(folder) {
  const all = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return all.map((entry) => ({ name: relative(folder, join(entry.parentPath ?? entry.path, entry.name)), contents: readFileSync(join(entry.parentPath ?? entry.path, entry.name)) }));
}

async function app() {
  const all = [];
  const hashed = {}; // what index.html calls a file → its name
  if (there("src/main.ts")) {
    const options = { format: "esm", splitting: true, entryNames: "app-[hash]", chunkNames: "part-[hash]", assetNames: "asset-[hash]" };
    const { files, names } = await bundle("dist", { ...shipped, ...options, entryPoints: ["src/main.ts"] });
    all.push(...files);
    hashed["/app.js"] = `/${names["src/main.ts"]}`;
  }
  const sheet = styles();
  if (sheet) {
    const { files } = await bundle("dist", { ...shipped, ...sheet, entryNames: "app-[hash]", assetNames: "asset-[hash]", loader: { ".woff2": "file", ".svg": "file" } });
    for (const file of files) if (file.name.endsWith(".css")) Object.assign(file, { name: file.name.replace(/^stdin/, "app") });
    all.push(...files);
    hashed["/app.css"] = `/${files.find(({ name }) => name.endsWith(".css")).name}`;
  }
  for (const [path, name] of Object.entries({ "src/worker/worker.ts": "worker", "src/vault/argon2.worker.ts": "argon2" })) {
    if (!there(path)) continue;
    all.push(...(await bundle("dist", { ...shipped, format: "iife", entryPoints: { [name]: path } })).files);
  }
  if (there("src/public")) all.push(...tree(join(here, "src/public")));
  if (there("src/index.html")) {
    const page = readFileSync(join(here, "src/index.html"), "utf8");
    const named = page.replace(/(?<=(?:src|href)=")\/app\.(?:js|css)(?=")/g, (name) => hashed[name] ?? name);
    all.push({ name: "index.html", contents: Buffer.from(named) });
  }
  return all;
}

async function tests() {
  const folder = join(here, "test");
  const named = (end) => (existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(end)) : []);
  const all = [];
  const unminified = { ...common, plugins: [natsCore], format: "esm", sourcemap: "inline", define: { "process.env.NODE_ENV": '"test"' } };
  for (const [platform, end] of [["node", ".test.ts"], ["browser", ".page.ts"]]) {
    const entryPoints = named(end).map((name) => `test/${name}`);
    if (entryPoints.length === 0) continue;
    const target = platform === "node" ? "node20" : targets;
    all.push(...(await bundle("dist-test", { ...unminified, platform, target, entryPoints, outbase: "test", outExtension: { ".js": ".mjs" } })).files);
  }
  return all;
}

/** put writes files into a folder and takes away what was there before. Others may read it meanwhile. */
function put(folder, files) {
  mkdirSync(folder, { recursive: true });
  for (const { name, contents } of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    const beside = join(dirname(path), `.${basename(path)}.${process.pid}`);
    writeFileSync(beside, contents);
    renameSync(beside, path);
  }
  const kept = new Set(files.map(({ name }) => name));
  for (const { name } of tree(folder)) if (!kept.has(name) && !basename(name).startsWith(".")) rmSync(join(folder, name), { force: true });
}

function report(files) {
  let sum = 0;
  for (const { name, contents } of files) {
    const kind = /\.(js|css)$/.exec(name)?.[1];
    if (!kind) continue;
    const weight = gzipSync(contents, { level: 9 }).length;
    if (kind === "js") sum += weight;
    console.log(`${String(weight).padStart(8)}  ${name}`);
  }
  console.log(`${String(sum).padStart(8)}  all scripts, of ${limit} bytes with gzip`);
  return sum <= limit;
}

/** told gives what was made, or ends: esbuild has said why. */
async function told(made) {
  try {
    return await made();
  } catch (error) {
    if (!error.errors) throw error;
    process.exit(1);
  }
}

if (given.includes("--tests")) {
  put(out ?? join(here, "dist-test"), await told(tests));
} else {
  const files = await told(app);
  put(out ?? join(here, "dist"), files);
  for (const path of missing) console.log(`not there: ${path}`);
  if (!report(files)) {
    console.error("The scripts weigh more than they may.");
    process.exitCode = 1;
  }
}
