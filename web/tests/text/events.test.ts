import { describe, expect, it } from "vitest";
import { describeEvent } from "../../src/text/events";

describe("system entries as sentences", () => {
  it.each([
    ['{"event":"started"}', "started", "Container started", false],
    ['{"event":"restarted","restarts":3}', "restarted", "Container restarted (restart 3)", false],
    ['{"event":"exited","exit_code":0,"oom":false,"removed":false}', "exited", "Container exited with code 0", false],
    [
      '{"event":"exited","exit_code":137,"oom":true,"removed":true}',
      "exited",
      "Container exited with code 137, out of memory, removed",
      true,
    ],
    ['{"event":"exited","oom":false,"removed":true}', "exited", "Container exited, removed", false],
    [
      '{"event":"gap","reason":"rotated","count":1,"detail":""}',
      "gap",
      "1 line missing: the engine rotated them away before they were read",
      true,
    ],
    [
      '{"event":"gap","reason":"spool_full","count":41200,"start":1764000000000000,"end":1764000060000000,"detail":""}',
      "gap",
      "41,200 lines missing: the agent's spool was full, between 2025-11-24 16:00:00 UTC and 2025-11-24 16:01:00 UTC",
      true,
    ],
    [
      '{"event":"gap","reason":"quota","count":2,"start":1764000000000000,"end":1764000000900000}',
      "gap",
      "2 lines missing: the quota was used up, at 2025-11-24 16:00:00 UTC",
      true,
    ],
    ['{"event":"gap","reason":"later_reason","detail":"Ask."}', "gap", "Lines missing: later reason (Ask.)", true],
    [
      '{"event":"notice","code":"driver_unreadable","detail":"The driver none keeps nothing."}',
      "notice",
      "The driver none keeps nothing.",
      false,
    ],
    ['{"event":"notice","code":"clock_stepped"}', "notice", "clock stepped", false],
    ["not json at all", "notice", "not json at all", false],
    ["[1]", "notice", "[1]", false],
  ])("%s", (text, kind, sentence, bad) => {
    expect(describeEvent(text)).toEqual({ kind, sentence, bad });
  });

  it("are cut when they are too long", () => {
    expect(
      describeEvent(JSON.stringify({ event: "notice", code: "x", detail: "y".repeat(10_000) })).sentence.length,
    ).toBeLessThanOrEqual(512);
  });
});
