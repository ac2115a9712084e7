/** The viewer key of this tab: from the address's fragment once, then in sessionStorage. It never stays in the address. */
import { signal } from "@preact/signals";

const PLACE = "logferry.key";

export const token = signal<string | null>(null);

/** Takes `#key=…` out of the address, or what this tab had before a reload. */
export function restoreKey(): void {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("key");
  if (given !== null) {
    fragment.delete("key");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest === "" ? "" : `#${rest}`));
    keep(given);
    return;
  }
  try {
    token.value = sessionStorage.getItem(PLACE);
  } catch {
    token.value = null;
  }
}

export function keep(key: string): void {
  token.value = key;
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // Without storage the key lasts as long as the page: enough.
  }
}

export function forget(): void {
  token.value = null;
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Nothing was kept then.
  }
}
