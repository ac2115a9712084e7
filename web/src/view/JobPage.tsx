/** One job: its head, its log pane, and what can be done with it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Engine } from "../engine/client";
import type { JobFacts } from "../engine/messages";
import { LogPane } from "../pane/pane";
import { route } from "../route";
import { connection, facts, now } from "../state";
import { formatTime, fullTime } from "../text/time";

export function JobPage({ engine, job }: { engine: Engine; job: string }) {
  const host = useRef<HTMLDivElement>(null);
  const pane = useRef<LogPane | null>(null);
  const [following, setFollowing] = useState(true);
  const [pausedAt, setPausedAt] = useState({ tip: 0, errors: 0 });
  const known = facts.value.get(job) ?? null;
  const latest = useRef<JobFacts | null>(known);
  latest.current = known;

  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const { line } = route.peek();
    void engine.ask({ do: "open", job, at: line });
    const made = new LogPane(
      element,
      { rows: (from, count) => engine.ask({ do: "rows", job, from, count }) },
      {
        follow: (on) => {
          setFollowing(on);
          if (!on) setPausedAt({ tip: latest.current?.tip ?? 0, errors: latest.current?.liveErrors ?? 0 });
        },
        seen: () => undefined,
      },
      { time: (us) => formatTime(us, "local"), title: (us) => fullTime(us, "local") },
    );
    pane.current = made;
    if (line !== null) made.show(line - 1);
    const stop = engine.listen((tell) => {
      if (tell.tell === "job" && tell.facts.job === job) made.update(tell.facts.tip, tell.facts.revision);
    });
    return () => {
      stop();
      made.destroy();
      pane.current = null;
      void engine.ask({ do: "close", job });
      const rest = new Map(facts.peek());
      rest.delete(job);
      facts.value = rest;
    };
  }, [engine, job]);

  const record = known?.record ?? null;
  const news = known === null || following ? 0 : Math.max(0, known.tip - pausedAt.tip);
  const errors = known === null || following ? 0 : Math.max(0, known.liveErrors - pausedAt.errors);
  const name = record?.container.name || job.slice(job.indexOf(".") + 1, job.indexOf(".") + 13);
  useEffect(() => {
    document.title = `${name} · Logferry`;
    return () => {
      document.title = "Logferry";
    };
  }, [name]);

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
          </span>
        )}
        <span class="grow" />
        {known?.problem == null && <LiveState facts={known} following={following} />}
        <button
          type="button"
          class="button"
          data-follow={following ? "on" : "off"}
          aria-pressed={following}
          onClick={() => (following ? pane.current?.pause() : pane.current?.follow())}
        >
          {following ? "Pause" : "Follow"}
        </button>
      </div>
      {known?.problem != null && (
        <div class="notice bad" role="alert" data-problem={known.problem.status}>
          <strong>{known.problem.status === 404 ? "No such job" : known.problem.status === 403 ? "Not yours to read" : "This job cannot be read"}</strong>
          <span>{known.problem.message}</span>
          <a href="./">All jobs</a>
        </div>
      )}
      {record?.life.problem != null && <div class="notice" role="note">{record.life.problem}</div>}
      <div class="stage">
        <div ref={host} />
        {known !== null && known.caughtUp && known.tip === 0 && (
          <p class="empty">No lines yet. They appear here as soon as the container writes one.</p>
        )}
        {!following && (
          <button type="button" class="pill" data-new-lines={news} onClick={() => pane.current?.follow()}>
            ▼ {news > 0 ? `${news.toLocaleString("en")} new ${news === 1 ? "line" : "lines"}` : "Go to the end"}
            {errors > 0 && ` · ${errors.toLocaleString("en")} ${errors === 1 ? "error" : "errors"}`}
          </button>
        )}
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
  return (
    <span class={`badge ${state}`} data-live-state={state}>
      <span class="dot" aria-hidden="true" />
      {words}
      {state === "live" && last !== null && <span class="soft"> · last line {Math.max(0, Math.round((now.value - last) / 1000))} s ago</span>}
    </span>
  );
}

function endedWords(life: { state: string; exit_code: number | null; oom: boolean }): string {
  if (life.state === "lost") return "Lost: its host is not heard";
  if (life.oom) return `Ended: out of memory (${life.exit_code ?? 137})`;
  return life.exit_code === null ? "Ended" : `Ended: exit ${life.exit_code}`;
}
