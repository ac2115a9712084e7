import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { looksJson, type Token, unfold } from "../../src/text/json";

function shown(lines: Token[][] | null): string {
  return (lines ?? [])
    .map((line) => "  ".repeat(line[0]?.depth ?? 0) + line.map((token) => token.text).join(""))
    .join("\n");
}

describe("an unfolded JSON line", () => {
  it("keeps order, repeated keys and every digit", () => {
    expect(shown(unfold('{"b":1.00,"a":[1,{"x":null}],"b":12345678901234567890,"e":{},"f":[],"s":"a\\"b"}'))).toBe(
      [
        "{",
        '  "b": 1.00,',
        '  "a": [',
        "    1,",
        "    {",
        '      "x": null',
        "    }",
        "  ],",
        '  "b": 12345678901234567890,',
        '  "e": {},',
        '  "f": [],',
        '  "s": "a\\"b"',
        "}",
      ].join("\n"),
    );
  });

  it("distinguishes keys, strings, numbers and words", () => {
    const kinds = unfold('{"k":"s","n":-1e3,"t":true}')
      ?.flat()
      .filter((token) => token.kind !== "mark");
    expect(kinds?.map((token) => token.kind)).toEqual(["key", "string", "key", "number", "key", "word"]);
  });

  it("may follow a short prefix", () => {
    expect(looksJson('api-1  | {"level":"info"}')).toBe(true);
    expect(unfold('2026-11-24T10:00:00Z {"level":"info"}')).not.toBeNull();
  });

  it.each([
    "",
    "{}",
    "plain",
    "{not json}",
    '{"a":1',
    "[1,2,3]",
    "[INFO] text {x}",
    "{'a': 1}",
    `${"a".repeat(300)}{"a":1}`,
  ])("is not built from %j", (line) => {
    expect(unfold(line)).toBeNull();
  });

  it("is bounded: a document of a hundred thousand items and one a thousand levels deep", () => {
    expect(unfold(`[${Array(40_000).fill('{"a":1}').join(",")}]`) ?? []).toHaveLength(0);
    expect((unfold(`[${Array(20_000).fill('{"a":1}').join(",")}]`) ?? []).length).toBeLessThanOrEqual(2_001);
    const deep = unfold(`${'{"a":'.repeat(900)}1${"}".repeat(900)}`);
    expect(Math.max(...(deep ?? []).flat().map((token) => token.depth))).toBeLessThanOrEqual(64);
  });

  it("contains the same document, whatever it is", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value) => {
        const lines = unfold(JSON.stringify(value));
        if (lines === null || lines.length > 1_900) return;
        expect(JSON.parse(lines.map((line) => line.map((token) => token.text).join("")).join("\n"))).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
      }),
      { numRuns: 500 },
    );
  });
});
