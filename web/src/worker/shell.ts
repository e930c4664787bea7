// The app itself, kept for when the hub is away. What the hub says comes first: the page is the hub's newest whenever
// the hub can be reached; only files whose name tells their content are taken from here without asking.

const store = "keyhall-app";
const most = 80; // files, those of older versions among them

const hashed = /^\/(?:app|part|asset)-[A-Z0-9]{8,}\.[a-z0-9]+$/;

/** isHashed says whether a path names a file that never changes. */
export const isHashed = (path: string): boolean => hashed.test(path);

/** isPage says whether a request is for a page of the app. */
export const isPage = (request: Request, path: string): boolean =>
  request.mode === "navigate" && request.method === "GET" && !/^\/(?:api|\.well-known|media|download)\//.test(path);

/** keep fetches the page and what it names, so that the next start needs no hub. */
export async function keep(): Promise<void> {
  const response = await fetch("/", { cache: "no-cache" });
  const text = await response.clone().text();
  await remember(response);
  const names = Array.from(text.matchAll(/(?:src|href)="(\/[^"]+)"/g), (match) => match[1] ?? "");
  await Promise.all(names.filter(isHashed).map((name) => file(new Request(name))));
}

async function remember(response: Response): Promise<void> {
  const isShell = response.ok && !response.redirected && response.headers.get("content-type")?.startsWith("text/html");
  if (isShell) await (await caches.open(store)).put("/", response);
}

/** page is the hub's page, or the one from here while the hub cannot be reached. */
export async function page(request: Request, later: (done: Promise<unknown>) => void): Promise<Response> {
  try {
    const response = await fetch(request);
    later(remember(response.clone()));
    return response;
  } catch (error) {
    const kept = await (await caches.open(store)).match("/");
    if (kept) return kept;
    throw error;
  }
}

/** file is a file whose name tells its content. */
export async function file(request: Request): Promise<Response> {
  const kept = await caches.open(store);
  const known = await kept.match(request);
  if (known) return known;
  const response = await fetch(request);
  if (response.status === 200 && response.type === "basic") {
    await kept.put(request, response.clone());
    const names = (await kept.keys()).filter((one) => isHashed(new URL(one.url).pathname));
    for (const old of names.slice(0, Math.max(0, names.length - most))) await kept.delete(old);
  }
  return response;
}
