import { beforeAll, describe, expect, test } from "vitest";
import { SequenceRanges } from "../../src/live/sequenceRanges";
import { prepareDecoder } from "../../src/log/body";
import { textOf } from "../../src/log/row";
import { rowsOf } from "../../src/log/rows";
import { Store } from "../../src/log/store";
import { factsOf, fc, type Line } from "../support/zstd";

beforeAll(prepareDecoder);

const NONE = new SequenceRanges();
const out = (text: string): Line => ({ stream: "o", text });
const err = (text: string): Line => ({ stream: "e", text });
const LONG = "x".repeat(5_000);

function storeOf(...batches: Line[][]): { store: Store; tip: number } {
  const store = new Store();
  let first = 1;
  for (const lines of batches) {
    store.add(factsOf(first, lines));
    first += lines.length;
  }
  return { store, tip: first - 1 };
}

function texts(store: Store, tip: number, from = 0, count = 1_000): string[] {
  return rowsOf(store, NONE, tip, from, count).rows.map(
    (row) => `${row.sequence} ${row.kind === "line" ? row.stream : row.kind} ${textOf(row).slice(0, 30)}`,
  );
}

/** Return the sequences of a line's pieces, from the first on. */
function piecesOf(lines: readonly Line[], sequence: number): number[] {
  const own = lines[sequence - 1]?.stream ?? "";
  const pieces = [sequence];
  for (let at = sequence + 1; at <= lines.length; at++) {
    if (lines[at - 1]?.stream === own.toUpperCase()) pieces.push(at);
    else if (lines[at - 1]?.stream === own.toLowerCase()) break;
  }
  return pieces;
}

describe("rows", () => {
  test("are the entries in order, each with its stream", () => {
    const { store, tip } = storeOf([out("a"), err("b")], [out("c")]);
    expect(texts(store, tip)).toEqual(["1 stdout a", "2 stderr b", "3 stdout c"]);
  });

  test("join continuations of a stream across entries of the other and across batches", () => {
    const { store, tip } = storeOf([out(LONG), err("between")], [{ stream: "O", text: "-end" }, out("next")]);
    const { rows } = rowsOf(store, NONE, tip, 0, 10);
    expect(rows.map((row) => [row.sequence, textOf(row)])).toEqual([
      [1, `${LONG}-end`],
      [2, "between"],
      [4, "next"],
    ]);
    expect(rows[0]).toMatchObject({ last: 3 });
  });

  test("of a very long line say how much is shown so far, and appear in every window over it", () => {
    const piece = "x".repeat(16_384);
    const { store } = storeOf([
      out("before"),
      out(piece),
      ...Array.from({ length: 19 }, (): Line => ({ stream: "O", text: piece })),
    ]);
    const row = (tip: number) => rowsOf(store, NONE, tip, tip - 2, 2).rows.find(({ sequence }) => sequence === 2);
    expect(row(21)).toMatchObject({
      last: 21,
      cut: { shown: 131_072, of: 20 * 16_384, unit: "characters", open: true },
    });
    store.add(factsOf(22, [err("between"), { stream: "O", text: piece }, { stream: "O", text: "end" }]));
    expect(row(24)).toMatchObject({ last: 24, cut: { shown: 131_072, of: 21 * 16_384 + 3, open: false } });
    store.add(factsOf(25, [out("next")]));
    expect(textOf(row(25) as never)).toHaveLength(131_072);
  });

  test("of merged entries have their lines, each as a terminal shows it, and only the first of very many", () => {
    const { store, tip } = storeOf([out("\u001b[31ma\r\n10%\r20%\n\tb\u2028\u2424"), out("c"), out("x\n".repeat(600))]);
    const [first, second, third] = rowsOf(store, NONE, tip, 0, 3).rows;
    expect(textOf(first as never)).toBe("a\n20%\n\tb\ufffd\u2424");
    expect(first).toMatchObject({ lines: 3 });
    expect(second).toMatchObject({ lines: 1, spans: [{ style: { fg: 1 } }] });
    expect(textOf(third as never)).toBe("x\n".repeat(500).slice(0, -1));
    expect(third).toMatchObject({ cut: { shown: 500, of: 601, unit: "lines" } });
  });

  test("mark a continuation whose beginning is not loaded", () => {
    const store = new Store();
    store.add(factsOf(5, [{ stream: "E", text: "tail" }, err("whole")]));
    const { rows } = rowsOf(store, NONE, 6, 4, 2);
    expect(rows).toMatchObject([
      { sequence: 5, headless: true },
      { sequence: 6, headless: false },
    ]);
  });

  test("stand for entries that are not loaded, and say which were deleted", () => {
    const store = new Store();
    store.add(factsOf(3, [out("c")]));
    expect(rowsOf(store, NONE, 4, 0, 4).rows.map(({ kind }) => kind)).toEqual([
      "loading",
      "loading",
      "line",
      "loading",
    ]);
    const gone = new SequenceRanges();
    gone.add(1, 2);
    expect(rowsOf(store, gone, 3, 0, 3).rows.map(({ kind }) => kind)).toEqual(["gone", "gone", "line"]);
  });

  test("say how many entries an undecodable batch held", () => {
    const store = new Store();
    store.add({ ...factsOf(1, [out("a"), out("b")]), body: "AAAA" });
    expect(rowsOf(store, NONE, 2, 0, 2).rows).toMatchObject([{ kind: "unreadable", count: 2 }]);
  });

  test("show system entries as sentences", () => {
    const { store, tip } = storeOf([{ stream: "s", text: '{"event":"gap","reason":"rotated","count":1200}' }]);
    const [row] = rowsOf(store, NONE, tip, 0, 1).rows;
    expect(row).toMatchObject({ kind: "event", event: "gap", bad: true });
    expect(row && textOf(row)).toContain("1,200 lines missing");
  });

  test("carry a colour left on by a stream to its next lines, not to the other stream's", () => {
    const { store, tip } = storeOf([
      out("\u001b[31mred"),
      err("plain"),
      out("still"),
      out("\u001b[0mover"),
      out("plain"),
    ]);
    const rows = rowsOf(store, NONE, tip, 0, 9).rows.map((row) =>
      row.kind === "line" ? row.spans[0]?.style?.fg : null,
    );
    expect(rows).toEqual([1, undefined, 1, undefined, undefined]);
  });

  test("are the same for every window and every order of batches", () => {
    const line = fc.record({
      stream: fc.constantFrom("o", "e", "s"),
      text: fc.constantFrom("a", "b", LONG, '{"event":"started"}'),
    });
    const batches = fc.array(fc.array(line, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        batches,
        fc.nat(20),
        fc.nat(20),
        fc.infiniteStream(fc.double({ min: 0, max: 0.99, noNaN: true })),
        (made, from, count, random) => {
          // A long entry may be continued by the next of its stream.
          const open = { o: false, e: false };
          const lines = made.map((batch) =>
            batch.map(({ stream, text }): Line => {
              if (stream !== "o" && stream !== "e") return { stream, text };
              const goesOn = open[stream] && (random.next().value as number) < 0.5;
              open[stream] = text === LONG;
              return { stream: goesOn ? stream.toUpperCase() : stream, text };
            }),
          );
          const { store, tip } = storeOf(...lines);
          const shuffled = new Store(6_000);
          let first = 1;
          const facts = lines.map((batch) => {
            const one = factsOf(first, batch);
            first += batch.length;
            return one;
          });
          for (const one of facts
            .map((batch) => ({ batch, key: random.next().value as number }))
            .sort((a, b) => a.key - b.key)) {
            shuffled.add(one.batch);
            shuffled.add(one.batch);
          }
          const all = rowsOf(store, NONE, tip, 0, tip).rows;
          expect(rowsOf(shuffled, NONE, tip, 0, tip).rows).toEqual(all);
          const end = Math.min(tip, from + count);
          // A line that began before the window is in it, with the lines between its pieces.
          const goingOn = all.filter(
            (row) =>
              row.kind === "line" &&
              row.index < from &&
              piecesOf(lines.flat(), row.sequence).some((at) => at > from && at <= end),
          );
          const begin = Math.min(from, ...goingOn.map(({ index }) => index));
          expect(rowsOf(shuffled, NONE, tip, from, count).rows).toEqual(
            all.filter((row) => row.index >= begin && row.index < end),
          );
        },
      ),
      { numRuns: 120 },
    );
  });
});
