/** The page of one job: its header, its log pane and its tools. */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { register } from "../actions";
import type { Engine } from "../engine/client";
import type { JobFacts } from "../engine/messages";
import type { Finder } from "../index/finder";
import { composeGroup } from "../jobs/composeGroup";
import { countText } from "../jobs/count";
import { shortHost, shortImage } from "../jobs/record";
import { stateLabel } from "../jobs/stateLabel";
import type { ConnectionState } from "../live/connection";
import type { LinkedPanes } from "../mergedPage/linkedPanes";
import { dayUnlessToday } from "../pane/dayHeaders";
import { route, urlOf } from "../route";
import { settings } from "../settings";
import { FindBar } from "../shell/FindBar";
import { MarkedToolbar, Toolbar } from "../shell/Toolbar";
import { connection, facts, me, now, records } from "../state";
import { ago, formatTime, fullTime } from "../text/time";
import { Icon } from "../ui/Icon";
import { lazy } from "../ui/lazy";
import type { JobRecord } from "../wire/messages";
import { jobActions } from "./jobActions";
import { JobView } from "./jobView";

const ShareDialog = lazy(async () => (await import("../share/ShareDialog")).ShareDialog);
const ExportDialog = lazy(async () => (await import("../export/ExportDialog")).ExportDialog);

export function JobPage({
  engine,
  finder,
  job,
  api,
  linked,
}: {
  engine: Engine;
  finder: Finder;
  job: string;
  api: string;
  linked?: LinkedPanes;
}) {
  const beside = linked !== undefined;
  const page = useRef<HTMLElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const view = useMemo(
    () => new JobView(job, engine, finder, () => settings.timeMode.peek(), api, beside),
    [engine, finder, job, api, beside],
  );
  const known = facts.value.get(job) ?? null;

  useEffect(() => {
    if (host.current === null || canvas.current === null) return;
    const { line, until } = route.peek();
    view.attach(
      host.current,
      canvas.current,
      {
        time: (us) => formatTime(us, settings.timeMode.peek(), view.base),
        title: (us) => fullTime(us, settings.timeMode.peek()),
      },
      line,
      until,
    );
    let actions = register(jobActions(view, () => field.current));
    const element = page.current;
    // With several panes side by side, keys go to the pane that has the focus.
    const enter = (): void => {
      actions();
      actions = register(jobActions(view, () => field.current));
    };
    const leave = element === null ? undefined : linked?.join(view, element);
    if (beside) for (const touch of ["focusin", "pointerdown"]) element?.addEventListener(touch, enter);
    return () => {
      for (const touch of ["focusin", "pointerdown"]) element?.removeEventListener(touch, enter);
      leave?.();
      actions();
      view.destroy();
      const rest = new Map(facts.peek());
      rest.delete(job);
      facts.value = rest;
    };
  }, [view, job]);

  useSignalEffect(() => {
    const [mode, wrapped] = [settings.timeMode.value, settings.wrap.value];
    void [settings.density.value, settings.fontSize.value];
    host.current?.classList.toggle("nowrap", !wrapped);
    host.current?.classList.toggle("timeless", mode === "hidden");
    view.pane?.redraw();
  });

  const record = known?.record ?? null;
  const name = record?.container.name || job.slice(job.indexOf(".") + 1, job.indexOf(".") + 13);
  useEffect(() => {
    if (beside) return undefined;
    document.title = `${name} · Logferry`;
    return () => {
      document.title = "Logferry";
    };
  }, [name, beside]);

  const problem = known?.problem ?? null;
  const close = (): void => {
    view.dialog.value = null;
  };
  // Panes side by side are sections of one page.
  const Page = beside ? "section" : "main";
  const following = view.following.value;
  const news = known === null || following ? 0 : Math.max(0, known.tip - view.paused.value.tip);
  const bad = known === null || following ? 0 : Math.max(0, known.liveErrors - view.paused.value.errors);
  return (
    <Page
      class="job"
      aria-label={beside ? name : undefined}
      ref={page}
      data-job-page={job}
      data-barred={problem !== null && (known?.received ?? 0) === 0 ? "" : undefined}
      data-tip={known?.tip ?? 0}
      data-received={known?.received ?? 0}
    >
      <div class="head">
        <a href="./" class="back" aria-label="Back to all jobs">
          ‹
        </a>
        {beside ? (
          <h2 title={job}>
            <a href={urlOf([job])}>{name}</a>
          </h2>
        ) : (
          <h1 title={job}>{name}</h1>
        )}
        {record !== null && <JobSummary record={record} facts={known} />}
        <span class="grow" />
        {known?.problem == null && <LiveState facts={known} following={following} />}
        <button
          type="button"
          class="button switch"
          data-follow={following ? "on" : "off"}
          aria-pressed={following}
          title={following ? "Stop following (Space)" : "Go to the end and follow (f)"}
          onClick={() => (following ? view.pane?.pause() : view.pane?.follow())}
        >
          Follow
        </button>
        <button
          type="button"
          class="button switch"
          title="Export or copy lines (D)"
          onClick={() => (view.dialog.value = "export")}
        >
          <Icon name="download" /> <span class="wide">Export</span>
          <span class="narrow visually-hidden">Export</span>
        </button>
        {me.value?.job == null && (
          <button
            type="button"
            class="button switch"
            title="Share with a link (S)"
            onClick={() => (view.dialog.value = "share")}
          >
            <Icon name="share" /> <span class="wide">Share</span>
            <span class="narrow visually-hidden">Share</span>
          </button>
        )}
      </div>
      <div class="tools">
        <FindBar view={view} field={field} />
        <Toolbar view={view} />
      </div>
      {problem !== null && (
        <div
          class={(known?.received ?? 0) === 0 ? "page-notice" : "notice bad"}
          role="alert"
          data-problem={problem.status}
        >
          <strong>{PROBLEMS[problem.status]?.title ?? "This job cannot be read"}</strong>
          <span>
            {problem.message} {PROBLEMS[problem.status]?.advice ?? ""}
          </span>
          <a href="./" class="button">
            All jobs
          </a>
        </div>
      )}
      {record?.life.problem != null && (
        <div class="notice" role="note">
          {record.life.problem}
        </div>
      )}
      <div class="stage">
        <div class="panes">
          <div ref={host} />
          {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas without tabindex takes no focus */}
          <canvas ref={canvas} class="minimap" aria-hidden="true" />
        </div>
        {known?.caughtUp === true && known.tip === 0 && (
          <p class="empty">
            {record !== null && !RUNNING.has(record.life.state) ? (
              <>
                <strong>This job wrote nothing</strong>
                <span>
                  Its container ended ({stateLabel(record, now.value).words}) without writing a line to stdout or
                  stderr.
                </span>
              </>
            ) : (
              <>
                <strong>No lines yet</strong>
                <span>They appear here as soon as the container writes one.</span>
              </>
            )}
          </p>
        )}
        <DayLabel view={view} />
        <MarkedToolbar view={view} />
        {!following && (
          <button type="button" class="pill" data-new-lines={news} onClick={() => view.pane?.follow()}>
            ▼ {news > 0 ? `${news.toLocaleString("en")} new ${news === 1 ? "line" : "lines"}` : "To the end"}
            {bad > 0 && ` · ${bad.toLocaleString("en")} ${bad === 1 ? "error" : "errors"}`}
          </button>
        )}
        <Announcer facts={known} following={following} />
      </div>
      {view.dialog.value === "share" && (
        <ShareDialog job={job} name={name} api={api} marked={view.markedLines.peek()} close={close} />
      )}
      {view.dialog.value === "export" && <ExportDialog view={view} name={name} close={close} />}
    </Page>
  );
}

/** The container's state, image and host, with links to related jobs. */
function JobSummary({ record, facts: known }: { record: JobRecord; facts: JobFacts | null }) {
  const { container, job } = record;
  const state = stateLabel(record, now.value);
  const { project, service } = container;
  const all = records.value;
  const whole = useMemo(() => (project === null ? [] : composeGroup(all.values(), project)), [all, project]);
  const siblings = useMemo(
    () => (project === null || service === null ? [] : composeGroup(all.values(), project, service)),
    [all, project, service],
  );
  const link = (jobs: readonly string[], words: string, title: string) =>
    jobs.length > 1 && jobs.includes(job) ? (
      <a href={urlOf(jobs)} title={title}>
        {words}
      </a>
    ) : (
      words
    );
  return (
    <>
      <span class="state" data-tone={state.tone} title={state.words}>
        <span aria-hidden="true">{state.sign}</span> {state.words}
      </span>
      <span class="facts">
        <span title={container.image}>{shortImage(container.image)}</span>
        <span title={container.host}>{shortHost(container.host)}</span>
        {project !== null && (
          <span>
            {link(whole, project, `All ${whole.length} jobs of ${project}, merged by time`)}
            {service !== null && (
              <>
                {" / "}
                {link(siblings, service, `${service} on all hosts, ${siblings.length} jobs, merged by time`)}
              </>
            )}
          </span>
        )}
        <span data-lines={known?.tip} title={`${countText(record.bytes)}B`}>
          {(known?.tip ?? 0).toLocaleString("en")} lines
        </span>
      </span>
    </>
  );
}

/** The day that is being read, unless it is today. */
function DayLabel({ view }: { view: JobView }) {
  const { value } = view.reading;
  const words = value === 0 ? "" : dayUnlessToday(value, now.value);
  return words === "" ? null : (
    <span class="day" aria-hidden="true">
      {words}
    </span>
  );
}

/** What each refusal means to the reader, and what to do. */
const PROBLEMS: { readonly [status: number]: { readonly title: string; readonly advice: string } } = {
  401: { title: "Your permission to read this job has expired", advice: "Log in again, or ask for a new link." },
  403: {
    title: "You may not read this job",
    advice: "Ask its owner for a share link, or log in with another key.",
  },
  404: {
    title: "No such job",
    advice: "Check that the address is complete, or ask the owner for a share link.",
  },
  410: { title: "This job was deleted", advice: "Loaded lines stay here until you leave the page." },
};

const RUNNING = new Set(["created", "running", "paused", "restarting"]);

function LiveState({ facts: known, following }: { facts: JobFacts | null; following: boolean }) {
  const socket = connection.value;
  const [state, words] = liveState(known === null ? [] : [known], following, socket, now.value);
  const last = known?.arrived ?? null;
  const rate = useRate(known);
  return (
    <span class={`badge ${state}`} data-live-state={state}>
      <span class="dot" aria-hidden="true" />
      {words}
      {(state === "live" || state === "paused") && last !== null && (
        <span class="soft">
          {rate >= 1 ? ` · ${Math.round(rate).toLocaleString("en")} lines/s` : ` · last line ${ago(now.value - last)}`}
        </span>
      )}
    </span>
  );
}

/** Return the live state of one job, or of several that are read as one. */
export function liveState(
  jobs: readonly JobFacts[],
  following: boolean,
  socket: ConnectionState,
  at: number,
): [state: string, words: string] {
  if (socket.kind === "waiting" || (socket.kind === "connecting" && socket.attempt > 1))
    return ["reconnecting", reconnecting(socket, at)];
  if (socket.kind === "refused") return ["refused", "Not live"];
  const readable = jobs.filter(({ problem }) => problem === null);
  if (readable.length === 0 || !readable.every(({ caughtUp }) => caughtUp)) return ["catching-up", "Catching up"];
  const lives = readable.flatMap(({ record }) => (record === null ? [] : [record.life]));
  const [first] = lives;
  if (first !== undefined && lives.every(({ state }) => !RUNNING.has(state)))
    return ["ended", lives.length === 1 ? endedWords(first) : "All ended"];
  return following ? ["live", "Live"] : ["paused", "Paused"];
}

function reconnecting(socket: ConnectionState, at: number): string {
  const seconds = socket.kind === "waiting" ? Math.max(0, Math.ceil((socket.until - at) / 1000)) : 0;
  return seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting";
}

/** Return lines per second, measured once a second. */
function useRate(known: JobFacts | null): number {
  const kept = useRef({ at: 0, live: 0, rate: 0 });
  const at = now.value;
  if (known !== null && at - kept.current.at >= 900) {
    const seconds = (at - kept.current.at) / 1000;
    kept.current = {
      at,
      live: known.live,
      rate: kept.current.at === 0 ? 0 : Math.max(0, (known.live - kept.current.live) / seconds),
    };
  }
  return kept.current.rate;
}

function endedWords(life: { state: string; exit_code: number | null; oom: boolean }): string {
  if (life.state === "lost") return "Lost: host not seen";
  if (life.oom) return `Ended: out of memory (${life.exit_code ?? 137})`;
  return life.exit_code === null ? "Ended" : `Ended: exit ${life.exit_code}`;
}

const SPEAK_MS = 5_000;

/** Tells a screen reader now and then what arrived. The rows themselves are silent, because they would flood it. */
function Announcer({ facts: known, following }: { facts: JobFacts | null; following: boolean }) {
  const [said, setSaid] = useState("");
  const latest = useRef(known);
  latest.current = known;
  useEffect(() => {
    let [live, errors] = [latest.current?.live ?? 0, latest.current?.liveErrors ?? 0];
    const timer = setInterval(() => {
      const next = latest.current;
      if (next === null || next.live === live) return;
      const [lines, bad] = [next.live - live, next.liveErrors - errors];
      [live, errors] = [next.live, next.liveErrors];
      setSaid(
        `${lines} new ${lines === 1 ? "line" : "lines"}${bad > 0 ? `, ${bad} ${bad === 1 ? "error" : "errors"}` : ""}`,
      );
    }, SPEAK_MS);
    return () => clearInterval(timer);
  }, [following]);
  return (
    <span class="visually-hidden" role="status" aria-live="polite">
      {said}
    </span>
  );
}
