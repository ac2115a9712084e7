/**
 * The viewer key of this tab: read once from the address's fragment, then kept in sessionStorage. It never stays in the
 * address.
 */
import { signal } from "@preact/signals";

const KEY_STORAGE = "logferry.key";
/** Set when this tab was logged in at an issuer, so that a reload goes there again. It holds no token. */
const LOGIN_MARK = "logferry.oidc";

export const token = signal<string | null>(null);

/**
 * Read `#key=…` from the address and remove it, or restore this tab's key after a reload. A key that would change who
 * is signed in is returned instead, for a person to decide.
 */
export function restoreKey(): string | null {
  const kept = read(KEY_STORAGE);
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("key");
  if (given === null) {
    token.value = kept;
    return null;
  }
  fragment.delete("key");
  const rest = fragment.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest === "" ? "" : `#${rest}`));
  if (kept !== given && (kept !== null || hasLoginMark())) {
    token.value = kept;
    return given;
  }
  storeKey(given);
  return null;
}

/** Reload the page when a link with a key is opened in this tab. */
export function reloadOnKeyLink(): void {
  addEventListener("hashchange", () => {
    if (new URLSearchParams(location.hash.slice(1)).has("key")) location.reload();
  });
}

export function storeKey(key: string): void {
  token.value = key;
  // Without storage the key lasts as long as the page, which is enough.
  write(KEY_STORAGE, key);
}

export function forgetKey(): void {
  token.value = null;
  write(KEY_STORAGE, null);
}

export function hasLoginMark(): boolean {
  return read(LOGIN_MARK) !== null;
}

export function setLoginMark(on: boolean): void {
  // Without storage a reload asks for the login.
  write(LOGIN_MARK, on ? "1" : null);
}

function read(place: string): string | null {
  try {
    return sessionStorage.getItem(place);
  } catch {
    return null;
  }
}

function write(place: string, value: string | null): void {
  try {
    if (value === null) sessionStorage.removeItem(place);
    else sessionStorage.setItem(place, value);
  } catch {
    // Some browsers have no storage.
  }
}
