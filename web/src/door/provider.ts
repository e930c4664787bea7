// The way to the host's OIDC provider leads out of the page and back: what it was for is kept in this tab.

const key = "keyhall.provider";

type Purpose = "who" | "bind";

/** leaveFor leaves the page for the provider. */
export function leaveFor(purpose: Purpose): void {
  sessionStorage.setItem(key, purpose);
  location.assign(`/api/oidc/start?to=${encodeURIComponent(location.pathname)}`);
}

/** leftFor says, once, whether the page was left for this. */
export function leftFor(purpose: Purpose): boolean {
  if (sessionStorage.getItem(key) !== purpose) return false;
  sessionStorage.removeItem(key);
  return true;
}
