import { describe, expect, it } from "vitest";
import { groupTraces, MAX_TRACE_LINES, traceRole } from "../../src/text/trace";

const TRACES: { readonly [language: string]: string } = {
  Python: `Traceback (most recent call last):
  File "/app/main.py", line 12, in <module>
    main()
    ~~~~^^
  File "/app/main.py", line 8, in main
    raise ValueError("bad")`,
  Java: `Exception in thread "main" java.lang.IllegalStateException: broken
	at com.example.App.run(App.java:42)
	at com.example.App.main(App.java:7)
Caused by: java.io.IOException: disk
	at com.example.Disk.read(Disk.java:3)
	... 2 more`,
  JavaScript: `TypeError: Cannot read properties of undefined (reading 'x')
    at handler (/app/server.js:10:15)
    at async Server.<anonymous> (/app/server.js:3:5)
    at node:internal/main/run_main_module:28:49`,
  Go: `panic: runtime error: index out of range [5] with length 3
	/app/main.go:9 +0x1d
main.main()
	/app/main.go:14 +0x20
created by main.start in goroutine 1`,
  Rust: `thread 'main' panicked at src/main.rs:2:5:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:647:5
   1: core::panicking::panic_fmt
             at /rustc/abc/library/core/src/panicking.rs:72:14`,
  Ruby: `app.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)
	from app.rb:3:in 'run'
	from app.rb:6:in '<main>'
	from app.rb:9:in '<main>'`,
  ".NET": `Unhandled exception. System.InvalidOperationException: broken
 ---> System.IO.IOException: disk
   at App.Disk.Read() in /app/Disk.cs:line 3
   --- End of inner exception stack trace ---
   at App.Main(String[] args) in /app/Program.cs:line 9`,
  PHP: `PHP Fatal error:  Uncaught Exception: broken in /app/a.php:3
#0 /app/a.php(7): run()
#1 {main}
  thrown in /app/a.php on line 3`,
};

describe("stack traces", () => {
  it.each(Object.entries(TRACES).filter(([language]) => language !== "PHP" && language !== "Ruby"))(
    "of %s are one group between other lines",
    (_language, trace) => {
      const lines = ["10:00 request 1", ...trace.split("\n"), "10:01 request 2"];
      expect(groupTraces(lines.map(traceRole))).toEqual([{ first: 1, last: lines.length - 2 }]);
    },
  );

  it.each(["PHP", "Ruby"])("of %s are found", (language) => {
    const lines = (TRACES[language] as string).split("\n");
    expect(lines.filter((line) => traceRole(line) !== null).length).toBeGreaterThanOrEqual(3);
  });

  it("leave the exception of a Python trace visible below its fold", () => {
    const lines = [...(TRACES["Python"] as string).split("\n"), "ValueError: bad"];
    expect(groupTraces(lines.map(traceRole))).toEqual([{ first: 0, last: lines.length - 2 }]);
  });

  it("are not detected in ordinary lines", () => {
    for (const line of [
      "GET / 200 12ms",
      "2026-11-24 ERROR failed to at something",
      '{"a":1}',
      "at noon we rest",
      "# comment",
      "Error rate: 3%",
      "listening on (0.0.0.0:80)",
      "done.",
      "",
    ]) {
      expect([line, traceRole(line)]).toEqual([line, null]);
    }
    expect(groupTraces(["key:", "    value", "    value", "end"].map(traceRole))).toEqual([]);
  });

  it("have a bounded number of lines in one fold", () => {
    const roles = ["head" as const, ...Array<"frame">(1_000).fill("frame")];
    expect(groupTraces(roles)[0]).toEqual({ first: 0, last: MAX_TRACE_LINES - 1 });
  });
});
