/**
 * Reading a container's output takes time linear in its length: work on 4n characters is about four times that on n.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rank } from "../../src/commandPalette/rank";
import { formatLine, lineFilter } from "../../src/export/format";
import { parseFilter } from "../../src/jobs/filter";
import { shortHost, shortImage } from "../../src/jobs/record";
import { describeEvent } from "../../src/text/events";
import { looksJson, unfold } from "../../src/text/json";
import { levelOf } from "../../src/text/levels";
import { followable, linkify, linkSpans } from "../../src/text/links";
import { plain, render } from "../../src/text/terminal";
import { traceRole, traceRoleAfter } from "../../src/text/trace";
import { workOf } from "../support/work";

const E = "\u001b";
const line = (text: string) =>
  ({ stream: "stdout", open: false, entries: [{ sequence: 1, time: 0, stream: "o", text }] }) as const;
const query = { text: "x", regex: false, matchCase: false, word: true, hide: ["frames"], level: 3 } as const;

/** Every function that takes a text of a container, an agent or a link. */
const FUNCTIONS: { readonly [name: string]: (text: string) => unknown } = {
  describeEvent,
  looksJson,
  unfold,
  levelOf,
  linkify,
  linkSpans: (text) => linkSpans([{ text: text.slice(0, 7) }, { text: text.slice(7) }]),
  followable,
  render,
  plain,
  traceRole,
  traceRoleAfter: (text) => traceRoleAfter(text, null),
  "what a row is drawn from": (text) => linkSpans(render(text).spans),
  "the text of a hyperlink": (text) => render(`${E}]8;;https://a.example/${E}\\${text}`),
  "the address of a hyperlink": (text) => render(`${E}]8;;https://${text}${E}\\text`),
  "a line written out": (text) => formatLine("job", line(text) as never, { format: "jsonl", time: "utc", base: 0 }),
  "a line that is filtered": (text) => lineFilter(query)(line(text) as never),
  "an image's short name": shortImage,
  "a host's short name": shortHost,
  "a filter as typed": parseFilter,
  "a palette's rank": (text) => rank("x", text),
};

/** Functions of `src/text` that take no line. */
const OTHERS = [
  "AA",
  "contrast",
  "luminance",
  "readable",
  "mix",
  "cssStyle",
  "hex",
  "xterm",
  "groupTraces",
  "formatTime",
  "fullTime",
  "stampText",
  "dayText",
  "ago",
  "durationText",
  "prepareLevels",
  "lineLevel",
];

const times = (unit: string, n: number): string => unit.repeat(Math.ceil(n / unit.length)).slice(0, n);
/** Repeat a unit between a beginning and an end, `n` characters in all. */
const around =
  (unit: string, begin = "", end = "") =>
  (n: number): string =>
    begin + times(unit, n - begin.length - end.length) + end;

const HOSTILE: { readonly [name: string]: (n: number) => string } = {
  "a Go frame that never opens its arguments": around("a.", "", "(!"),
  "dots and brackets": around("a.(b"),
  carets: around("^", "\t", "!"),
  "carets and spaces": around("^ ", "\t", "!"),
  "closing brackets after an address": around(")", "http://x"),
  "closing brackets of both kinds after an address": around(")]", "http://x"),
  "punctuation in an address": around("!", "http://", "a"),
  "opening brackets after an address": around("([", "http://x"),
  "many addresses": around("http://x) "),
  "schemes alone": around("http://"),
  "schemes without a host": around("://"),
  "names with dots": around("T."),
  "names with dots that end as sites do": around("a.com."),
  "names with dashes": around("a-", "www."),
  slashes: around("/"),
  "colour changes": around(`${E}[31mx${E}[0m`),
  "a colour with many numbers": around("0;", `${E}[`, "m"),
  "sequences without an end": around(`${E}[`),
  "a sequence without an end": around("0;", `${E}[`),
  "intermediate bytes without an end": around(" ", `${E}[`),
  "commands without an end": around(`${E}]x`),
  "a command without an end": around("x", `${E}]8;;http://a`),
  "strings without an end": around(`${E}P`),
  escapes: around(E),
  hyperlinks: around(`${E}]8;;http://a${E}\\x`),
  "hyperlinks to many places": (n) =>
    Array.from({ length: Math.ceil(n / 20) }, (_, at) => `${E}]8;;http://a${at}${E}\\x`)
      .join("")
      .slice(0, n),
  "erasures far from the text": around(`${E}[2000G${E}[1K`, "", "x"),
  "erasures of a long line": (n) => times("x", n / 2) + times(`${E}[1K`, n / 2),
  "deletions from a long line": (n) => `${times("x", n / 2)}\r${times(`${E}[P`, n / 2)}`,
  "insertions into a long line": (n) => `${times("x", n / 2)}\r${times(`${E}[9@`, n / 2)}`,
  "carriage returns": around("x\r"),
  backspaces: around("x\b"),
  "a progress bar": around("50% [#####]\r"),
  "tabs and a carriage return": around("\t", "\r"),
  tabs: around("\t"),
  spaces: around(" "),
  "spaces before a sign": around(" ", "", "x"),
  "no spaces": around("x"),
  words: around("word "),
  digits: around("1"),
  "opening brackets": around("[", "", "{"),
  "curly brackets": around("{"),
  "round brackets": around("("),
  "nested lists": (n) => `${times("[", n / 2 - 2)}{"":1}${times("]", n / 2 - 4)}`,
  "nested objects": (n) => {
    const depth = Math.floor((n - 1) / 6);
    return `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  },
  "a list of numbers": (n) => `[${times("1,", n - 4)}{}]`,
  "a list of texts": (n) => `[{"a":[${'"",'.repeat(Math.floor((n - 12) / 3))}""]}]`,
  "a long text in JSON": around('\\"', '{"a":"', '"}'),
  quotes: around('"', "{", "}"),
  backslashes: around("\\", '{"a":"', "}"),
  "level fields": around('"level":'),
  "level words": around("level="),
  errors: around("Error"),
  "errors with colons": around("Error: "),
  "errors with dots": around("Error.", "", "!"),
  "names and backslashes": around("a\\\\:"),
  "stack frames of PHP": around("(1", "#1 x"),
  "stack frames of Ruby": around(".rb:1:in"),
  "a thread's name": around("'", "thread '"),
  "trace marks": around("+| "),
  "line feeds": around("\n"),
  "line separators": around("\u2028"),
  "bidirectional overrides": around("\u202e"),
  "combining marks": around("\u0301", "e"),
  "lone surrogates": around("\ud83d"),
  emoji: around("\u{1f600}"),
  nulls: around("\u0000"),
};

/** Four times the characters, with room for work that is done once. */
const RATIO = 5;
/** The caps on what is read are below. */
const SMALL = 2_200;

describe.each(Object.entries(FUNCTIONS))("the work of %s", (_name, run) => {
  it.each(Object.entries(HOSTILE))("is linear in the length of %s", (_kind, make) => {
    const [small, large] = [make(SMALL), make(4 * SMALL)];
    expect(workOf(large.length, () => run(large))).toBeLessThanOrEqual(
      RATIO * workOf(small.length, () => run(small)) + 100,
    );
  });
});

describe("the work of every function", () => {
  it.each([
    ["a frame of Go that is none", `${"a.".repeat(45)}a(!`],
    ["a class of Java that is none", `${"a.".repeat(45)}Error!`],
  ])("is little for %s", (_kind, text) => {
    for (const run of Object.values(FUNCTIONS))
      expect(workOf(text.length, () => run(text))).toBeLessThan(200 * text.length);
  });

  it("is linear for any repeated text", () => {
    const pieces = [
      "a",
      ".",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      '"',
      "'",
      ":",
      "/",
      "\\",
      "^",
      "~",
      "!",
      " ",
      "\t",
      "\r",
      "\b",
      "1",
      "T.",
      "www.",
      ".com",
      "http://",
      "at ",
      "Error",
      "#1 ",
      "level=",
      E,
      `${E}[`,
      `${E}]8;;`,
      `${E}\\`,
      "m",
      ";",
      "\u0301",
      "\ud83d",
    ];
    const some = (maxLength: number): fc.Arbitrary<string> =>
      fc.array(fc.constantFrom(...pieces), { maxLength }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(
        some(3),
        some(4).filter((unit) => unit !== ""),
        some(2),
        (begin, unit, end) => {
          for (const [name, run] of Object.entries(FUNCTIONS)) {
            const [small, large] = [1, 4].map((factor) => around(unit, begin, end)(factor * 500)) as [string, string];
            const [work, more] = [workOf(small.length, () => run(small)), workOf(large.length, () => run(large))];
            // A cap may lie between the two: it makes the longer text cheaper, never the shorter one.
            expect(more, `${name}: ${JSON.stringify([begin, unit, end])}`).toBeLessThanOrEqual(
              2 * RATIO * work + 5_000,
            );
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it("is measured for all of src/text", () => {
    const modules = import.meta.glob<Record<string, unknown>>("../../src/text/*.ts", { eager: true });
    const functions = Object.values(modules).flatMap((module) =>
      Object.entries(module).filter(([, value]) => typeof value === "function"),
    );
    const missing = functions.map(([name]) => name).filter((name) => !(name in FUNCTIONS) && !OTHERS.includes(name));
    expect(missing).toEqual([]);
  });
});

describe("the work counter", () => {
  it("finds an expression with quadratic work", () => {
    const run = (n: number): number => workOf(n, () => /!+$/.test(`${"!".repeat(n)}a`));
    expect(run(400) / run(100)).toBeGreaterThan(12);
  });

  it("ends an expression with exponential work", () => {
    expect(() => workOf(40, () => /^(?:a+)+$/.test(`${"a".repeat(40)}!`))).toThrow("steps");
  });

  it("finds an expression that looks far ahead for each match", () => {
    const run = (n: number): number => workOf(n, () => "a".repeat(n).replace(/a.*b|a/g, ""));
    expect(run(400) / run(100)).toBeGreaterThan(12);
  });

  it("finds a loop that rebuilds a text for each of its characters", () => {
    const run = (n: number): number =>
      workOf(n, () => {
        for (let text = "x".repeat(n); text !== ""; ) text = text.slice(1);
      });
    expect(run(400) / run(100)).toBeGreaterThan(12);
  });

  it("agrees with the engine on every expression here", () => {
    const text = fc.string({ unit: fc.constantFrom(..."aAb1. \t(^~)[]{}:;'\"\\/-_<>#\u00e9\ud83d\n"), maxLength: 40 });
    fc.assert(
      fc.property(text, (one) => {
        for (const run of Object.values(FUNCTIONS)) workOf(Math.max(1, one.length), () => run(one));
      }),
      { numRuns: 40 },
    );
  });
});
