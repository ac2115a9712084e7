/** The list of all jobs that the reader may see: live, newest first, filtered while typing. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { register } from "../actions";
import { navigate, urlOf } from "../route";
import { jobsLoaded, jobsProblem, now, records } from "../state";
import { parseFilter } from "./filter";
import { JobRows } from "./JobRows";
import "./jobs.css";
import { MAX_MERGED_JOBS } from "./composeGroup";
import { type Grouping, labelKeys, listingOf, stateCounts } from "./listing";
import { listNotice, Notice } from "./Notice";
import { Rates } from "./rates";

const STORAGE_KEY = "logferry.jobs.grouping";

export function JobsPage({ open }: { open(jobs: readonly string[]): void }) {
  const typed = useSignal("");
  const grouping = useSignal<Grouping>(storedGrouping());
  const closed = useSignal<ReadonlySet<string>>(new Set());
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const field = useRef<HTMLInputElement>(null);
  const rates = useMemo(() => new Rates(), []);
  useSignalEffect(() => rates.note(records.value));
  const match = useComputed(() => parseFilter(typed.value));
  const listing = useComputed(() => listingOf(records.value.values(), match.value, grouping.value, closed.value));
  const counts = useComputed(() => stateCounts(records.value.values()));
  const labels = useComputed(() => labelKeys(records.value.values()));

  useEffect(
    () =>
      register([
        {
          id: "filter",
          group: "Find",
          title: "Filter the jobs",
          keys: ["/", "Ctrl+F"],
          run: () => field.current?.select(),
        },
      ]),
    [],
  );

  const { items, matching } = listing.value;
  const here = [...chosen.value].filter((job) => records.value.has(job));
  const notice = listNotice({
    loaded: jobsLoaded.value,
    problem: jobsProblem.value,
    count: records.value.size,
    matching,
    typed: typed.value,
  });

  const choose = (job: string): void => {
    const next = new Set(chosen.value);
    if (!next.delete(job)) next.add(job);
    chosen.value = next;
  };
  const fold = (name: string): void => {
    const next = new Set(closed.value);
    if (!next.delete(name)) next.add(name);
    closed.value = next;
  };
  const group = (next: Grouping): void => {
    grouping.value = next;
    closed.value = new Set();
    try {
      localStorage.setItem(STORAGE_KEY, next);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  };

  return (
    <main class="jobs">
      <form class="jobs-bar" role="search" onSubmit={(event) => event.preventDefault()}>
        <h1>Jobs</h1>
        <input
          ref={field}
          class="field jobs-filter"
          type="search"
          aria-label="Filter jobs"
          placeholder="Filter: name, image, state:running, label:tier=web, -word"
          autocomplete="off"
          spellcheck={false}
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
          }}
        />
        <label class="jobs-grouping">
          <span>Group by</span>
          <select
            class="field"
            value={grouping.value}
            onChange={(event) => group(event.currentTarget.value as Grouping)}
          >
            <option value="">nothing</option>
            <option value="host">host</option>
            <option value="project">project</option>
            <option value="service">service</option>
            <option value="image">image</option>
            {[
              ...new Set([
                ...labels.value.map((key) => `label:${key}`),
                ...(grouping.value.startsWith("label:") ? [grouping.value] : []),
              ]),
            ].map((value) => (
              <option key={value} value={value}>
                {value.slice(6)}
              </option>
            ))}
          </select>
        </label>
        <span class="jobs-count" role="status">
          {jobsLoaded.value
            ? `${matching === records.value.size ? "" : `${matching.toLocaleString("en")} of `}${records.value.size.toLocaleString("en")} jobs`
            : ""}
        </span>
      </form>
      {counts.value.length > 0 && (
        <div class="jobs-tallies" role="group" aria-label="States">
          {counts.value.map(({ name, filter, count }) => {
            const on = typed.value.split(/\s+/).includes(filter);
            return (
              <button
                key={name}
                type="button"
                class="tally"
                data-tally={name}
                aria-pressed={on}
                onClick={() => {
                  const others = typed.value.split(/\s+/).filter((word) => word !== "" && !word.startsWith("state:"));
                  typed.value = (on ? others : [...others, filter]).join(" ");
                }}
              >
                <strong>{count.toLocaleString("en")}</strong> {name}
              </button>
            );
          })}
        </div>
      )}
      {here.length > 0 && (
        <div class="jobs-chosen" role="region" aria-label="Chosen jobs">
          <span>{here.length} chosen</span>
          <button
            type="button"
            class="button primary"
            disabled={here.length > MAX_MERGED_JOBS}
            onClick={() => open(here)}
          >
            {here.length === 1 ? "Open" : "Open merged"}
          </button>
          {here.length > 1 && (
            <button
              type="button"
              class="button"
              disabled={here.length > MAX_MERGED_JOBS}
              onClick={() => navigate(urlOf(here, null, null, true))}
            >
              Side by side
            </button>
          )}
          {here.length > MAX_MERGED_JOBS && <span>At most {MAX_MERGED_JOBS} at once: select fewer.</span>}
          <button
            type="button"
            class="button quiet"
            onClick={() => {
              chosen.value = new Set();
            }}
          >
            Clear
          </button>
        </div>
      )}
      {notice !== null && <Notice notice={notice} clear={() => (typed.value = "")} />}
      {items.length > 0 && (
        <JobRows
          items={items}
          now={now.value}
          rates={rates}
          chosen={chosen.value}
          most={MAX_MERGED_JOBS}
          choose={choose}
          fold={fold}
          open={open}
        />
      )}
    </main>
  );
}

function storedGrouping(): Grouping {
  try {
    const kept = localStorage.getItem(STORAGE_KEY) ?? "";
    return kept === "host" || kept === "project" || kept === "service" || kept === "image" || kept.startsWith("label:")
      ? (kept as Grouping)
      : "";
  } catch {
    return "";
  }
}
