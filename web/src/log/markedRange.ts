/** Marked lines of several jobs, in the order in which they stand. Pure. */
import { byStanding, type Standing } from "./mergeOrder";

export interface Marks {
  readonly first: Standing;
  readonly last: Standing;
}

/** The range between two lines, in whichever order they were chosen. */
export function marksOf(one: Standing, other: Standing): Marks {
  return byStanding(one, other) <= 0 ? { first: one, last: other } : { first: other, last: one };
}

export function within(marks: Marks | null, line: Standing): boolean {
  return marks !== null && byStanding(marks.first, line) <= 0 && byStanding(line, marks.last) <= 0;
}

/** "web-1 line 12", or "web-1 line 12 to api-1 line 7". */
export function wordsOf({ first, last }: Marks, names: readonly string[]): string {
  const one = ({ source, sequence }: Standing): string =>
    `${names[source] ?? ""} line ${sequence.toLocaleString("en")}`;
  return byStanding(first, last) === 0 ? one(first) : `${one(first)} to ${one(last)}`;
}
