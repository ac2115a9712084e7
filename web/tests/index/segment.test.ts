import { describe, expect, test } from "vitest";
import { expressionOf, MATCH_ALL, type Query } from "../../src/index/query";
import { Matcher, segmentOf } from "../../src/index/segment";
import { fc } from "../support/check";

function columns(lines: readonly { stream: string; text: string }[]) {
  return {
    times: Float64Array.from(lines, (_, at) => at),
    streams: lines.map(({ stream }) => stream).join(""),
    texts: lines.map(({ text }) => text),
  };
}

const find = (query: Partial<Query>, ...texts: string[]): number[] =>
  new Matcher({ ...MATCH_ALL, ...query }).find(segmentOf(1, columns(texts.map((text) => ({ stream: "o", text })))));

describe("searching a batch", () => {
  test("finds each line once, however often it matches", () => {
    expect(find({ text: "a" }, "a a a", "b", "xa")).toEqual([1, 3]);
    expect(find({ text: "a", matchCase: true }, "a a a", "A", "xa")).toEqual([1, 3]);
  });

  test("ignores case unless the query asks for it", () => {
    expect(find({ text: "error" }, "ERROR", "error", "none")).toEqual([1, 2]);
    expect(find({ text: "error", matchCase: true }, "ERROR", "error")).toEqual([2]);
  });

  test("takes a text literally unless it is an expression", () => {
    expect(find({ text: "a.c" }, "abc", "a.c")).toEqual([2]);
    expect(find({ text: "a.c", regex: true }, "abc", "a.c")).toEqual([1, 2]);
  });

  test("knows words of any script", () => {
    expect(find({ text: "port", word: true }, "port 80", "report", "export ports", "(port)")).toEqual([1, 4]);
    expect(find({ text: "öl", word: true }, "Öl ist teuer", "löl")).toEqual([1]);
  });

  test("searches visible text, not escape sequences", () => {
    expect(find({ text: "red herring" }, "\u001b[31mred\u001b[0m herring")).toEqual([1]);
    expect(find({ text: "[31m" }, "\u001b[31mred\u001b[0m")).toEqual([]);
  });

  test("never joins two lines, whatever the expression", () => {
    expect(find({ text: "a\\s+b", regex: true }, "a", "b", "a b")).toEqual([3]);
    expect(find({ text: "a[^x]b", regex: true }, "a", "b", "a-b")).toEqual([3]);
    expect(find({ text: "a(?!\\n)", regex: true }, "a", "b")).toEqual([1]);
    expect(find({ text: "^b$", regex: true }, "a", "b", "bb")).toEqual([2]);
  });

  test("matches every line with an expression that matches the empty text", () => {
    expect(find({ text: "x*", regex: true }, "a", "", "b")).toEqual([1, 2, 3]);
  });

  test("throws on an invalid expression when it is created", () => {
    expect(() => expressionOf({ ...MATCH_ALL, text: "(", regex: true })).toThrow(SyntaxError);
  });

  test("omits hidden streams and lower levels", () => {
    const segment = segmentOf(
      10,
      columns([
        { stream: "o", text: "INFO a" },
        { stream: "e", text: "ERROR a" },
        { stream: "s", text: '{"event":"exited","exit_code":1}' },
      ]),
    );
    expect(new Matcher({ ...MATCH_ALL, hide: ["stderr"] }).find(segment)).toEqual([10, 12]);
    expect(new Matcher({ ...MATCH_ALL, level: 5 }).find(segment)).toEqual([11, 12]);
    expect(new Matcher({ ...MATCH_ALL, text: "exited with code 1" }).find(segment)).toEqual([12]);
  });

  test("finds the same as a search line by line", () => {
    const word = fc.constantFrom("a", "b", "ab", "é", "✗", " ", "", "x1", "\t");
    const line = fc.array(word, { maxLength: 6 }).map((words) => words.join(""));
    const query = fc.record({
      text: fc.constantFrom(
        "a",
        "b",
        "ab",
        "✗",
        "a.?b",
        "^a",
        "b$",
        "\\bab\\b",
        "[^a]b",
        "\\s",
        "(a|✗)b",
        "x\\d",
        "(?<=a)b",
        "é",
      ),
      regex: fc.boolean(),
      matchCase: fc.boolean(),
      word: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), query, (texts, asked) => {
        const whole = { ...MATCH_ALL, ...asked };
        const expression = expressionOf(whole) as RegExp;
        const wanted = texts.flatMap((text, at) => {
          expression.lastIndex = 0;
          return expression.test(text) ? [at + 1] : [];
        });
        expect(find(whole, ...texts)).toEqual(wanted);
      }),
      { numRuns: 600 },
    );
  });
});
