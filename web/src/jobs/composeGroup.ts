/** Select jobs that belong together: a Compose project's, or one service's on all hosts. Pure. */
import type { JobRecord } from "../wire/messages";
import { newestFirst } from "./record";

/** Showing more jobs than this side by side or merged does not help a reader. */
export const MAX_MERGED_JOBS = 32;

/**
 * Return the newest job of each container name on each host, in the order of names so that colours stay. Running jobs
 * are kept first.
 */
export function composeGroup(records: Iterable<JobRecord>, project: string, service?: string): string[] {
  const newest = new Map<string, JobRecord>();
  for (const record of records) {
    const { container } = record;
    if (container.project !== project || (service !== undefined && container.service !== service)) continue;
    const place = `${container.host}\n${container.name}`;
    const known = newest.get(place);
    if (known === undefined || newestFirst(record, known) < 0) newest.set(place, record);
  }
  return [...newest.values()]
    .sort(
      (one, other) =>
        Number(other.life.state === "running") - Number(one.life.state === "running") || newestFirst(one, other),
    )
    .slice(0, MAX_MERGED_JOBS)
    .sort(
      (one, other) =>
        compare(one.container.name, other.container.name) ||
        compare(one.container.host, other.container.host) ||
        compare(one.job, other.job),
    )
    .map(({ job }) => job);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
