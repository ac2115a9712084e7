import { describe, expect, it } from "vitest";
import { LEVELS, levelOf } from "../../src/text/levels";

describe("the level that a line claims", () => {
  it.each([
    ['{"level":"warn","msg":"x"}', "warn"],
    ['{"msg":"error in level","severity":"INFO"}', "info"],
    ['{"level":30,"msg":"pino"}', "info"],
    ['{"level":60,"msg":"pino"}', "fatal"],
    ['{"log.level":"error","message":"ecs"}', "error"],
    ["ts=1 level=debug msg=x", "debug"],
    ["time=\"2026\" level=error msg=\"boom\"", "error"],
    ["I1124 10:00:00.000000       1 main.go:5] klog", "info"],
    ["E1124 10:00:00.000000       1 main.go:5] klog", "error"],
    ["F1124 10:00:00.000000       1 main.go:5] klog", "fatal"],
    ["2026-11-24 10:00:00,000 ERROR root: failed", "error"],
    ["2026-11-24 10:00:00 [WARN] disk", "warn"],
    ["[error] 12#12: *1 open() failed", "error"],
    ["warning: unused variable", "warn"],
    ["npm ERR! code 1", "error"],
    ["Traceback (most recent call last):", "error"],
    ["java.lang.IllegalStateException: x", "error"],
    ["ValueError: bad", "error"],
    ["panic: runtime error: index out of range", "fatal"],
    ["thread 'main' panicked at src/main.rs:2:5:", "error"],
    ["DEBUG:root:x", "debug"],
    ["10:00 TRACE x", "trace"],
    ["GET /error HTTP/1.1 200", ""],
    ["all information is here", ""],
    ["0 errors, 0 warnings", ""],
    ["an error page was served", ""],
    ["plain text", ""],
    ["", ""],
  ])("of %j is %s", (line, level) => {
    expect(LEVELS[levelOf(line)]).toBe(level);
  });
});
