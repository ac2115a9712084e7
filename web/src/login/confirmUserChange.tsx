/** Asks before a link with a key changes who is signed in. Loaded on first use. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Api } from "../wire/api";
import type { ViewerConfig } from "../wire/messages";

/** Whose key it is, as text. */
type Who = string;

/**
 * Ask whether to use the link's key, and resolve with the decision. `kept` is the current key, or null for a login at
 * the issuer.
 */
export function confirmUserChange(
  root: HTMLElement,
  api: string,
  config: ViewerConfig,
  kept: string | null,
  given: string,
): Promise<boolean> {
  return new Promise((resolve) => {
    render(<Question api={api} config={config} kept={kept} given={given} decide={resolve} />, root);
  });
}

function Question({
  api,
  config,
  kept,
  given,
  decide,
}: {
  api: string;
  config: ViewerConfig;
  kept: string | null;
  given: string;
  decide(change: boolean): void;
}) {
  const [now, setNow] = useState<Who | null>(null);
  const [then, setThen] = useState<Who | null>(null);
  useEffect(() => {
    if (kept === null) setNow(`the person logged in with ${config.auth.issuer ?? "single sign-on"}`);
    else void describeUser(api, kept).then(setNow);
    void describeUser(api, given).then(setThen);
  }, [api, config, kept, given]);
  return (
    <main class="message login" data-question="login">
      <img src="./icon.svg" alt="" width="44" height="44" />
      <h1>Change who is signed in?</h1>
      <p>This link contains a key. If you change, this tab reads and acts as somebody else.</p>
      <dl class="change">
        <dt>Now</dt>
        <dd>{now ?? "…"}</dd>
        <dt>With the link</dt>
        <dd>{then ?? "…"}</dd>
      </dl>
      <p class="hint">
        If you did not expect this, stay signed in: the person who made the link may want you to work in their name.
      </p>
      <p>
        {/* biome-ignore lint/a11y/noAutofocus: a dialog about identity opens with its safe answer focused */}
        <button type="button" class="button primary" autoFocus onClick={() => decide(false)}>
          Stay signed in
        </button>{" "}
        <button type="button" class="button" onClick={() => decide(true)}>
          Change
        </button>
      </p>
    </main>
  );
}

async function describeUser(api: string, key: string): Promise<Who> {
  const [kind = "", credential = ""] = key.split("_", 2);
  const name = `${kind === "lfs" ? "share link" : "key"} ${credential.slice(0, 12) || "without an id"}`;
  try {
    const { subject, principal, groups, job } = await new Api(api, key).me();
    if (job !== null) return `a guest with the ${name}, who may read one job`;
    return `${subject || principal || "somebody"}${groups.length > 0 ? ` of ${groups.join(", ")}` : ""}, with the ${name}`;
  } catch (error) {
    return `unknown, with the ${name}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
