/**
 * The arithmetic between indexes in a log and pixels of a scroll bar. Pure.
 *
 * A browser's element ends at 33,554,428 px (half of that at a device pixel ratio of 2), so a million lines of 20 px do
 * not fit. The scrolled height is therefore capped. What is drawn is held by an anchor (a row and a pixel offset),
 * never by the scroll position. Below the cap the two agree; above it the scroll bar is a coarse map of indexes, and
 * wheel and keys still move by real pixels.
 */

/** Safe on every device pixel ratio up to 2, with room for wrapped rows. */
export const MAX_HEIGHT = 8_000_000;

/** Return the height that the scroll bar shows for `total` rows of `rowHeight` px. */
export function spacerHeight(total: number, rowHeight: number): number {
  return Math.min(total * rowHeight, MAX_HEIGHT);
}

/** Return where the row at `index` begins on the scroll bar, px. */
export function positionOf(index: number, total: number, rowHeight: number): number {
  if (total <= 0) return 0;
  const height = spacerHeight(total, rowHeight);
  return (index / total) * height;
}

/** Return the row that a scroll position means. At the very end it is the last row that can be at the top. */
export function indexAt(scrollTop: number, total: number, rowHeight: number, viewport: number): number {
  const height = spacerHeight(total, rowHeight);
  const most = height - viewport;
  if (total <= 0 || most <= 0) return 0;
  const share = Math.min(1, Math.max(0, scrollTop / most));
  const lastTop = Math.max(0, total - Math.floor(viewport / rowHeight));
  return Math.floor(share * lastTop);
}

/**
 * Rows are added and removed this many at a time: few enough that such a frame is as short as any other, many enough
 * that it is not every frame.
 */
export const CLUSTER = 16;
/** Screens drawn on either side of the viewport. */
const SCREENS = 1.5;
/** The same while a flood is followed: most rows are gone before anyone could scroll to them. */
export const FLOODED_SCREENS = 0.5;

/** Indexes of a list, from..to, exclusive. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Return the indexes to draw around a row: whole clusters with `screens` screens on either side. */
export function windowAround(index: number, visible: number, total: number, screens = SCREENS): Range {
  const margin = Math.ceil(visible * screens);
  const from = Math.max(0, Math.floor((index - margin) / CLUSTER) * CLUSTER);
  const to = Math.min(total, Math.ceil((index + visible + margin) / CLUSTER) * CLUSTER);
  return { from: Math.min(from, Math.max(0, to)), to };
}

/**
 * Return whether a range has its screens on either side of the viewport, up to less than a cluster, or reaches the
 * ends.
 */
export function covers(drawn: Range, first: number, last: number, total: number, visible: number): boolean {
  const margin = Math.max(Math.ceil(visible / 2), Math.ceil(visible * SCREENS) - CLUSTER);
  return (drawn.from === 0 || drawn.from <= first - margin) && (drawn.to >= total || drawn.to >= last + margin);
}

/** Return what of `wanted` to request when `drawn` exists: all of it, unless it continues `drawn` at one end. */
export function missingRange(wanted: Range, drawn: Range): Range {
  if (drawn.from >= drawn.to) return wanted;
  if (wanted.from >= drawn.from && wanted.from < drawn.to && wanted.to > drawn.to)
    return { from: drawn.to, to: wanted.to };
  if (wanted.to <= drawn.to && wanted.to > drawn.from && wanted.from < drawn.from)
    return { from: wanted.from, to: drawn.from };
  return wanted;
}
