// What a browser must be able to do before it can hold keys.

/** lacks is what this page lacks, in words, as far as that is plain to see; undefined where it lacks nothing. */
export function lacks(): string | undefined {
  if (!globalThis.isSecureContext) {
    return "This page came over plain http from another machine. Browsers refuse to keep keys for such a page, as anybody in between could change it. Ask the host for an https address; http works only on the machine where the hub itself runs.";
  }
  if (!globalThis.indexedDB) return noStore;
  if (!navigator.serviceWorker) {
    return "This window lets no page work in the background, as in some private windows, and so cannot show what friends share. Open it in an ordinary window.";
  }
  return undefined;
}

/** noStore is for a store that is not there, or does not open. */
export const noStore = "This browser keeps nothing for this page, as in some private windows; your keys would be lost at once. Open it in an ordinary window.";

/** lacksCurves tries what lacks cannot see. Where keys were made before, they can be used. */
export async function lacksCurves(): Promise<string | undefined> {
  try {
    await Promise.all([crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]), crypto.subtle.generateKey("X25519", false, ["deriveBits"])]);
    return undefined;
  } catch {
    return "This browser is too old to sign and to open what is sealed for you: it lacks Ed25519 or X25519. Chrome 137, Firefox 130 and Safari 18, or newer ones, have them.";
  }
}
