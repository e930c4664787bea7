// Trusted Types: the only addresses that may become a program are those of the app's own workers, and there is one
// policy that says so. Text never becomes markup anywhere, so that is all there is.

interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown };
}

/** own are the programs of this app that run beside the page. */
const own = ["/worker.js", "/argon2.js"] as const;

let policy: { createScriptURL(url: string): unknown } | undefined;

/** program is the address of one of the app's own workers, as the browser takes it. */
export function program(path: (typeof own)[number]): string {
  const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes;
  if (!policies) return path;
  policy ??= policies.createPolicy("keyhall", {
    createScriptURL(url) {
      if (own.some((known) => known === url)) return url;
      throw new TypeError("not a program of this app");
    },
  });
  return policy.createScriptURL(path) as string; // a TrustedScriptURL, which takes the place of a text
}
