/**
 * Login by OpenID Connect: authorization code with PKCE, as a public client (OAuth 2.0 for Browser-Based Apps). Loaded
 * only where /config.json names an issuer.
 *
 * Tokens are kept in memory only. After a reload the issuer is asked again; it answers without a question while its own
 * session lives. The refresh token renews silently. If the issuer gives none, the page stays and shows when the session
 * ends.
 */
import { ErrorResponse, InMemoryWebStorage, type User, UserManager, WebStorageStateStore } from "oidc-client-ts";
import type { ViewerConfig } from "../wire/messages";
import { retryDelay } from "../wire/retry";

export type OidcConfig = ViewerConfig["auth"];

/** What the issuer reported, as a sentence for a person. */
export class LoginError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LoginError";
  }
}

/** Renew after this share of a token's life. The rest allows for retries and for clocks that differ. */
const RENEW_AT = 0.75;
const RETRY_FIRST_MS = 8_000;
const RETRY_MIN_MS = 1_000;
/** setTimeout takes 31 bits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export interface OidcEvents {
  token(token: string): void;
  /** No renewal is possible any more; the token works until `at` (milliseconds since 1970). */
  ended(at: number): void;
}

export class Oidc {
  private readonly manager: UserManager;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private renewing: Promise<string | null> | null = null;
  private failures = 0;

  constructor(
    private readonly config: OidcConfig,
    private readonly events: OidcEvents,
  ) {
    const { issuer, client_id: client } = config;
    if (issuer === null || client === null) throw new LoginError("config.json names no issuer or no client_id.");
    this.manager = new UserManager({
      authority: issuer,
      client_id: client,
      redirect_uri: home(),
      post_logout_redirect_uri: home(),
      response_type: "code",
      scope: config.scope ?? "openid",
      userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
      // PKCE's verifier must survive the redirect to the issuer and back; without the code it is useless.
      stateStore: new WebStorageStateStore({ store: sessionStorage }),
      automaticSilentRenew: false,
      loadUserInfo: false,
      monitorSession: false,
    });
  }

  /** Leave the page for the issuer, which returns to the same address. */
  async login(): Promise<void> {
    await this.withLoginErrors(this.manager.signinRedirect({ state: { back: location.search + location.hash } }));
  }

  /**
   * Remove the issuer's answer from the address and return the token, or null when there is no answer.
   *
   * Throws LoginError when the answer is a refusal, or answers no request of this tab.
   */
  async finish(): Promise<string | null> {
    const given = new URLSearchParams(location.search);
    if (!given.has("state") || !(given.has("code") || given.has("error"))) return null;
    const url = location.href;
    // Remove the code from the address first. It works only once, but it need not be visible.
    history.replaceState(null, "", home());
    const user = await this.withLoginErrors(this.manager.signinRedirectCallback(url));
    const back = (user.state as { back?: unknown } | undefined)?.back;
    // Accept only a query or fragment of this page, never another address.
    if (typeof back === "string" && /^[?#]/.test(back)) history.replaceState(null, "", home() + back);
    return this.take(user);
  }

  /** Return a new token, or null when that needs the person. Concurrent callers share one renewal. */
  renew(): Promise<string | null> {
    this.renewing ??= this.refresh().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  /** End the session here and, where the issuer supports it, there. */
  async logout(): Promise<void> {
    clearTimeout(this.timer);
    const user = await this.manager.getUser();
    await this.manager.removeUser();
    const { end_session_endpoint: end } = await this.manager.metadataService
      .getMetadata()
      .catch(() => ({ end_session_endpoint: undefined }));
    if (this.config.logout !== null) {
      // Cognito has no standard endpoint: its own takes these two parameters (docs.aws.amazon.com/cognito, "logout
      // endpoint").
      const url = new URL(this.config.logout);
      url.searchParams.set("client_id", this.config.client_id ?? "");
      url.searchParams.set("logout_uri", home());
      location.assign(url.href);
    } else if (end !== undefined && user?.id_token !== undefined)
      await this.manager.signoutRedirect({ id_token_hint: user.id_token });
    else location.assign(home());
  }

  private async refresh(): Promise<string | null> {
    const user = await this.manager.getUser();
    if (user?.refresh_token === undefined || user.refresh_token === "") return null;
    const renewed = await this.manager.signinSilent();
    return renewed === null ? null : this.take(renewed);
  }

  private take(user: User): string {
    const token = this.config.token === "id" ? user.id_token : user.access_token;
    if (token === undefined || token === "")
      throw new LoginError(`The issuer gave no ${this.config.token === "id" ? "ID" : "access"} token.`);
    this.failures = 0;
    this.events.token(token);
    const life = (user.expires_in ?? 0) * 1000;
    if (life > 0) this.renewAfter(life * RENEW_AT, Date.now() + life);
    return token;
  }

  private renewAfter(ms: number, end: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(
      () => {
        this.renew().then(
          (token) => {
            if (token === null) this.events.ended(end);
          },
          (error: unknown) => {
            // An issuer's refusal is final; a network error is not.
            if (error instanceof ErrorResponse || Date.now() >= end) this.events.ended(end);
            else {
              const maxMs = Math.max(1_000, end - Date.now() - RETRY_MIN_MS);
              this.renewAfter(retryDelay({ firstMs: RETRY_FIRST_MS, maxMs }, this.failures++, RETRY_MIN_MS), end);
            }
          },
        );
      },
      Math.min(ms, MAX_TIMEOUT_MS),
    );
  }

  private async withLoginErrors<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const issuer = new URL(this.manager.settings.authority).host;
      if (error instanceof ErrorResponse)
        throw new LoginError(`${issuer} refused the login: ${error.error_description ?? error.error ?? error.message}`);
      if (error instanceof Error && /state/i.test(error.message))
        throw new LoginError("The login was started in another tab, or too long ago. Try again.");
      throw new LoginError(`The login at ${issuer} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Return the one address that the issuer must know: this page without query and fragment. */
function home(): string {
  return new URL("./", location.href).href;
}
