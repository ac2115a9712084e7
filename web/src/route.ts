/**
 * The address of a page: the query, so that one static file serves every address.
 * `?job=ID[&job=ID…][&line=…][&side=1]`. A line of one job is its sequence, `7` or `7-9`; of several jobs, the
 * beginning of its container's id precedes it, `3f2a9c1b04de.7-9c1b04de3f2a.9`.
 */
import { signal } from "@preact/signals";

/** A line of one of several jobs. */
export interface JobLine {
  readonly job: string;
  readonly sequence: number;
}

export interface Route {
  readonly jobs: readonly string[];
  /** First and last sequence of a permalink. */
  readonly line: number | null;
  readonly until: number | null;
  /** The same for several merged jobs. */
  readonly mark: { readonly first: JobLine; readonly last: JobLine } | null;
  /** Several jobs are side by side instead of merged. */
  readonly side: boolean;
}

export function parseRoute(search: string): Route {
  const query = new URLSearchParams(search);
  const jobs = [...new Set(query.getAll("job").filter((job) => /^[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{64}$/.test(job)))];
  const [, first, last] = /^([1-9]\d{0,15})(?:-([1-9]\d{0,15}))?$/.exec(query.get("line") ?? "") ?? [];
  const mark = jobs.length > 1 ? parseMark(jobs, query.get("line") ?? "") : null;
  return {
    jobs,
    mark,
    line: first === undefined ? null : Number(first),
    until: last === undefined ? null : Number(last),
    side: query.get("side") === "1",
  };
}

export function urlOf(
  jobs: readonly string[],
  line: number | null = null,
  until: number | null = null,
  side = false,
): string {
  const query = new URLSearchParams();
  for (const job of jobs) query.append("job", job);
  if (line !== null) query.set("line", until === null || until === line ? String(line) : `${line}-${until}`);
  if (side) query.set("side", "1");
  const text = query.toString();
  return text === "" ? "./" : `?${text}`;
}

const CONTAINER_CHARS = 12;

function containerOf(job: string): string {
  return job.slice(job.indexOf(".") + 1);
}

function parseMark(jobs: readonly string[], text: string): Route["mark"] {
  const lines = text.split("-").map((part): JobLine | null => {
    const [, container = "", sequence] = /^([0-9a-f]{12,64})\.([1-9]\d{0,15})$/.exec(part) ?? [];
    const found = container === "" ? [] : jobs.filter((job) => containerOf(job).startsWith(container));
    return found.length === 1 ? { job: found[0] as string, sequence: Number(sequence) } : null;
  });
  const [first, last = first] = lines;
  return lines.length > 2 || first == null || last == null ? null : { first, last };
}

/** Return the address of several jobs with a marked line or range in merged order. */
export function urlOfMark(jobs: readonly string[], first: JobLine, last: JobLine): string {
  const containers = jobs.map(containerOf);
  const short = ({ job, sequence }: JobLine): string => {
    const container = containerOf(job);
    const begin = container.slice(0, CONTAINER_CHARS);
    return `${containers.filter((one) => one.startsWith(begin)).length === 1 ? begin : container}.${sequence}`;
  };
  const [one, other] = [short(first), short(last)];
  return `${urlOf(jobs)}&line=${one === other ? one : `${one}-${other}`}`;
}

export const route = signal<Route>(parseRoute(location.search));

export function navigate(url: string, replace = false): void {
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  route.value = parseRoute(location.search);
}

addEventListener("popstate", () => {
  route.value = parseRoute(location.search);
});

/** Links within the viewer do not reload the page; a modifier key or another button works as everywhere. */
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  const href = link?.getAttribute("href") ?? "";
  if (
    link === null ||
    link.hasAttribute("target") ||
    link.hasAttribute("download") ||
    !(href.startsWith("?") || href === "./")
  )
    return;
  event.preventDefault();
  navigate(href);
});
