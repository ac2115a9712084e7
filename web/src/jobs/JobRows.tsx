/** The rows of the job list. Only rows near the viewport are in the page, whatever the number of jobs. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { navigate, urlOf } from "../route";
import { records } from "../state";
import { ago, durationText, fullTime } from "../text/time";
import type { JobRecord } from "../wire/messages";
import { composeGroup } from "./composeGroup";
import { countText } from "./count";
import type { Group, Item } from "./listing";
import { type Rates, rateText } from "./rates";
import { createdOf, shortHost, shortImage } from "./record";
import { stateLabel } from "./stateLabel";

interface Rows {
  readonly items: readonly Item[];
  readonly now: number;
  readonly rates: Rates;
  readonly chosen: ReadonlySet<string>;
  readonly most: number;
  choose(job: string): void;
  fold(group: string): void;
  open(jobs: readonly string[]): void;
}

/** The same widths as in jobs.css. */
const NARROW = "(max-width: 760px)";
const HEIGHT = { wide: 40, narrow: 76 };
const OVERSCAN = 8;

export function JobRows(rows: Rows) {
  const { items } = rows;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  const [active, setActive] = useState(-1);
  const height = narrow ? HEIGHT.narrow : HEIGHT.wide;

  useEffect(() => {
    const query = matchMedia(NARROW);
    const change = (): void => setNarrow(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const from = Math.max(0, Math.floor(view.top / height) - OVERSCAN);
  const to = Math.min(items.length, Math.ceil((view.top + view.height) / height) + OVERSCAN);

  const go = (at: number): void => {
    const element = box.current;
    const next = Math.max(0, Math.min(items.length - 1, at));
    if (element === null) return;
    // The header row covers the top of the viewport.
    const [above, below] = [next * height, (next + 2) * height - element.clientHeight];
    if (element.scrollTop > above) element.scrollTop = above;
    else if (element.scrollTop < below) element.scrollTop = below;
    setView({ top: element.scrollTop, height: element.clientHeight });
    setActive(next);
  };
  useLayoutEffect(() => {
    if (active >= 0)
      box.current
        ?.querySelector<HTMLElement>(`[data-at="${active}"] .job-name, [data-at="${active}"] .group-name`)
        ?.focus({ preventScroll: true });
  }, [active]);

  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const held = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
    if (held) return;
    const at = Number((event.target as HTMLElement).closest<HTMLElement>("[data-at]")?.dataset["at"] ?? active);
    const page = Math.max(1, Math.floor(view.height / height) - 2);
    const item = items[at];
    if (event.key === "ArrowDown" || event.key === "j") go(at + 1);
    else if (event.key === "ArrowUp" || event.key === "k") go(at - 1);
    else if (event.key === "PageDown") go(at + page);
    else if (event.key === "PageUp") go(at - page);
    else if (event.key === "Home" || event.key === "g") go(0);
    else if (event.key === "End" || event.key === "G") go(items.length - 1);
    else if (event.key === "x" && item?.kind === "job") rows.choose(item.record.job);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      class="jobs-table"
      role="table"
      aria-label="Jobs"
      aria-rowcount={items.length + 1}
      ref={box}
      onKeyDown={key}
      onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
      tabIndex={-1}
    >
      <div class="job-row jobs-head" role="row" aria-rowindex={1}>
        {["Choose", "State", "Name", "Image", "Project", "Host", "Age", "Lines", "Rate", "Last line"].map((name) => (
          <span key={name} role="columnheader" class={`cell at-${name.toLowerCase().replace(" ", "-")}`}>
            {name}
          </span>
        ))}
      </div>
      <div class="jobs-space" role="rowgroup" style={{ height: `${items.length * height}px` }}>
        {items.slice(from, to).map((item, offset) => {
          const at = from + offset;
          const place = {
            at,
            top: at * height,
            tab: at === Math.max(0, active) || (active < from && at === from) ? 0 : -1,
          };
          return item.kind === "group" ? (
            <GroupRow key={`group ${item.name}`} group={item} place={place} rows={rows} />
          ) : (
            <JobRow key={item.record.job} record={item.record} place={place} rows={rows} />
          );
        })}
      </div>
    </div>
  );
}

interface RowSlot {
  readonly at: number;
  readonly top: number;
  readonly tab: number;
}

function GroupRow({ group, place, rows }: { group: Group; place: RowSlot; rows: Rows }) {
  const name = group.name === "" ? "without" : group.name;
  return (
    <div
      class="job-row group-row"
      role="row"
      aria-rowindex={place.at + 2}
      data-at={place.at}
      style={{ top: `${place.top}px` }}
    >
      <span role="cell" class="cell at-group">
        <button type="button" class="group-name" aria-expanded={!group.closed} onClick={() => rows.fold(group.name)}>
          <span aria-hidden="true">{group.closed ? "▸" : "▾"}</span> {name}
        </button>
        <span class="group-count">
          {group.jobs.length} {group.jobs.length === 1 ? "job" : "jobs"}
          {group.running > 0 && `, ${group.running} running`}
        </span>
        {group.jobs.length > 1 && (
          <button type="button" class="button small" onClick={() => rows.open(group.jobs.slice(0, rows.most))}>
            Open {group.jobs.length > rows.most ? `the newest ${rows.most} ` : ""}merged
          </button>
        )}
      </span>
    </div>
  );
}

/**
 * Opens all jobs of a Compose project, or one service on all hosts, in one click. The jobs are looked up on the click.
 */
function ComposeGroupButton({
  project,
  service,
  words,
  tab,
}: {
  project: string;
  service?: string;
  words: string;
  tab: number;
}) {
  const title =
    service === undefined
      ? `All jobs of ${project}, merged by time`
      : `${service} of ${project} on all hosts, merged by time`;
  return (
    <button
      type="button"
      class="job-group-link"
      tabIndex={tab}
      title={title}
      onClick={() => navigate(urlOf(composeGroup(records.peek().values(), project, service)))}
    >
      {words}
    </button>
  );
}

function JobRow({ record, place, rows }: { record: JobRecord; place: RowSlot; rows: Rows }) {
  const { job, container, life, tip, gaps, last } = record;
  const state = stateLabel(record, rows.now);
  const name = container.name || job.split(".").at(-1)?.slice(0, 12) || job;
  const created = createdOf(record);
  const chosen = rows.chosen.has(job);
  const warning = life.problem ?? (gaps > 0 ? `${gaps} ${gaps === 1 ? "gap" : "gaps"}: lines are missing` : null);
  return (
    <div
      class="job-row"
      role="row"
      aria-rowindex={place.at + 2}
      data-at={place.at}
      data-job={job}
      data-state={life.state}
      data-chosen={chosen ? "" : undefined}
      style={{ top: `${place.top}px` }}
      onClick={(event) => {
        // The whole row is a link, except while its text is being selected.
        const taken = event.target instanceof Element && event.target.closest("a, button, input, label") !== null;
        if (!taken && event.button === 0 && document.getSelection()?.isCollapsed !== false) navigate(urlOf([job]));
      }}
    >
      <span role="cell" class="cell at-choose">
        <input
          type="checkbox"
          aria-label={`Choose ${name}`}
          checked={chosen}
          onChange={() => rows.choose(job)}
          tabIndex={place.tab}
        />
      </span>
      <span role="cell" class="cell at-state" data-tone={state.tone} title={state.words}>
        <span aria-hidden="true">{state.sign}</span> {state.words}
      </span>
      <span role="cell" class="cell at-name">
        <a class="job-name" href={urlOf([job])} tabIndex={place.tab} title={container.name}>
          {name}
        </a>
        {warning !== null && (
          <span class="job-warning" role="img" aria-label={warning} title={warning}>
            ⚠
          </span>
        )}
      </span>
      <span role="cell" class="cell at-image" title={container.image}>
        {shortImage(container.image)}
      </span>
      <span role="cell" class="cell at-project">
        {container.project !== null && (
          <>
            <ComposeGroupButton project={container.project} words={container.project} tab={place.tab} />
            {container.service !== null && container.service !== "" && (
              <>
                <span class="soft"> / </span>
                <ComposeGroupButton
                  project={container.project}
                  service={container.service}
                  words={container.service}
                  tab={place.tab}
                />
              </>
            )}
          </>
        )}
      </span>
      <span role="cell" class="cell at-host" title={container.host}>
        {shortHost(container.host)}
      </span>
      <span role="cell" class="cell at-age" title={fullTime(created * 1000, "local")}>
        {durationText(rows.now - created)}
      </span>
      <span role="cell" class="cell at-lines" title={tip.toLocaleString("en")}>
        {countText(tip)}
      </span>
      <span role="cell" class="cell at-rate">
        {rateText(rows.rates.of(record))}
      </span>
      <span role="cell" class="cell at-last-line" title={last === null ? "" : fullTime(last * 1000, "local")}>
        {last === null ? "" : ago(rows.now - last)}
      </span>
    </div>
  );
}
