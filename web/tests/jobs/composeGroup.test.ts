import { describe, expect, test } from "vitest";
import { composeGroup, MAX_MERGED_JOBS } from "../../src/jobs/composeGroup";
import { parseFilter } from "../../src/jobs/filter";
import { stateCounts } from "../../src/jobs/listing";
import { record } from "./records";

describe("jobs of a Compose project", () => {
  const container = (name: string, host: string, service: string, project = "shop") => ({
    name,
    host,
    service,
    project,
  });

  test("are the newest of each container on each host", () => {
    const old = record({ container: container("shop-api-1", "a", "api"), life: { created: 1, state: "removed" } });
    const api = record({ container: container("shop-api-1", "a", "api"), life: { created: 2 } });
    const there = record({ container: container("shop-api-1", "b", "api"), life: { created: 1 } });
    const web = record({ container: container("shop-web-1", "a", "web") });
    const other = record({ container: container("blog-api-1", "a", "api", "blog") });
    const all = [web, old, there, api, other];
    expect(composeGroup(all, "shop")).toEqual([api.job, there.job, web.job]);
    expect(composeGroup(all, "shop", "api")).toEqual([api.job, there.job]);
    expect(composeGroup(all, "none")).toEqual([]);
  });

  test("are limited in number, running ones first", () => {
    const ended = Array.from({ length: 40 }, (_, at) =>
      record({ container: container(`e-${at}`, "a", "x"), life: { created: 1_000 + at, state: "exited" } }),
    );
    const running = record({ container: container("r", "a", "x"), life: { created: 1, state: "running" } });
    const chosen = composeGroup([...ended, running], "shop");
    expect(chosen).toHaveLength(MAX_MERGED_JOBS);
    expect(chosen).toContain(running.job);
  });
});

describe("the counts above the list", () => {
  test("cover states that need attention, and their filters find as many", () => {
    const jobs = [
      record({ life: { state: "running" } }),
      record({ life: { state: "exited", exit_code: 0 } }),
      record({ life: { state: "exited", exit_code: 1 } }),
      record({ life: { state: "removed", exit_code: null, oom: true } }),
      record({ life: { state: "lost" } }),
    ];
    expect(stateCounts(jobs).map(({ name, count }) => [name, count])).toEqual([
      ["running", 1],
      ["failed", 2],
      ["lost", 1],
    ]);
    for (const { filter, count } of stateCounts(jobs)) expect(jobs.filter(parseFilter(filter))).toHaveLength(count);
  });
});
