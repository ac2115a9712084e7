import { beforeAll, describe, expect, test } from "vitest";
import { MATCH_ALL } from "../../src/index/query";
import { Matcher, segmentOf } from "../../src/index/segment";
import { SequenceRanges } from "../../src/live/sequenceRanges";
import { prepareDecoder } from "../../src/log/body";
import { rowsOf } from "../../src/log/rows";
import { Store } from "../../src/log/store";
import { factsOf, type Line } from "../support/zstd";

beforeAll(prepareDecoder);

const TRACE = [
  "Traceback (most recent call last):",
  '  File "/app/a.py", line 1, in <module>',
  "    main()",
  "ValueError: bad",
];
/** A trace on stderr mixed with lines of stdout, and indented lines that belong to no trace. */
const LINES: readonly Line[] = [
  { stream: "o", text: "key:" },
  { stream: "o", text: "    value" },
  { stream: "e", text: TRACE[0] as string },
  { stream: "o", text: "request" },
  { stream: "e", text: TRACE[1] as string },
  { stream: "o", text: "    value" },
  { stream: "e", text: TRACE[2] as string },
  { stream: "e", text: TRACE[3] as string },
];

describe("stack traces in a job", () => {
  test("are detected from indented lines, per stream, also across batches", () => {
    const store = new Store();
    store.add(factsOf(1, LINES.slice(0, 4)));
    store.add(factsOf(5, LINES.slice(4)));
    const { rows } = rowsOf(store, new SequenceRanges(), LINES.length, 0, LINES.length);
    expect(rows.map((row) => (row.kind === "line" ? row.trace : row.kind))).toEqual([
      null,
      null,
      "head",
      null,
      "frame",
      null,
      "frame",
      "head",
    ]);
    expect(rows.map((row) => (row.kind === "line" ? row.frames : -1))).toEqual([0, 0, 2, 0, 0, 0, 0, 0]);
  });

  test("are folded to their heads by a search that hides frames", () => {
    const columns = {
      times: Float64Array.from(LINES, (_, at) => at),
      streams: LINES.map(({ stream }) => stream).join(""),
      texts: LINES.map(({ text }) => text),
    };
    expect(new Matcher({ ...MATCH_ALL, hide: ["frames"] }).find(segmentOf(1, columns))).toEqual([1, 2, 3, 4, 6, 8]);
  });

  test("are the same in every window", () => {
    const store = new Store();
    store.add(factsOf(1, LINES.slice(0, 4)));
    store.add(factsOf(5, LINES.slice(4)));
    const whole = rowsOf(store, new SequenceRanges(), LINES.length, 0, LINES.length).rows;
    for (let from = 1; from < LINES.length; from++) {
      expect(rowsOf(store, new SequenceRanges(), LINES.length, from, LINES.length).rows).toEqual(whole.slice(from));
    }
  });

  test("count two hundred frames at most", () => {
    const store = new Store();
    const lines = [TRACE[0] as string, ...Array<string>(900).fill("    at deep (/app/a.js:1:1)")].map((text) => ({
      stream: "e",
      text,
    }));
    store.add(factsOf(1, lines));
    expect(rowsOf(store, new SequenceRanges(), lines.length, 0, 1).rows[0]).toMatchObject({
      trace: "head",
      frames: 200,
    });
  });
});
