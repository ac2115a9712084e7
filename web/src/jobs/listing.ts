/** The records as the list shows them: filtered, newest first, in groups. Pure. */
import type { JobRecord } from "../wire/messages";
import type { JobFilter } from "./filter";
import { newestFirst } from "./record";
import { failed } from "./state";

/** "" means no grouping; a label's grouping is `label:KEY`. */
export type Grouping = "" | "host" | "project" | "service" | "image" | `label:${string}`;

export interface Group {
  readonly kind: "group";
  readonly name: string;
  /** Newest first, also while the group is closed. */
  readonly jobs: readonly string[];
  readonly running: number;
  readonly closed: boolean;
}

export type Item = Group | { readonly kind: "job"; readonly record: JobRecord };

export interface Listing {
  readonly items: readonly Item[];
  /** Number of matching jobs, including those in closed groups. */
  readonly matching: number;
}

export function listingOf(
  records: Iterable<JobRecord>,
  match: JobFilter,
  grouping: Grouping,
  closed: ReadonlySet<string>,
): Listing {
  const found: JobRecord[] = [];
  for (const record of records) if (match(record)) found.push(record);
  found.sort(newestFirst);
  if (grouping === "") return { items: found.map((record) => ({ kind: "job", record })), matching: found.length };
  const groups = new Map<string, JobRecord[]>();
  for (const record of found) {
    const name = groupOf(record, grouping);
    const members = groups.get(name);
    if (members === undefined) groups.set(name, [record]);
    else members.push(record);
  }
  const items: Item[] = [];
  // The group with the newest job comes first, as in the flat list; the group without a name comes last.
  for (const [name, members] of [...groups].sort(([one], [other]) => Number(one === "") - Number(other === ""))) {
    const isClosed = closed.has(name);
    items.push({
      kind: "group",
      name,
      jobs: members.map((record) => record.job),
      running: members.filter((record) => record.life.state === "running").length,
      closed: isClosed,
    });
    if (!isClosed) for (const record of members) items.push({ kind: "job", record });
  }
  return { items, matching: found.length };
}

export function groupOf({ container }: JobRecord, grouping: Grouping): string {
  if (grouping.startsWith("label:")) return container.labels[grouping.slice(6)] ?? "";
  if (grouping === "host" || grouping === "project" || grouping === "service" || grouping === "image")
    return container[grouping] ?? "";
  return "";
}

/** A count at the top of the list. `filter` is what to type for these jobs. */
export interface StateCount {
  readonly name: "running" | "failed" | "restarting" | "lost" | "paused";
  readonly filter: string;
  readonly count: number;
}

/** Count the jobs in each state that needs attention; a state without jobs is omitted. */
export function stateCounts(records: Iterable<JobRecord>): StateCount[] {
  const counts = { running: 0, failed: 0, restarting: 0, lost: 0, paused: 0 };
  for (const { life } of records) {
    if (life.state === "running" || life.state === "restarting" || life.state === "lost" || life.state === "paused")
      counts[life.state]++;
    else if (failed(life)) counts.failed++;
  }
  return (["running", "failed", "restarting", "lost", "paused"] as const)
    .map((name) => ({ name, filter: `state:${name}`, count: counts[name] }))
    .filter(({ count }) => count > 0);
}

/** Return label keys that suit grouping: those of at least two jobs, the most used first. */
export function labelKeys(records: Iterable<JobRecord>, most = 30): string[] {
  const counts = new Map<string, number>();
  for (const { container } of records)
    for (const key of Object.keys(container.labels)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > 1)
    .sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([key]) => key);
}
