/** The composition root: configuration, key, worker, page. */
import { render } from "preact";
import { listen } from "./actions";
import { exposeDiagnostics } from "./diagnostics";
import { Engine } from "./engine/client";
import { Finder } from "./index/finder";
import { reloadOnKeyLink, restoreKey, setLoginMark, storeKey, token } from "./login/key";
import { beginSession } from "./login/session";
import { parseRoute, route } from "./route";
import { apply } from "./settings";
import { App, StartError } from "./shell/App";
import { connectState } from "./state";
import { viewerConfig } from "./wire/messages";

const root = document.getElementById("app") as HTMLElement;

async function start(): Promise<void> {
  apply();
  listen();
  reloadOnKeyLink();
  const given = restoreKey();
  // The worker loads its code while the configuration is requested.
  const engine = new Engine();
  const response = await fetch("./config.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`The request for config.json failed with status ${response.status}`);
  const config = viewerConfig(await response.json());
  const api = new URL(config.api, location.href).href.replace(/\/$/, "");
  if (
    given !== null &&
    (await (await import("./login/confirmUserChange")).confirmUserChange(root, api, config, token.value, given))
  ) {
    storeKey(given);
    setLoginMark(false);
  }
  await beginSession(config);
  route.value = parseRoute(location.search);
  connectState(engine);
  void engine.ask({ do: "start", api, live: config.live, token: token.value ?? "" });
  token.subscribe((value) => {
    if (value !== null) void engine.ask({ do: "token", token: value });
  });
  exposeDiagnostics(engine);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void engine.ask({ do: "wake" });
  });
  render(<App engine={engine} finder={new Finder(engine)} api={api} config={config} />, root);
}

start().catch((error: unknown) => {
  render(<StartError reason={error instanceof Error ? error.message : String(error)} />, root);
});
