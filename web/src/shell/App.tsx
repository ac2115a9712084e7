/** The frame around every page: who is signed in, which page is shown, and the connection's state. */
import { useEffect, useState } from "preact/hooks";
import { GlobalOverlay } from "../commandPalette/GlobalOverlay";
import type { Engine } from "../engine/client";
import type { Finder } from "../index/finder";
import { JobPage } from "../jobPage/JobPage";
import { token } from "../login/key";
import { login, logout, renewSession, sessionNotice } from "../login/session";
import { navigate, route, urlOf } from "../route";
import { SettingsMenu } from "../settings/SettingsMenu";
import { connection, me } from "../state";
import { lazy } from "../ui/lazy";
import { Api, ApiError } from "../wire/api";
import type { ViewerConfig } from "../wire/messages";
import { ConnectionBadge } from "./ConnectionBadge";

// Links lead to jobs, so the job page is in the first load and the list loads separately.
const JobsPage = lazy(async () => (await import("../jobs/JobsPage")).JobsPage);
const MergedPage = lazy(async () => (await import("../mergedPage/MergedPage")).MergedPage);
const LoginPage = lazy(async () => (await import("./LoginPage")).LoginPage);

export function App({
  engine,
  finder,
  api,
  config,
}: {
  engine: Engine;
  finder: Finder;
  api: string;
  config: ViewerConfig;
}) {
  const key = token.value;
  const [refusal, setRefusal] = useState<string | null>(null);
  const state = connection.value;

  const [asked, setAsked] = useState(false);
  const oidc = config.auth.kind === "oidc";

  useEffect(() => {
    if (state.kind !== "refused") return;
    setRefusal(state.message);
    if (oidc) void renewSession();
  }, [state, oidc]);

  const again = (): void => {
    if (oidc) void login();
    else setAsked(true);
  };
  useEffect(() => {
    addEventListener("logferry:login", again);
    return () => removeEventListener("logferry:login", again);
  });

  useEffect(() => {
    if (key === null) return;
    setRefusal(null);
    setAsked(false);
    let over = false;
    new Api(api, key).me().then(
      (answer) => {
        if (!over) me.value = answer;
      },
      (error: unknown) => {
        if (!over && error instanceof ApiError && (error.status === 401 || error.status === 403))
          setRefusal(error.message);
      },
    );
    void engine.ask({ do: "jobs", on: true });
    return () => {
      over = true;
    };
  }, [key, api, engine]);

  // A session that ends while someone reads takes nothing away: the page stays and shows the reason.
  const reading = me.value !== null;
  if (key === null || asked || (refusal !== null && !reading)) return <LoginPage refusal={refusal} config={config} />;
  // A reader with a share link has no wrong key and no login.
  const end =
    refusal !== null && key.startsWith("lfs_")
      ? "This share link has expired or was revoked."
      : (refusal ?? sessionNotice.value);
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
        {me.value !== null && (
          <span class="who" title={me.value.groups.join(", ")}>
            {me.value.job === null ? me.value.subject : "Shared link"}
          </span>
        )}
        <button type="button" class="button quiet" onClick={() => void logout()}>
          {me.value?.job == null ? "Log out" : "Leave"}
        </button>
      </header>
      {end !== null && (
        <div class="notice" role="alert" data-session="ended">
          <span>{end} The page stays as it is; log in again to continue.</span>
          <button type="button" class="button" onClick={again}>
            Log in
          </button>
        </div>
      )}
      {job === undefined ? (
        <JobsPage open={(chosen) => navigate(urlOf(chosen))} />
      ) : jobs.length > 1 ? (
        <MergedPage key={jobs.join(" ")} engine={engine} finder={finder} jobs={jobs} api={api} />
      ) : (
        <JobPage key={job} engine={engine} finder={finder} job={job} api={api} />
      )}
      <GlobalOverlay />
    </div>
  );
}

export function StartError({ reason }: { reason: string }) {
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
