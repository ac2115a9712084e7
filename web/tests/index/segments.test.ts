import { describe, expect, test, vi } from "vitest";
import { MATCH_ALL, type Query } from "../../src/index/query";
import { Matcher, segmentOf } from "../../src/index/segment";
import { Segments } from "../../src/index/segments";
import { fc } from "../support/check";

// Short lines represent long ones.
vi.mock("../../src/log/continuation", () => ({ continuable: (text: string) => text.length >= 4 }));

type Entry = readonly [stream: string, text: string];

const query = (text: string, more: Partial<Query> = {}): Query => ({ ...MATCH_ALL, text, regex: true, ...more });

/** The batches of the entries, in some order. */
function batches(entries: readonly Entry[], sizes: readonly number[]): { first: number; entries: readonly Entry[] }[] {
  const made: { first: number; entries: readonly Entry[] }[] = [];
  for (let at = 0, nth = 0; at < entries.length; nth++) {
    const size = sizes[nth] ?? entries.length;
    made.push({ first: at + 1, entries: entries.slice(at, at + size) });
    at += size;
  }
  return made;
}

function segment({ first, entries }: { first: number; entries: readonly Entry[] }) {
  return segmentOf(first, {
    times: Float64Array.from(entries, (_, at) => first + at),
    streams: entries.map(([stream]) => stream).join(""),
    texts: entries.map(([, text]) => text),
  });
}

/** Joined lines: first sequence and text. */
function joined(entries: readonly Entry[]): { first: number; text: string }[] {
  const lines: { first: number; text: string; last: string }[] = [];
  const open: Record<string, (typeof lines)[number]> = {};
  for (const [at, [stream, text]] of entries.entries()) {
    const own = stream.toLowerCase();
    const line = open[own];
    if (stream !== own && line !== undefined && line.last.length >= 4) {
      line.text += text;
      line.last = text;
    } else {
      const begun = { first: at + 1, text, last: text };
      open[own] = begun;
      lines.push(begun);
    }
  }
  return lines;
}

const entry = fc.tuple(
  fc.constantFrom("o", "o", "O", "O", "O", "e", "E", "E"),
  fc.string({ unit: fc.constantFrom("a", "b", "é", "✗"), maxLength: 8 }),
);
const pattern = fc.constantFrom("aab", "^ab", "ba$", "^a*$", "b+a+b", "^$", "a.{6}b", "✗b", "(?<!a)b", "x*");

describe("lines that continue across batches", () => {
  test("are found as joined lines are, whatever the batches and their order", () => {
    const order = fc.array(fc.nat(), { minLength: 30, maxLength: 30 });
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 30 }),
        pattern,
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
        order,
        fc.nat(20),
        (entries, text, sizes, keys, asked) => {
          const expression = new RegExp(text);
          const wanted = joined(entries).flatMap((line) => (expression.test(line.text) ? [line.first] : []));
          const parts = batches(entries, sizes);
          const shuffled = [...parts].sort((a, b) => (keys[a.first % 30] as number) - (keys[b.first % 30] as number));
          const segments = new Segments();
          // The query starts when some batches are indexed.
          for (const part of shuffled.slice(0, asked)) segments.insert(segment(part));
          segments.look(new Matcher(query(text, { matchCase: true })));
          for (let at = 0; at < segments.length; at++) segments.match(at);
          for (const part of shuffled.slice(asked)) segments.matchNew(segments.insert(segment(part)));
          expect(segments.all.flatMap((one) => segments.found(one))).toEqual(wanted);
        },
      ),
      { numRuns: 400 },
    );
  });

  test("are searched in overlapping parts while they do not end", () => {
    const piece = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 4, maxLength: 8 });
    const needle = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 20 }),
        needle,
        (pieces, sizes, text) => {
          const entries = pieces.map((one, at): Entry => [at === 0 ? "o" : "O", one]);
          const whole = pieces.join("");
          for (const [asked, has] of [
            [text, whole.includes(text)],
            [`^${text}`, whole.startsWith(text)],
            [`${text}$`, whole.endsWith(text)],
          ] as const) {
            const segments = new Segments(20, 10);
            segments.look(new Matcher(query(asked)));
            for (const part of batches(entries, sizes)) segments.matchNew(segments.insert(segment(part)));
            expect([asked, segments.all.flatMap((one) => segments.found(one))]).toEqual([asked, has ? [1] : []]);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("are searched again only where they are new", () => {
    const matcher = new Matcher(query("nothing"));
    const looked = vi.spyOn(matcher, "has");
    const segments = new Segments(1_000, 100);
    segments.look(matcher);
    const work = (): number => looked.mock.calls.reduce((sum, [text]) => sum + text.length, 0);
    const write = (from: number, to: number): void => {
      for (let at = from; at < to; at++)
        segments.matchNew(
          segments.insert(segment({ first: at + 1, entries: [[at === 0 ? "o" : "O", "x".repeat(400)]] })),
        );
    };
    write(0, 100);
    const small = work();
    write(100, 400);
    expect(work() / small).toBeLessThan(5);
  });

  test("are filtered as one line, with the level and stream of their beginning", () => {
    const segments = new Segments();
    segments.look(new Matcher({ ...MATCH_ALL, level: 5 }));
    const entries: Entry[] = [
      ["o", "ERROR it"],
      ["O", "ERROR failed"],
      ["e", "ERROR"],
      ["O", "."],
      ["o", "fine"],
    ];
    for (const part of batches(entries, [1, 1, 1, 1, 1])) segments.matchNew(segments.insert(segment(part)));
    expect(segments.all.flatMap((one) => segments.found(one))).toEqual([1, 3]);
    segments.look(new Matcher({ ...MATCH_ALL, hide: ["stderr"] }));
    for (let at = 0; at < segments.length; at++) segments.match(at);
    expect(segments.all.flatMap((one) => segments.found(one))).toEqual([1, 5]);
  });
});
