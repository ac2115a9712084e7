/** The login behind the token: a viewer key, or OpenID Connect where /config.json says so. */
import { signal } from "@preact/signals";
import type { ViewerConfig } from "../wire/messages";
import { forgetKey, hasLoginMark, setLoginMark, token } from "./key";
import type { Oidc } from "./oidc";

/** Why the login failed; null when there is nothing to report. */
export const refusal = signal<string | null>(null);
/** Set when the session cannot be renewed; the page stays as it is. */
export const sessionNotice = signal<string | null>(null);

let oidc: Promise<Oidc> | null = null;

/**
 * Finish a login that returns from the issuer, or send a reloaded tab there again. Runs before the page is drawn and
 * never rejects.
 */
export async function beginSession({ auth }: ViewerConfig): Promise<void> {
  if (auth.kind !== "oidc") return;
  oidc = import("./oidc").then(
    ({ Oidc: Session }) =>
      new Session(auth, {
        token: (given) => {
          sessionNotice.value = null;
          token.value = given;
        },
        ended: (at) => {
          sessionNotice.value =
            at > Date.now() ? `Your session ends at ${new Date(at).toLocaleTimeString()}.` : "Your session has ended.";
        },
      }),
  );
  const query = new URLSearchParams(location.search);
  const returning = query.has("state") && (query.has("code") || query.has("error"));
  // A key takes precedence over the issuer.
  if (!returning && (token.value !== null || !hasLoginMark())) {
    oidc.catch(() => undefined);
    return;
  }
  try {
    const session = await oidc;
    setLoginMark(false);
    if ((await session.finish()) !== null) setLoginMark(true);
    else await session.login();
  } catch (error) {
    refusal.value = error instanceof Error ? error.message : String(error);
  }
}

/** Go to the issuer and return to this address. */
export async function login(): Promise<void> {
  refusal.value = null;
  try {
    await (await oidc)?.login();
  } catch (error) {
    refusal.value = error instanceof Error ? error.message : String(error);
  }
}

/** Return whether a new token arrived without asking the person; it is then in `token`. */
export async function renewSession(): Promise<boolean> {
  try {
    return ((await (await oidc)?.renew()) ?? null) !== null;
  } catch {
    return false;
  }
}

/** Log out and leave nothing of the session in this tab. */
export async function logout(): Promise<void> {
  const session = hasLoginMark() ? await oidc?.catch(() => null) : null;
  setLoginMark(false);
  forgetKey();
  // What was read belongs to the person who read it: the page is left.
  if (session) await session.logout();
  else location.assign("./");
}
