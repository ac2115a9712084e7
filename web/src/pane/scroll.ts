/**
 * The arithmetic between places in a log and pixels of a scroll bar. Pure.
 *
 * A browser's element ends at 33,554,428 px (half of that at a device pixel ratio of 2), a million lines of 20 px do not fit. So
 * the scrolled height is capped, and what is drawn is held by an anchor (a row and a pixel offset), never by the scroll position. Below the
 * cap the two agree; above it the scroll bar is a coarse map of places, and wheel and keys still move by real pixels.
 */

/** Safe on every device pixel ratio up to 2, with room for what rows wrap. */
export const MAX_HEIGHT = 8_000_000;

/** Height that the scroll bar shows for `total` rows of `rowHeight` px. */
export function spacerHeight(total: number, rowHeight: number): number {
  return Math.min(total * rowHeight, MAX_HEIGHT);
}

/** Where the row at `place` begins on the scroll bar, px. */
export function positionOf(index: number, total: number, rowHeight: number): number {
  if (total <= 0) return 0;
  const height = spacerHeight(total, rowHeight);
  return (index / total) * height;
}

/** The row that a scroll bar's position means. At the very end it is the last row that can be at the top. */
export function indexAt(scrollTop: number, total: number, rowHeight: number, viewport: number): number {
  const height = spacerHeight(total, rowHeight);
  const most = height - viewport;
  if (total <= 0 || most <= 0) return 0;
  const share = Math.min(1, Math.max(0, scrollTop / most));
  const lastTop = Math.max(0, total - Math.floor(viewport / rowHeight));
  return Math.floor(share * lastTop);
}

/**
 * Rows are added and removed this many at a time: few enough that the frame which does it is as short as any other, many enough that it is not
 * every frame.
 */
export const CLUSTER = 16;
/** Screens that are drawn on either side of what is seen. */
const SCREENS = 1.5;
/** The same in a flood that is followed: most of it is gone before anyone could scroll there. */
export const FLOODED_SCREENS = 0.5;

/** Places of a list, from..to, exclusive. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** The places to draw around a row: whole clusters with `screens` screens on either side. */
export function windowAround(index: number, visible: number, total: number, screens = SCREENS): Range {
  const margin = Math.ceil(visible * screens);
  const from = Math.max(0, Math.floor((index - margin) / CLUSTER) * CLUSTER);
  const to = Math.min(total, Math.ceil((index + visible + margin) / CLUSTER) * CLUSTER);
  return { from: Math.min(from, Math.max(0, to)), to };
}

/** Whether a range lacks less than a cluster of its screens on either side of what is seen, or reaches the ends. */
export function covers(drawn: Range, first: number, last: number, total: number, visible: number): boolean {
  const margin = Math.max(Math.ceil(visible / 2), Math.ceil(visible * SCREENS) - CLUSTER);
  return (drawn.from === 0 || drawn.from <= first - margin) && (drawn.to >= total || drawn.to >= last + margin);
}

/** What of `wanted` must be asked for when `drawn` is there: all of it, unless it goes on from `drawn` at one end. */
export function lacking(wanted: Range, drawn: Range): Range {
  if (drawn.from >= drawn.to) return wanted;
  if (wanted.from >= drawn.from && wanted.from < drawn.to && wanted.to > drawn.to)
    return { from: drawn.to, to: wanted.to };
  if (wanted.to <= drawn.to && wanted.to > drawn.from && wanted.from < drawn.from)
    return { from: wanted.from, to: drawn.from };
  return wanted;
}
