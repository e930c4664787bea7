// The service worker, from the page's side: registered once, and in charge of this page before anything is shown through it.

import { Problem } from "../model.ts";
import { program } from "../scripts.ts";
import type { ToWorker } from "../worker/words.ts";

const patience = 15_000;
const lookEvery = 60 * 60 * 1000; // for a newer one, where a page stays open for days

let registered: Promise<ServiceWorkerRegistration> | undefined;

/** register registers the service worker; a newer one of the hub's takes over at once. */
export function register(): Promise<ServiceWorkerRegistration> {
  if (!("serviceWorker" in navigator)) return Promise.reject(none());
  registered ??= navigator.serviceWorker.register(program("/worker.js"), { scope: "/", updateViaCache: "none" }).then((registration) => {
    setInterval(() => void registration.update().catch(() => undefined), lookEvery); // the hub is away: later then
    return registration;
  });
  registered.catch(() => (registered = undefined));
  return registered;
}

const none = () =>
  new Problem("unavailable", "This browser lets no service worker run here (a private window, perhaps), so it cannot show files. Use another window, or keyhall get.");

/** inCharge is the container of the service workers, once one is in charge of this page: after a forced reload none is. */
export async function inCharge(): Promise<ServiceWorkerContainer> {
  let registration: ServiceWorkerRegistration;
  try {
    registration = await register();
  } catch (error) {
    throw error instanceof Problem ? error : none();
  }
  const workers = navigator.serviceWorker;
  if (workers.controller) return workers;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(none()), patience);
    workers.addEventListener("controllerchange", () => (clearTimeout(timer), resolve()), { once: true });
    const claim = () => registration.active?.postMessage({ keyhall: "claim" } satisfies ToWorker);
    void workers.ready.then(claim);
  });
  return workers;
}
