/** Moves from match to match, in one job or several: to the nearest one, and only once no nearer one can appear. */
import type { LinePositions } from "../index/linePositions";
import { comparePositions, type LinePosition } from "../log/mergeOrder";

/** All matches at or after this position are known; null when all are. */
export type KnownFromPosition = LinePosition | null;

/** Nothing is known yet. */
export const NOTHING_KNOWN: LinePosition = {
  source: 0,
  sequence: Number.POSITIVE_INFINITY,
  at: Number.POSITIVE_INFINITY,
};

/**
 * Return the index of the next match from a line, wrapping around; -1 when there is none, null while it is not known.
 */
export function nearestMatch(
  list: LinePositions,
  from: LinePosition,
  by: 1 | -1,
  sure: KnownFromPosition,
): number | null {
  const last = list.length - 1;
  const next = by === 1 ? list.upTo(from) + 1 : list.before(from) - 1;
  if (sure === null) return last < 0 ? -1 : next < 0 ? last : next > last ? 0 : next;
  if (next < 0 || next > last) return null;
  const near = by === 1 ? from : list.at(next);
  // Lines of one job have no times to compare.
  const order = list.times === null ? near.sequence - sure.sequence : comparePositions(near, sure);
  return order >= 0 ? next : null;
}

export class MatchNavigator {
  private wanted: { readonly from: LinePosition; readonly by: 1 | -1 } | null = null;

  constructor(
    private readonly list: () => LinePositions,
    private readonly sure: () => KnownFromPosition,
    private readonly go: (index: number) => void,
  ) {}

  /** Go to the next match from a line, at once or when it is known which that is. */
  step(from: LinePosition, by: 1 | -1): void {
    this.wanted = { from, by };
    this.update();
  }

  /** Continue a pending step: more is known than before. */
  update(): void {
    if (this.wanted === null) return;
    const next = nearestMatch(this.list(), this.wanted.from, this.wanted.by, this.sure());
    if (next === null) return;
    this.wanted = null;
    if (next >= 0) this.go(next);
  }

  /** Cancel a pending step, because the person moved. */
  cancel(): void {
    this.wanted = null;
  }
}
