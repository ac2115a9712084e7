import { useState } from "preact/hooks";
import { storeKey, token } from "../login/key";
import { login, refusal as loginRefusal } from "../login/session";
import type { ViewerConfig } from "../wire/messages";

const KEY = /^lf[vs]_[a-z0-9]{12}_[A-Za-z0-9_-]{43}$/;

export function LoginPage({ refusal, config }: { refusal: string | null; config: ViewerConfig }) {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    const key = typed.trim();
    if (!KEY.test(key)) {
      setWrong(
        key.startsWith("lfa_")
          ? "This is an agent key. A viewer key begins with lfv_."
          : "A viewer key is lfv_, twelve characters, _ and 43 more. Check that you copied all of it.",
      );
      return;
    }
    setWrong(null);
    const same = token.value === key;
    storeKey(key);
    // The same key may be entered again, after it was allowed on the server.
    if (refusal !== null || same) location.reload();
  };
  // A reader with a share link has no key to enter.
  const shared = refusal !== null && token.value?.startsWith("lfs_") === true;
  const said =
    wrong ??
    (shared ? "This share link has expired or was revoked. Ask its sender for a new one, or log in below." : refusal) ??
    loginRefusal.value;
  const { kind, issuer } = config.auth;
  return (
    <main class="message login">
      <img src="./icon.svg" alt="" width="44" height="44" />
      <h1>Logferry</h1>
      {kind === "oidc" && (
        <p>
          <button type="button" class="button primary" onClick={() => void login()}>
            Log in with {hostOf(issuer)}
          </button>
        </p>
      )}
      <form onSubmit={submit}>
        <label for="key">{kind === "oidc" ? "or a viewer key" : "Viewer key"}</label>
        <input
          id="key"
          class="field"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={typed}
          placeholder="lfv_…"
          aria-invalid={said !== null}
          aria-describedby="key-said"
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <p id="key-said" class="said" role="alert" data-refusal={refusal === null ? undefined : ""}>
          {said}
        </p>
        <button type="submit" class={kind === "oidc" ? "button" : "button primary"}>
          Log in{kind === "oidc" && " with the key"}
        </button>
      </form>
      <p class="hint">
        Locally <code>logferry status</code> shows the address with a key in it; elsewhere the operator creates one with{" "}
        <code>logferry keys</code>.
      </p>
    </main>
  );
}

function hostOf(issuer: string | null): string {
  try {
    return new URL(issuer ?? "").host;
  } catch {
    return "single sign-on";
  }
}
