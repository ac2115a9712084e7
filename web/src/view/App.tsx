/** The frame: who you are, where you are, and whether the service is heard. */
import { useEffect, useState } from "preact/hooks";
import type { Engine } from "../engine/client";
import type { Finder } from "../index/finder";
import { JobsPage } from "../jobs/JobsPage";
import { forget, token } from "../login/key";
import { Help } from "../palette/Help";
import { Palette } from "../palette/Palette";
import { navigate, route, urlOf } from "../route";
import { SettingsMenu } from "../settings/SettingsMenu";
import { connection, me } from "../state";
import { Api, ApiError } from "../wire/api";
import type { ViewerConfig } from "../wire/messages";
import { ConnectionBadge } from "./ConnectionBadge";
import { JobPage } from "./JobPage";
import { LoginPage } from "./LoginPage";

export function App({ engine, finder, api, config }: { engine: Engine; finder: Finder; api: string; config: ViewerConfig }) {
  const key = token.value;
  const [refusal, setRefusal] = useState<string | null>(null);
  const state = connection.value;

  useEffect(() => {
    if (state.kind === "refused") setRefusal(state.message);
  }, [state]);

  useEffect(() => {
    const ask = (): void => setRefusal("Log in again to go on.");
    addEventListener("logferry:login", ask);
    return () => removeEventListener("logferry:login", ask);
  }, []);

  useEffect(() => {
    if (key === null) return;
    setRefusal(null);
    let over = false;
    new Api(api, key).me().then(
      (answer) => {
        if (!over) me.value = answer;
      },
      (error: unknown) => {
        if (!over && error instanceof ApiError && (error.status === 401 || error.status === 403)) setRefusal(error.message);
      },
    );
    void engine.ask({ do: "jobs", on: true });
    return () => {
      over = true;
    };
  }, [key, api, engine]);

  if (key === null || refusal !== null) return <LoginPage refusal={refusal} config={config} />;
  const { jobs } = route.value;
  const [job] = jobs;
  return (
    <div class="frame">
      <header class="top">
        <a class="brand" href="./" aria-label="Logferry: all jobs">
          <img src="./icon.svg" alt="" width="22" height="22" />
          <span>Logferry</span>
        </a>
        <span class="grow" />
        <ConnectionBadge />
        <SettingsMenu />
        {me.value !== null && <span class="who" title={me.value.groups.join(", ")}>{me.value.subject}</span>}
        <button type="button" class="button quiet" onClick={() => leave()}>
          Log out
        </button>
      </header>
      {job === undefined ? (
        <JobsPage open={(chosen) => navigate(urlOf(chosen))} />
      ) : (
        <JobPage key={job} engine={engine} finder={finder} job={job} />
      )}
      <Palette />
      <Help />
    </div>
  );
}

function leave(): void {
  forget();
  // What was read belongs to who read it: nothing of it stays in the page.
  location.assign("./");
}

export function Broken({ reason }: { reason: string }) {
  return (
    <main class="message" role="alert">
      <h1>The viewer could not start</h1>
      <p>{reason}</p>
      <button type="button" class="button" onClick={() => location.reload()}>
        Try again
      </button>
    </main>
  );
}
