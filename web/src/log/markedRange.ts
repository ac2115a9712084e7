/** A marked range of lines of several jobs, in merged order. Pure. */
import { comparePositions, type LinePosition } from "./mergeOrder";

export interface MarkedRange {
  readonly first: LinePosition;
  readonly last: LinePosition;
}

/** Return the range between two lines, in either order. */
export function markedRange(one: LinePosition, other: LinePosition): MarkedRange {
  return comparePositions(one, other) <= 0 ? { first: one, last: other } : { first: other, last: one };
}

export function isInRange(marks: MarkedRange | null, line: LinePosition): boolean {
  return marks !== null && comparePositions(marks.first, line) <= 0 && comparePositions(line, marks.last) <= 0;
}

/** Return a range as text: "web-1 line 12", or "web-1 line 12 to api-1 line 7". */
export function markedRangeText({ first, last }: MarkedRange, names: readonly string[]): string {
  const one = ({ source, sequence }: LinePosition): string =>
    `${names[source] ?? ""} line ${sequence.toLocaleString("en")}`;
  return comparePositions(first, last) === 0 ? one(first) : `${one(first)} to ${one(last)}`;
}
