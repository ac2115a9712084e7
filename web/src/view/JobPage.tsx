/** One job: its head, its log pane, and what can be done with it. */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { register } from "../actions";
import type { Engine } from "../engine/client";
import type { JobFacts } from "../engine/messages";
import type { Finder } from "../index/finder";
import { route } from "../route";
import { settings } from "../settings";
import { connection, facts, now } from "../state";
import { ago, formatTime, fullTime } from "../text/time";
import { FindBar } from "./FindBar";
import { jobActions } from "./jobactions";
import { JobView } from "./jobview";
import { Toolbar } from "./Toolbar";

export function JobPage({ engine, finder, job }: { engine: Engine; finder: Finder; job: string }) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const view = useMemo(() => new JobView(job, engine, finder, () => settings.timeMode.peek()), [engine, finder, job]);
  const known = facts.value.get(job) ?? null;

  useEffect(() => {
    if (host.current === null || canvas.current === null) return;
    const { line, until } = route.peek();
    const base = (): number => (view.facts?.record?.life.started ?? view.facts?.record?.life.created ?? 0) * 1000;
    view.attach(
      host.current,
      canvas.current,
      { time: (us) => formatTime(us, settings.timeMode.peek(), base()), title: (us) => fullTime(us, settings.timeMode.peek()) },
      line,
      until,
    );
    const actions = register(jobActions(view, () => field.current));
    return () => {
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
    document.title = `${name} · Logferry`;
    return () => {
      document.title = "Logferry";
    };
  }, [name]);

  const following = view.following.value;
  const news = known === null || following ? 0 : Math.max(0, known.tip - view.paused.value.tip);
  const bad = known === null || following ? 0 : Math.max(0, known.liveErrors - view.paused.value.errors);
  return (
    <main class="job" data-job-page={job} data-tip={known?.tip ?? 0} data-received={known?.received ?? 0}>
      <div class="head">
        <a href="./" class="back" aria-label="Back to all jobs">
          ‹
        </a>
        <h1 title={job}>{name}</h1>
        {record !== null && (
          <span class="facts">
            <span>{record.container.image}</span>
            <span>{record.container.host}</span>
            <span data-lines={known?.tip}>{(known?.tip ?? 0).toLocaleString("en")} lines</span>
          </span>
        )}
        <span class="grow" />
        {known?.problem == null && <LiveState facts={known} following={following} />}
        <button
          type="button"
          class="button"
          data-follow={following ? "on" : "off"}
          aria-pressed={following}
          onClick={() => (following ? view.pane?.pause() : view.pane?.follow())}
        >
          Follow
        </button>
      </div>
      <div class="tools">
        <FindBar view={view} field={field} />
        <Toolbar view={view} />
      </div>
      {known?.problem != null && (
        <div class="notice bad" role="alert" data-problem={known.problem.status}>
          <strong>{known.problem.status === 404 ? "No such job" : "This job cannot be read"}</strong>
          <span>{known.problem.message}</span>
          <a href="./">All jobs</a>
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
          <canvas ref={canvas} class="minimap" aria-hidden="true" />
        </div>
        {known?.caughtUp === true && known.tip === 0 && (
          <p class="empty">No lines yet. They appear here as soon as the container writes one.</p>
        )}
        {!following && (
          <button type="button" class="pill" data-new-lines={news} onClick={() => view.pane?.follow()}>
            ▼ {news > 0 ? `${news.toLocaleString("en")} new ${news === 1 ? "line" : "lines"}` : "To the end"}
            {bad > 0 && ` · ${bad.toLocaleString("en")} ${bad === 1 ? "error" : "errors"}`}
          </button>
        )}
        <Announcer facts={known} following={following} />
      </div>
    </main>
  );
}

const RUNNING = new Set(["created", "running", "paused", "restarting"]);

function LiveState({ facts: known, following }: { facts: JobFacts | null; following: boolean }) {
  const socket = connection.value;
  const life = known?.record?.life;
  const ended = life !== undefined && !RUNNING.has(life.state);
  let [state, words] = ["catching-up", "Catching up"];
  if (socket.kind === "waiting" || (socket.kind === "connecting" && socket.attempt > 1)) [state, words] = ["reconnecting", "Reconnecting"];
  else if (known?.caughtUp === true) {
    if (ended) [state, words] = ["ended", endedWords(life)];
    else if (!following) [state, words] = ["paused", "Paused"];
    else [state, words] = ["live", "Live"];
  }
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

/** Lines a second, from one second to the next. */
function useRate(known: JobFacts | null): number {
  const kept = useRef({ at: 0, live: 0, rate: 0 });
  const at = now.value;
  if (known !== null && at - kept.current.at >= 900) {
    const seconds = (at - kept.current.at) / 1000;
    kept.current = { at, live: known.live, rate: kept.current.at === 0 ? 0 : Math.max(0, (known.live - kept.current.live) / seconds) };
  }
  return kept.current.rate;
}

function endedWords(life: { state: string; exit_code: number | null; oom: boolean }): string {
  if (life.state === "lost") return "Lost: its host is not heard";
  if (life.oom) return `Ended: out of memory (${life.exit_code ?? 137})`;
  return life.exit_code === null ? "Ended" : `Ended: exit ${life.exit_code}`;
}

const SPEAK_MS = 5_000;

/** Says now and then to a screen reader what came; the rows themselves are silent, or they would drown it. */
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
      setSaid(`${lines} new ${lines === 1 ? "line" : "lines"}${bad > 0 ? `, ${bad} ${bad === 1 ? "error" : "errors"}` : ""}`);
    }, SPEAK_MS);
    return () => clearInterval(timer);
  }, [following]);
  return (
    <span class="away" role="status" aria-live="polite">
      {said}
    </span>
  );
}
