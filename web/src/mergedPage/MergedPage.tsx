/** The page of several jobs: merged by time with a coloured name each, or side by side at the same moment. */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { register } from "../actions";
import type { Engine } from "../engine/client";
import type { Finder } from "../index/finder";
import { JobPage, liveState } from "../jobPage/JobPage";
import { navigate, route, urlOf } from "../route";
import { toggleHidden } from "../search/searchController";
import { cycle, settings } from "../settings";
import { FindBar } from "../shell/FindBar";
import { LineFilters, MarkedToolbar } from "../shell/Toolbar";
import { connection, facts, now, records } from "../state";
import { formatTime, fullTime, TIME_MODES, type TimeMode } from "../text/time";
import { Icon } from "../ui/Icon";
import { lazy } from "../ui/lazy";
import { LinkedPanes } from "./linkedPanes";
import { MergedView } from "./mergedView";
import "./merged.css";

const ExportDialog = lazy(async () => (await import("../export/ExportDialog")).ExportDialog);

interface MergedPageProps {
  readonly engine: Engine;
  readonly finder: Finder;
  readonly jobs: readonly string[];
  readonly api: string;
}

function recordOf(job: string) {
  return facts.value.get(job)?.record ?? records.value.get(job) ?? null;
}

/** Return the names of jobs, with their hosts where two share a name. */
export function namesOf(jobs: readonly string[]): string[] {
  const names = jobs.map(
    (job) => recordOf(job)?.container.name || job.slice(job.indexOf(".") + 1, job.indexOf(".") + 13),
  );
  return names.map((name, at) =>
    names.indexOf(name) === names.lastIndexOf(name)
      ? name
      : `${name}@${recordOf(jobs[at] ?? "")?.container.host.split(".")[0] ?? ""}`,
  );
}

/** Return names without their common beginning, for a narrow column: "api-1" of "shop-api-1" and "shop-web-1". */
export function shortNames(names: readonly string[]): string[] {
  const [first = ""] = names;
  let length = 0;
  while (length < first.length && names.every((name) => name[length] === first[length])) length++;
  const cut = Math.max(...["-", "_", ".", "/"].map((sign) => first.slice(0, length).lastIndexOf(sign))) + 1;
  return names.length < 2 || names.some((name) => name.length <= cut)
    ? [...names]
    : names.map((name) => name.slice(cut));
}

export function MergedPage({ engine, finder, jobs, api }: MergedPageProps) {
  const { side } = route.value;
  const linked = useMemo(() => new LinkedPanes(), []);
  const names = namesOf(jobs);
  const title = titleOf(jobs);
  const all = jobs.map((job) => facts.value.get(job));
  const total = all.reduce((sum, one) => sum + (one?.tip ?? 0), 0);
  const away = all.reduce(
    (sum, one) => sum + (one === undefined ? 0 : Math.max(0, one.tip - one.received - one.gone)),
    0,
  );
  const broken = jobs.flatMap((job, at) => {
    const problem = facts.value.get(job)?.problem;
    return problem == null ? [] : [`${names[at]}: ${problem.message}`];
  });
  const view = useMemo(
    () => (side ? null : new MergedView(jobs, engine, finder, api, () => namesOf(jobs), timeMode)),
    [jobs.join(" "), engine, finder, api, side],
  );
  const show = (beside: boolean) => () => navigate(urlOf(jobs, null, null, beside), true);
  useEffect(() => {
    document.title = `${title} · Logferry`;
    return () => {
      document.title = "Logferry";
    };
  }, [title]);
  return (
    <main class="several">
      <div class="head" data-merged={jobs.length}>
        <a href="./" class="back" aria-label="Back to all jobs">
          ‹
        </a>
        <h1>{title}</h1>
        <span class="facts">
          <span>
            {jobs.length} jobs, {total.toLocaleString("en")} lines
          </span>
        </span>
        <span class="grow" />
        {view !== null && <MergedState jobs={jobs} following={view.following.value} />}
        {view === null && (
          <label class="linked">
            <input
              type="checkbox"
              checked={linked.on.value}
              onChange={(event) => (linked.on.value = event.currentTarget.checked)}
            />{" "}
            Same time in all panes
          </label>
        )}
        <span class="group" role="group" aria-label="Layout">
          <button type="button" class="button switch" aria-pressed={!side} onClick={show(false)}>
            <Icon name="merge" /> Merged
          </button>
          <button type="button" class="button switch" aria-pressed={side} onClick={show(true)}>
            <Icon name="columns" /> Side by side
          </button>
        </span>
      </div>
      {!side && (
        <div class="chips" role="group" aria-label="Jobs">
          {jobs.map((job, at) => (
            <span key={job} class={`chip hue${at % 8}`}>
              <a href={urlOf([job])} title={`${names[at]} alone`}>
                {names[at]}
              </a>
              {jobs.length > 2 && (
                <button
                  type="button"
                  aria-label={`Remove ${names[at]}`}
                  title="Remove"
                  onClick={() => navigate(urlOf(jobs.filter((other) => other !== job)))}
                >
                  ×
                </button>
              )}
            </span>
          ))}
        </div>
      )}
      {broken.length > 0 && (
        <div class="notice bad" role="alert">
          {broken.join(" ")}
        </div>
      )}
      {view === null ? (
        <div class="side">
          {jobs.map((job) => (
            <JobPage key={job} engine={engine} finder={finder} job={job} api={api} linked={linked} />
          ))}
        </div>
      ) : (
        <MergedPane view={view} title={title} away={away} />
      )}
    </main>
  );
}

/** Shows whether all jobs are live and the end is followed. */
function MergedState({ jobs, following }: { jobs: readonly string[]; following: boolean }) {
  const known = jobs.flatMap((job) => facts.value.get(job) ?? []);
  const [state, words] = liveState(known.length < jobs.length ? [] : known, following, connection.value, now.value);
  return (
    <span class={`badge ${state}`} data-live-state={state}>
      <span class="dot" aria-hidden="true" />
      {words}
    </span>
  );
}

/** Return what the jobs have in common: a service of a project, the project, or only their number. */
function titleOf(jobs: readonly string[]): string {
  const containers = jobs.map((job) => recordOf(job)?.container);
  const [first] = containers;
  if (first?.project == null || containers.some((one) => one?.project !== first.project)) return `${jobs.length} jobs`;
  if (first.service === null || containers.some((one) => one?.service !== first.service)) return first.project;
  return `${first.project} / ${first.service}`;
}

/** Jobs have different starts, so "since the start" means nothing here. */
const MODES: readonly TimeMode[] = TIME_MODES.filter((mode) => mode !== "relative");

function timeMode(): TimeMode {
  const mode = settings.timeMode.peek();
  return MODES.includes(mode) ? mode : "local";
}

function MergedPane({ view, title, away }: { view: MergedView; title: string; away: number }) {
  const { jobs } = view;
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (host.current === null || canvas.current === null) return;
    view.attach(
      host.current,
      canvas.current,
      {
        time: (us) => formatTime(us, timeMode()),
        title: (us) => fullTime(us, settings.timeMode.peek()),
        name: (source) => shortNames(namesOf(jobs))[source] ?? "",
      },
      route.peek().mark,
    );
    const page = (by: number) => () => view.pane?.scrollBy(by * (view.pane.pageHeight - 40));
    const actions = register([
      {
        id: "find",
        group: "Find",
        title: "Search these jobs",
        keys: ["/", "Ctrl+F"],
        run: () => field.current?.select(),
      },
      { id: "next-match", group: "Find", title: "Next match", keys: ["n"], run: () => view.step(1) },
      { id: "previous-match", group: "Find", title: "Previous match", keys: ["N"], run: () => view.step(-1) },
      { id: "next-error", group: "Find", title: "Next error", keys: ["e"], run: () => view.stepError(1) },
      { id: "previous-error", group: "Find", title: "Previous error", keys: ["E"], run: () => view.stepError(-1) },
      {
        id: "only-matches",
        group: "Find",
        title: "Show only matching lines, or all lines",
        keys: ["m"],
        run: () => view.search(view.find.query.peek(), !view.find.filtering.peek()),
      },
      {
        id: "follow",
        group: "Move",
        title: "Go to the end and follow",
        keys: ["f", "G", "End"],
        run: () => view.pane?.follow(),
      },
      {
        id: "pause",
        group: "Move",
        title: "Pause or follow",
        keys: ["Space"],
        run: () => (view.following.peek() ? view.pane?.pause() : view.pane?.follow()),
      },
      { id: "start", group: "Move", title: "Go to the first line", keys: ["g", "Home"], run: () => view.pane?.show(0) },
      { id: "down", group: "Move", title: "Next line", keys: ["j"], run: () => view.move(1) },
      { id: "up", group: "Move", title: "Previous line", keys: ["k"], run: () => view.move(-1) },
      { id: "page-down", group: "Move", title: "Page down", keys: ["PageDown", "d"], run: page(1) },
      { id: "page-up", group: "Move", title: "Page up", keys: ["PageUp", "u"], run: page(-1) },
      {
        id: "stdout",
        group: "Show",
        title: "Show or hide stdout",
        keys: ["1"],
        run: () => toggleHidden(view, "stdout"),
      },
      {
        id: "stderr",
        group: "Show",
        title: "Show or hide stderr",
        keys: ["2"],
        run: () => toggleHidden(view, "stderr"),
      },
      {
        id: "frames",
        group: "Show",
        title: "Fold or unfold stack traces",
        keys: ["3"],
        run: () => toggleHidden(view, "frames"),
      },
      {
        id: "time",
        group: "Show",
        title: "Times: local, UTC, hidden",
        keys: ["t"],
        run: () => cycle(settings.timeMode, MODES),
      },
      {
        id: "wrap",
        group: "Show",
        title: "Wrap or unwrap long lines",
        keys: ["w"],
        run: () => cycle(settings.wrap, [true, false]),
      },
      { id: "fold", group: "Show", title: "Unfold or fold the line (JSON)", keys: ["o"], run: () => view.fold() },
      { id: "copy", group: "Export", title: "Copy the marked lines", keys: ["y"], run: () => void view.copy(false) },
      {
        id: "copy-times",
        group: "Export",
        title: "Copy the marked lines with times and names",
        keys: ["Y"],
        run: () => void view.copy(true),
      },
      {
        id: "unmark",
        group: "Export",
        title: "Unmark the lines",
        keys: ["Escape"],
        run: () => view.markedLines.peek() !== null && view.unmark(),
      },
      {
        id: "link",
        group: "Export",
        title: "Copy a link to this line",
        keys: ["l"],
        run: () => void navigator.clipboard.writeText(view.link),
      },
      {
        id: "export",
        group: "Export",
        title: "Export or copy lines",
        keys: ["D"],
        run: () => (view.dialog.value = "export"),
      },
    ]);
    return () => {
      actions();
      view.destroy();
      const rest = new Map(facts.peek());
      for (const job of jobs) rest.delete(job);
      facts.value = rest;
    };
  }, [view]);

  useSignalEffect(() => {
    const [mode, wrapped] = [settings.timeMode.value, settings.wrap.value];
    void [settings.density.value, settings.fontSize.value, records.value];
    host.current?.classList.toggle("nowrap", !wrapped);
    host.current?.classList.toggle("timeless", mode === "hidden");
    view.pane?.redraw();
  });

  const following = view.following.value;
  const arrived = view.arrived(facts.value);
  const news = following ? 0 : Math.max(0, arrived.lines - view.pausedAt.value.lines);
  const bad = following ? 0 : Math.max(0, arrived.errors - view.pausedAt.value.errors);
  const lost = view.notShown.value;
  return (
    <section class="job" aria-label="Merged lines">
      <div class="tools">
        <FindBar view={view} field={field} hint="Search these jobs   /" />
        <div class="actions" role="toolbar" aria-label="Lines">
          <LineFilters view={view} />
          <button
            type="button"
            class="button switch"
            title="Export or copy lines (D)"
            onClick={() => (view.dialog.value = "export")}
          >
            <Icon name="download" /> Download
          </button>
          {away > 0 && (
            <button
              type="button"
              class="button switch"
              title="Older lines are not loaded; searches find matches in them too"
              onClick={() => view.find.loadAll()}
            >
              {view.find.loading.value
                ? `Loading ${away.toLocaleString("en")} older lines…`
                : `Load ${away.toLocaleString("en")} older lines`}
            </button>
          )}
        </div>
      </div>
      {lost !== null && (
        <div class="notice" role="alert">
          {lost}
        </div>
      )}
      <div class="stage">
        <div class="panes">
          <div ref={host} />
          {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas without tabindex takes no focus */}
          <canvas ref={canvas} class="minimap" aria-hidden="true" />
        </div>
        <MarkedToolbar view={view} />
        {!following && (
          <button type="button" class="pill" data-new-lines={news} onClick={() => view.pane?.follow()}>
            ▼ {news > 0 ? `${news.toLocaleString("en")} new ${news === 1 ? "line" : "lines"}` : "To the end"}
            {bad > 0 && ` · ${bad.toLocaleString("en")} ${bad === 1 ? "error" : "errors"}`}
          </button>
        )}
      </div>
      {view.dialog.value === "export" && (
        <ExportDialog
          view={view}
          name={title}
          whole="All lines of these jobs"
          modes={MODES}
          close={() => (view.dialog.value = null)}
        />
      )}
    </section>
  );
}
