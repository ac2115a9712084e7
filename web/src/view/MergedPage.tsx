/** Several jobs at once: merged by time with a coloured name each, or side by side. */
import { signal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { register } from "../actions";
import type { Engine } from "../engine/client";
import type { Finder } from "../index/finder";
import { LogPane } from "../pane/pane";
import { urlOf } from "../route";
import { settings } from "../settings";
import { facts } from "../state";
import { formatTime, fullTime } from "../text/time";
import { JobPage } from "./JobPage";

const beside = signal(false);

export function nameOf(job: string): string {
  return facts.value.get(job)?.record?.container.name || job.slice(job.indexOf(".") + 1, job.indexOf(".") + 13);
}

export function MergedPage({ engine, finder, jobs }: { engine: Engine; finder: Finder; jobs: readonly string[] }) {
  const side = beside.value;
  const total = jobs.reduce((sum, job) => sum + (facts.value.get(job)?.tip ?? 0), 0);
  return (
    <>
      <div class="head" data-merged={jobs.length}>
        <a href="./" class="back" aria-label="Back to all jobs">
          ‹
        </a>
        <h1>{jobs.length} jobs</h1>
        <span class="chips">
          {jobs.map((job, at) => (
            <a key={job} class={`hue${at % 8}`} href={urlOf([job])}>
              {nameOf(job)}
            </a>
          ))}
        </span>
        <span class="facts">
          <span>{total.toLocaleString("en")} lines</span>
        </span>
        <span class="grow" />
        <button type="button" class="button" aria-pressed={!side} onClick={() => (beside.value = false)}>
          Merged
        </button>
        <button type="button" class="button" aria-pressed={side} onClick={() => (beside.value = true)}>
          Side by side
        </button>
      </div>
      {side ? (
        <div class="side">
          {jobs.map((job) => (
            <JobPage key={job} engine={engine} finder={finder} job={job} />
          ))}
        </div>
      ) : (
        <MergedPane engine={engine} jobs={jobs} />
      )}
    </>
  );
}

function MergedPane({ engine, jobs }: { engine: Engine; jobs: readonly string[] }) {
  const host = useRef<HTMLDivElement>(null);
  const pane = useRef<LogPane | null>(null);
  const [following, setFollowing] = useState(true);

  useEffect(() => {
    if (host.current === null) return;
    const names = (source: number): string => nameOf(jobs[source] ?? "");
    const made = new LogPane(
      host.current,
      { rows: (from, count) => engine.ask({ do: "merged", from, count }) },
      { follow: setFollowing, seen: () => undefined, drawn: () => undefined },
      {
        // Jobs began at times of their own: "since the start" would mean nothing here.
        time: (us) => formatTime(us, settings.timeMode.peek() === "relative" ? "local" : settings.timeMode.peek()),
        title: (us) => fullTime(us, settings.timeMode.peek()),
        name: names,
      },
    );
    pane.current = made;
    const stop = engine.listen((tell) => {
      if (tell.tell !== "merged") return;
      const reading = made.reading;
      if (made.following || reading === null || tell.changed > reading.row.index || !("time" in reading.row)) {
        made.update(tell.total, tell.revision);
        return;
      }
      const { row, offset } = reading;
      void engine.ask({ do: "place", source: row.source ?? 0, sequence: row.sequence, time: row.time }).then((place) => {
        if (!made.following) made.relocate(place, offset, tell.total, tell.revision);
      });
    });
    void Promise.all(jobs.map((job) => engine.ask({ do: "open", job, at: null }))).then(() => engine.ask({ do: "merge", jobs }));
    const actions = register([
      { id: "follow", group: "Move", title: "Go to the end and follow", keys: ["f", "G", "End"], run: () => made.follow() },
      { id: "pause", group: "Move", title: "Pause or follow", keys: ["Space"], run: () => (made.following ? made.pause() : made.follow()) },
      { id: "start", group: "Move", title: "Go to the first line", keys: ["g", "Home"], run: () => made.show(0) },
    ]);
    return () => {
      actions();
      stop();
      made.destroy();
      pane.current = null;
      void engine.ask({ do: "merge", jobs: [] });
      const rest = new Map(facts.peek());
      for (const job of jobs) {
        void engine.ask({ do: "close", job });
        rest.delete(job);
      }
      facts.value = rest;
    };
  }, [engine, jobs]);

  useSignalEffect(() => {
    const [mode, wrapped] = [settings.timeMode.value, settings.wrap.value];
    void [settings.density.value, settings.fontSize.value];
    host.current?.classList.toggle("nowrap", !wrapped);
    host.current?.classList.toggle("timeless", mode === "hidden");
    pane.current?.redraw();
  });

  return (
    <main class="job">
      <div class="stage">
        <div class="panes">
          <div ref={host} />
        </div>
        {!following && (
          <button type="button" class="pill" onClick={() => pane.current?.follow()}>
            ▼ To the end
          </button>
        )}
      </div>
    </main>
  );
}
