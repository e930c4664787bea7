// The service worker of the app. It answers requests for entries of catalogs, which the browser's own player makes, with
// what the page fetches and opens; and it keeps the app itself for when the hub is away. It holds no key and no secret.

import { isMedia, media } from "./media.ts";
import { file, isHashed, isPage, keep, page } from "./shell.ts";
import type { ToWorker } from "./words.ts";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", (event) => {
  event.waitUntil(self.skipWaiting());
  event.waitUntil(keep().catch(() => undefined)); // without it the app needs the hub to start: as it does without a worker
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  const word = event.data as ToWorker;
  if (word.keyhall === "claim") event.waitUntil(self.clients.claim());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (isMedia(pathname)) event.respondWith(media(request, event.clientId));
  else if (request.method === "GET" && isHashed(pathname)) event.respondWith(file(request));
  else if (isPage(request, pathname)) event.respondWith(page(request, (done) => event.waitUntil(done)));
});
