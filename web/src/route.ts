/** Where the page is: the query, so that one static file serves every address. `?job=ID[&job=ID…][&line=SEQ][&side=1]`. */
import { signal } from "@preact/signals";

export interface Route {
  readonly jobs: readonly string[];
  /** First and last sequence of a permalink. */
  readonly line: number | null;
  readonly until: number | null;
  /** Several jobs are side by side instead of merged. */
  readonly side: boolean;
}

export function parseRoute(search: string): Route {
  const query = new URLSearchParams(search);
  const jobs = [...new Set(query.getAll("job").filter((job) => /^[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{64}$/.test(job)))];
  const [, first, last] = /^([1-9]\d{0,15})(?:-([1-9]\d{0,15}))?$/.exec(query.get("line") ?? "") ?? [];
  return { jobs, line: first === undefined ? null : Number(first), until: last === undefined ? null : Number(last), side: query.get("side") === "1" };
}

export function urlOf(jobs: readonly string[], line: number | null = null, until: number | null = null, side = false): string {
  const query = new URLSearchParams();
  for (const job of jobs) query.append("job", job);
  if (line !== null) query.set("line", until === null || until === line ? String(line) : `${line}-${until}`);
  if (side) query.set("side", "1");
  const text = query.toString();
  return text === "" ? "./" : `?${text}`;
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

/** Links within the viewer stay within the page; a modifier key or another button does what it does everywhere. */
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  const href = link?.getAttribute("href") ?? "";
  if (link === null || link.hasAttribute("target") || link.hasAttribute("download") || !(href.startsWith("?") || href === "./")) return;
  event.preventDefault();
  navigate(href);
});
