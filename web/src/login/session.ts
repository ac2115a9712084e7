/** The login behind the token: a viewer key, or OpenID Connect where /config.json says so. */
import { signal } from "@preact/signals";
import type { ViewerConfig } from "../wire/messages";
import { forget, mark, marked, token } from "./key";
import type { Oidc } from "./oidc";

/** Why the login did not work; null when nothing is to be said. */
export const refusal = signal<string | null>(null);
/** The session cannot be renewed; the page stays as it is. */
export const ending = signal<string | null>(null);

let oidc: Promise<Oidc> | null = null;

/** Before the page is drawn: ends a login that is on its way back, or takes a reloaded tab to the issuer again. Never rejects. */
export async function beginSession({ auth }: ViewerConfig): Promise<void> {
  if (auth.kind !== "oidc") return;
  oidc = import("./oidc").then(
    ({ Oidc: Session }) =>
      new Session(auth, {
        token: (given) => {
          ending.value = null;
          token.value = given;
        },
        ended: (at) => {
          ending.value =
            at > Date.now() ? `Your session ends at ${new Date(at).toLocaleTimeString()}.` : "Your session has ended.";
        },
      }),
  );
  const query = new URLSearchParams(location.search);
  const returning = query.has("state") && (query.has("code") || query.has("error"));
  // A key that was given beside the issuer goes first.
  if (!returning && (token.value !== null || !marked())) {
    oidc.catch(() => undefined);
    return;
  }
  try {
    const session = await oidc;
    mark(false);
    if ((await session.finish()) !== null) mark(true);
    else await session.login();
  } catch (error) {
    refusal.value = error instanceof Error ? error.message : String(error);
  }
}

/** To the issuer and back to this address. */
export async function login(): Promise<void> {
  refusal.value = null;
  try {
    await (await oidc)?.login();
  } catch (error) {
    refusal.value = error instanceof Error ? error.message : String(error);
  }
}

/** Whether a new token came without asking the person; it is in `token` then. */
export async function renewSession(): Promise<boolean> {
  try {
    return ((await (await oidc)?.renew()) ?? null) !== null;
  } catch {
    return false;
  }
}

/** Leaves nothing of the session here. */
export async function logout(): Promise<void> {
  const session = marked() ? await oidc?.catch(() => null) : null;
  mark(false);
  forget();
  // What was read belongs to who read it: nothing of it stays in the page.
  if (session) await session.logout();
  else location.assign("./");
}
