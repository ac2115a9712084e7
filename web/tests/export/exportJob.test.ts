import { beforeAll, describe, expect, test } from "vitest";
import type { OpenJob } from "../../src/engine/job";
import { exportJob } from "../../src/export/exportJob";
import { formatLine, type LineFormat, lineFilter } from "../../src/export/format";
import { LineJoiner } from "../../src/export/lineJoiner";
import { MATCH_ALL } from "../../src/index/query";
import { type Columns, prepareDecoder } from "../../src/log/body";
import { Store } from "../../src/log/store";
import { fullTime } from "../../src/text/time";
import type { Api } from "../../src/wire/api";
import { factsOf, fc, type Line } from "../support/zstd";

const JOB = `local.${"a".repeat(64)}`;
const TEXT: LineFormat = { format: "text", time: "hidden", base: 0 };
const BASE = 1_764_000_000_000_000;

function columns(streams: string, texts: readonly string[]): Columns {
  return { times: Float64Array.from(texts, (_, at) => BASE + at * 1_500_000), streams, texts };
}

function all(
  parts: readonly Columns[],
  form: LineFormat = TEXT,
  wanted: ReturnType<typeof lineFilter> = () => true,
  singly = false,
): string {
  const lines = new LineJoiner(singly);
  let [first, text] = [1, ""];
  for (const part of parts) {
    lines.add(first, part);
    first += part.texts.length;
    for (const line of lines.ready(false)) if (wanted(line)) text += formatLine(JOB, line, form);
  }
  for (const line of lines.ready(true)) if (wanted(line)) text += formatLine(JOB, line, form);
  return text;
}

describe("exported lines", () => {
  test("are complete and in order, wherever batches end and however streams are mixed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ err: fc.boolean(), pieces: fc.integer({ min: 1, max: 4 }) }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 60, maxLength: 60 }),
        fc.infiniteStream(fc.boolean()),
        (lines, cuts, luck) => {
          // Each stream's pieces in order, the two streams mixed at random.
          const queues: { [stream in "o" | "e"]: [string, string][] } = { o: [], e: [] };
          for (const [at, { err, pieces }] of lines.entries()) {
            const own = err ? "e" : "o";
            for (let piece = 0; piece < pieces; piece++) {
              const text = `${at}.${piece} `;
              queues[own].push([
                piece === 0 ? own : own.toUpperCase(),
                piece < pieces - 1 ? text.padEnd(4_200, "x") : text,
              ]);
            }
          }
          const entries: [string, string][] = [];
          while (queues.o.length + queues.e.length > 0) {
            const from = queues.o.length === 0 || (queues.e.length > 0 && luck.next().value) ? queues.e : queues.o;
            entries.push(from.shift() as [string, string]);
          }
          const parts: Columns[] = [];
          for (let at = 0, cut = 0; at < entries.length; at += cuts[cut++] ?? 1) {
            const some = entries.slice(at, at + (cuts[cut] ?? 1));
            parts.push(
              columns(
                some.map(([stream]) => stream).join(""),
                some.map(([, text]) => text),
              ),
            );
          }
          const order = entries
            .filter(([stream]) => stream === stream.toLowerCase())
            .map(([, text]) => text.split(".")[0]);
          const given = all(parts).split("\n").slice(0, -1);
          expect(given.map((line) => line.split(".")[0])).toEqual(order);
          expect(given.join("").replaceAll("\n", "").length).toBe(
            entries.reduce((sum, [, text]) => sum + text.length, 0),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test("have times in the chosen format and no escape sequences", () => {
    const part = columns("os", ["\u001b[31mred\u001b[0m", '{"event":"exited","exit_code":3}']);
    expect(all([part])).toBe("red\n-- Container exited with code 3 --\n");
    expect(all([part], { ...TEXT, time: "utc" })).toBe(
      "2025-11-24T16:00:00.000000Z red\n2025-11-24T16:00:01.500000Z -- Container exited with code 3 --\n",
    );
    expect(all([part], { ...TEXT, time: "relative", base: BASE })).toBe(
      "+0:00:00.000 red\n+0:00:01.500 -- Container exited with code 3 --\n",
    );
    expect(all([part], { ...TEXT, time: "local" })).toBe(
      `${fullTime(BASE, "local")} red\n${fullTime(BASE + 1_500_000, "local")} -- Container exited with code 3 --\n`,
    );
  });

  test("as JSON are every entry as stored", () => {
    const long = "y".repeat(4_100);
    const made = all([columns("oeO", [long, "e\u001b[1m", "rest"])], { ...TEXT, format: "jsonl" }, undefined, true);
    const read = made
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { sequence: number; line: string; stream: string; jobId: string });
    expect(read.map(({ sequence, line, stream }) => [sequence, line, stream])).toEqual([
      [1, long, "stdout"],
      [2, "e\u001b[1m", "stderr"],
      [3, "rest", "stdout"],
    ]);
  });

  test("are those that the filter keeps: stream, level, frames, text", () => {
    const part = columns("oeeeos", [
      "plain",
      "ValueError: bad",
      "    at main (app.js:1)",
      "ERROR no",
      "\u001b[31mneed\u001b[0mle",
      '{"event":"gap","reason":"rotated","count":4}',
    ]);
    const left = (query: Partial<typeof MATCH_ALL>): string[] =>
      all([part], TEXT, lineFilter({ ...MATCH_ALL, ...query }))
        .split("\n")
        .slice(0, -1);
    expect(left({ hide: ["stderr"] })).toEqual(["plain", "needle", expect.stringContaining("4 lines missing")]);
    expect(left({ hide: ["frames", "system"] })).toEqual(["plain", "ValueError: bad", "ERROR no", "needle"]);
    expect(left({ level: 5 })).toEqual(["ValueError: bad", "ERROR no", expect.stringContaining("missing")]);
    expect(left({ text: "NEEDLE" })).toEqual(["needle"]);
  });
});

describe("exported marked lines", () => {
  const piece = "y".repeat(4_100);
  const entries: Line[] = [
    ["o", "before"],
    ["o", `one ${piece}`],
    ["e", `two ${piece}`],
    ["O", `${piece} goes on `],
    ["e", "three"],
    ["O", "and ends"],
    ["o", "after"],
    ["o", "after that"],
  ].map(([stream = "", text = ""]) => ({ stream, text }));
  const store = new Store();
  beforeAll(prepareDecoder);
  // A batch ends within the line.
  for (let at = 0; at < entries.length; at += 3) store.add(factsOf(at + 1, entries.slice(at, at + 3)));

  const taken = async (
    first: number,
    last: number,
    marked: boolean,
    format: LineFormat["format"] = "text",
  ): Promise<string[]> => {
    const job = { id: JOB, store, feed: { tip: entries.length } as OpenJob["feed"] };
    const blob = await exportJob(
      job,
      {} as Api,
      { ...TEXT, format, first, last, marked, query: null },
      { cancelled: () => false, progress: () => undefined },
    );
    return (await blob.text()).split("\n").slice(0, -1);
  };

  test("are whole, however many entries they span, and end with the last marked line", async () => {
    const line = `one ${piece}${piece} goes on and ends`;
    expect(await taken(2, 2, true)).toEqual([line]);
    expect(await taken(1, 3, true)).toEqual(["before", line, `two ${piece}`]);
    expect(await taken(7, 7, true)).toEqual(["after"]);
    expect(
      (await taken(2, 2, true, "jsonl")).map((text) => (JSON.parse(text) as { sequence: number }).sequence),
    ).toEqual([2, 4, 6]);
  });

  test("are not an export of entries, which ends at its last sequence", async () => {
    expect(
      (await taken(1, 3, false, "jsonl")).map((text) => (JSON.parse(text) as { sequence: number }).sequence),
    ).toEqual([1, 2, 3]);
  });
});
