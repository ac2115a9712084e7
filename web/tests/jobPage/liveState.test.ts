// @vitest-environment happy-dom
import { describe, expect, test, vi } from "vitest";
import type { JobFacts } from "../../src/engine/messages";
import { record } from "../jobs/records";

vi.stubGlobal("CSS", {});
const { liveState } = await import("../../src/jobPage/JobPage");

const OPEN = { kind: "open" } as const;

function job(
  caughtUp: boolean,
  life: Parameters<typeof record>[0] = {},
  problem: JobFacts["problem"] = null,
): JobFacts {
  return { caughtUp, problem, record: record(life) } as JobFacts;
}

describe("the live state of a job", () => {
  test("is live, paused or catching up", () => {
    expect(liveState([job(true)], true, OPEN, 0)).toEqual(["live", "Live"]);
    expect(liveState([job(true)], false, OPEN, 0)).toEqual(["paused", "Paused"]);
    expect(liveState([job(true), job(false)], true, OPEN, 0)).toEqual(["catching-up", "Catching up"]);
    expect(liveState([], true, OPEN, 0)).toEqual(["catching-up", "Catching up"]);
  });

  test("says when a lost connection is retried, and when it is not", () => {
    expect(liveState([job(true)], true, { kind: "waiting", until: 7_200 } as never, 3_000)).toEqual([
      "reconnecting",
      "Reconnecting in 5 s",
    ]);
    expect(liveState([job(true)], true, { kind: "refused", message: "" } as never, 0)).toEqual(["refused", "Not live"]);
  });

  test("says how a job ended, and of several when all have, ignoring unreadable ones", () => {
    const oom = job(true, { life: { state: "exited", exit_code: 137, oom: true } });
    const good = job(true, { life: { state: "removed", exit_code: 0 } });
    expect(liveState([oom], true, OPEN, 0)).toEqual(["ended", "Ended: out of memory (137)"]);
    expect(liveState([good, oom], true, OPEN, 0)).toEqual(["ended", "All ended"]);
    expect(liveState([good, job(true)], true, OPEN, 0)).toEqual(["live", "Live"]);
    expect(liveState([good, job(false, {}, { status: 404, message: "" })], true, OPEN, 0)).toEqual([
      "ended",
      "Ended: exit 0",
    ]);
  });
});
