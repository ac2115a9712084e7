/** A query means the same on the service and in the tab. tests/contract/test_search.py tests the service's side. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { expressionOf, MATCH_ALL, type Query } from "../../src/index/query";
import { Matcher, segmentOf } from "../../src/index/segment";
import { Segments } from "../../src/index/segments";
import { type ServerQuery, serverQuery } from "../../src/search/re2";
import { plain } from "../../src/text/terminal";
import { fc } from "../support/check";

interface Case {
  what: string;
  query: Pick<Query, "text" | "regex" | "matchCase" | "word">;
  server: ServerQuery | null;
  matches: string[];
  others: string[];
  /** Stream, number of "x" characters, and text; `found` are the first entries of the found lines. */
  entries?: { what: string; entries: [string, number, string][]; found: number[] }[];
}
const cases = JSON.parse(
  readFileSync(new URL("../../../tests/contract/search.json", import.meta.url), "utf8"),
) as Case[];

describe("a query for the service", () => {
  test.each(cases.map((one) => [one.what, one] as const))("%s", (_, { query, server, matches, others }) => {
    const whole = { ...MATCH_ALL, ...query };
    expect(serverQuery(whole)).toEqual(server);
    const found = (line: string): boolean => {
      const expression = expressionOf(whole) as RegExp;
      expression.lastIndex = 0;
      return expression.test(plain(line));
    };
    expect(matches.filter((line) => !found(line))).toEqual([]);
    expect(others.filter(found)).toEqual([]);
  });

  const inEntries = cases.flatMap((one) =>
    (one.entries ?? []).map((entries) => [`${one.what}: ${entries.what}`, one.query, entries] as const),
  );
  test.each(inEntries)("finds in the tab %s", (_, query, { entries, found }) => {
    for (const size of [1, 2, 100]) {
      const segments = new Segments();
      segments.look(new Matcher({ ...MATCH_ALL, hide: ["system"], ...query }));
      for (let at = 0; at < entries.length; at += size) {
        const part = entries.slice(at, at + size);
        const texts = part.map(([, times, text]) => "x".repeat(times) + text);
        segments.matchNew(
          segments.insert(
            segmentOf(at + 1, {
              times: new Float64Array(part.length),
              streams: part.map(([stream]) => stream).join(""),
              texts,
            }),
          ),
        );
      }
      expect(segments.all.flatMap((one) => segments.found(one))).toEqual(found);
    }
  });

  test("is neither empty nor longer than the service accepts", () => {
    expect(serverQuery(MATCH_ALL)).toBeNull();
    expect(serverQuery({ ...MATCH_ALL, text: "x".repeat(513) })).toBeNull();
    expect(serverQuery({ ...MATCH_ALL, text: ".".repeat(300) })).toBeNull();
  });

  test("for a plain text is an expression that finds this text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 20 }), (text) => {
        const asked = serverQuery({ ...MATCH_ALL, text, matchCase: true });
        expect(asked).not.toBeNull();
        expect(new RegExp(asked?.q ?? "").test(text)).toBe(true);
      }),
    );
  });
});
