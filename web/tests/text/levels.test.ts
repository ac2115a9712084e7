import { describe, expect, it } from "vitest";
import table from "../../../tests/contract/levels.json";
import { LEVELS, levelOf } from "../../src/text/levels";

/** A string that counts how many of its characters are read. */
class Counted {
  looked = 0;
  constructor(private readonly text: string) {}
  get length(): number {
    return this.text.length;
  }
  charCodeAt(at: number): number {
    this.looked++;
    return this.text.charCodeAt(at);
  }
  indexOf(wanted: string, from = 0): number {
    const found = this.text.indexOf(wanted, from);
    this.looked += (found < 0 ? this.text.length : found) - from + 1;
    return found;
  }
  startsWith(wanted: string, at = 0): boolean {
    this.looked += wanted.length;
    return this.text.startsWith(wanted, at);
  }
  slice(from: number, to: number): string {
    this.looked += Math.min(this.text.length, to) - from;
    return this.text.slice(from, to);
  }
  toString(): string {
    this.looked += this.text.length;
    return this.text;
  }
}

function work(line: string): number {
  const counted = new Counted(line);
  levelOf(counted as unknown as string);
  return counted.looked;
}

describe("the level that a line claims", () => {
  it("knows at least 120 lines of real programs", () => expect(table.length).toBeGreaterThanOrEqual(120));

  const rows = table as [program: string, level: string, line: string][];
  it.each([...new Set(rows.map(([program]) => program))])("is right for each line of %s", (program) => {
    for (const [of, level, line] of rows)
      if (of === program) expect([LEVELS[levelOf(line)], line]).toEqual([level, line]);
  });

  it("is that of the first of several lines", () => {
    for (const [, level, line] of rows) {
      if (level !== "")
        expect([LEVELS[levelOf(`${line}\n${"[ERROR] level=fatal trace: ".repeat(3)}`)], line]).toEqual([level, line]);
    }
  });
});

const PARTS = [
  '"',
  '{"',
  '{"a":',
  '"="',
  "level=",
  "a=b ",
  '\\"',
  "[",
  "a.",
  "Error",
  "ERROR ",
  "\n",
  "thread '",
  '"level":',
  '{"log":',
  "<",
  "1:",
  " ",
  "é",
  "npm ",
  "time=",
  'time="',
];

describe("the work for a line", () => {
  it.each(PARTS)("is linear in its length for %j after anything", (part) => {
    for (const head of PARTS) {
      const of = (n: number): number => work(head + part.repeat(Math.ceil(n / part.length)));
      // Four times the length costs little more than four times the work.
      expect(of(40_000), head).toBeLessThan(4.5 * of(10_000) + 2_000);
    }
  });
});
