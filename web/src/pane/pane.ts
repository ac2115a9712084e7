/**
 * The log pane: draws a window of rows of a list that may have millions, and never moves what is being read.
 *
 * A scroller holds a spacer (the whole list's height, capped) and an absolutely placed block of drawn rows. Rows are in
 * normal flow within the block, so a wrapped row can never overlap the next. A reference row holds the view in place.
 * Before the block changes, one drawn row that stays is measured against the viewport; after the change the block is
 * moved so that this row is where it was. The scroll position only tells how far the reader moved since. When nothing
 * moves for a moment, block and scroll bar are made to agree by moving both by the same amount, which is invisible.
 *
 * While following, the last row's end stays at the viewport's end. Following ends with a person's action to go up,
 * never by geometry.
 */
import type { Row, RowWindow } from "../log/row";
import { type CutRow, type Drawing, drawRow, withNewCut } from "./rowView";
import { covers, FLOODED_SCREENS, missingRange, type Range as Places, windowAround } from "./scroll";
import { type Drawn, type Reference, VirtualRows } from "./virtualRows";

export interface Source {
  rows(from: number, count: number): Promise<RowWindow>;
}

export interface PaneEvents {
  /** Following began or ended. */
  follow(following: boolean): void;
  /** Indexes of the first and last visible row. */
  seen(first: number, last: number, total: number): void;
  /** Rows are about to be redrawn: their selection can still be read. */
  drawing?(): void;
  /** Rows were redrawn. */
  drawn(rows: readonly Drawn[]): void;
}

interface Goal {
  readonly index: number;
  readonly align: number;
  readonly offset?: number;
}

/** After this time without movement, scroll bar and rows are made to agree. */
const IDLE_MS = 160;
/** Request rows at most this often while the list grows. */
const GROW_MS = 90;

export class LogPane {
  following = true;
  /** The requested rows, and the jump they are for; the answer may hold only the missing ones. */
  private pending: (Places & { readonly goal: Goal | null }) | null = null;
  private generation = 0;
  /**
   * The list grew in front of the drawn rows, and their new indexes are not known yet: indexes are useless until then.
   */
  private unplaced = false;
  private growths = 0;
  /** Drawn rows have the indexes from before the list grew in front of them. */
  private outdated = false;
  private revision = -1;
  private idle: ReturnType<typeof setTimeout> | undefined;
  /** The first index that may have changed since rows were requested. */
  private changed = Number.POSITIVE_INFINITY;
  /** More rows arrived since the last drawing than fill the viewport. */
  private flooded = false;
  private growing: ReturnType<typeof setTimeout> | undefined;
  private grownAt = 0;
  private frame = 0;
  private stale = false;
  /** Set by a jump: this row goes to `align` of the viewport when its window arrives. */
  private goal: Goal | null = null;
  private readonly rowList: VirtualRows;
  private readonly resizes: ResizeObserver;
  private touchY = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly source: Source,
    private readonly events: PaneEvents,
    public drawing: Drawing,
  ) {
    host.classList.add("pane");
    host.tabIndex = 0;
    host.setAttribute("role", "log");
    host.setAttribute("aria-live", "off");
    host.setAttribute("aria-label", "Log lines");
    this.rowList = new VirtualRows(host);
    host.addEventListener("scroll", () => this.scrolled(), { passive: true });
    host.addEventListener("wheel", (event) => this.wheel(event.deltaY), { passive: true });
    host.addEventListener("touchstart", (event) => (this.touchY = event.touches[0]?.clientY ?? 0), { passive: true });
    host.addEventListener("touchmove", (event) => this.touched(event.touches[0]?.clientY ?? 0), { passive: true });
    this.resizes = new ResizeObserver(() => this.resized());
    this.resizes.observe(host);
  }

  destroy(): void {
    this.resizes.disconnect();
    clearTimeout(this.idle);
    clearTimeout(this.growing);
    cancelAnimationFrame(this.frame);
    this.generation++;
    this.growths++;
    this.rowList.destroy();
  }

  get rows(): readonly Row[] {
    return this.rowList.drawn.map(({ row }) => row);
  }

  /**
   * Set the list's length to `total`. `revision` differs whenever drawn rows may have changed, except those before
   * index `changed`.
   */
  update(total: number, revision: number, changed = 0): void {
    if (total === this.rowList.total && revision === this.revision) return;
    this.resetTotal(total, revision);
    this.changed = Math.min(this.changed, changed);
    if (this.growing !== undefined) return;
    const wait = Math.max(0, GROW_MS - (performance.now() - this.grownAt));
    this.growing = setTimeout(() => {
      this.growing = undefined;
      this.grownAt = performance.now();
      this.grow();
    }, wait);
  }

  /** Set the list's first length before anything is drawn, so that one of its rows may be shown next. */
  resetTotal(total: number, revision: number): void {
    this.rowList.total = total;
    this.revision = revision;
  }

  /** Request everything again for another list, or the same list drawn differently. What is in view stays in place. */
  refresh(): void {
    this.stale = true;
    this.request(true);
  }

  follow(): void {
    this.goal = null;
    this.setFollowing(true);
    this.request(true);
  }

  pause(): void {
    this.setFollowing(false);
  }

  /** Show a row; `align` 0 puts it at the top of the viewport, 0.5 in the middle. */
  show(index: number, align = 0.35): void {
    this.setFollowing(false);
    const { total, range, drawn } = this.rowList;
    const goal = { index: Math.max(0, Math.min(index, Math.max(0, total - 1))), align };
    this.goal = goal;
    const here = !this.outdated && drawn.some(({ row }) => row.index >= goal.index);
    if (here && range.from <= goal.index && goal.index < range.to && !this.stale) {
      this.reach(goal);
      this.ensure();
      return;
    }
    this.request(true);
  }

  /** The first row in view, and how far below the viewport's top it begins. */
  get reading(): { row: Row; offset: number } | null {
    const first = this.rowList.firstSeen;
    return first === null ? null : { row: first.row, offset: this.rowList.offsetOf(first) };
  }

  /** Return the first row in view that is `wanted`, in the same form. */
  readingOf(wanted: (row: Row) => boolean): { row: Row; offset: number } | null {
    const { rowList } = this;
    const [first, last] = rowList.visible;
    const found = rowList.drawn.find(({ row }) => row.index >= first && row.index <= last && wanted(row));
    return found === undefined ? null : { row: found.row, offset: rowList.offsetOf(found) };
  }

  /** Whether drawn rows have the indexes from before the list grew in front of them. */
  get placing(): boolean {
    return this.unplaced || this.goal?.offset !== undefined;
  }

  /**
   * The list grew in front of the row that is read. That row stays in place, whatever is scrolled until its new index
   * is known.
   */
  async grownBefore(total: number, revision: number, indexOf: (row: Row) => Promise<number>): Promise<void> {
    this.resetTotal(total, revision);
    // Pending requests use outdated indexes.
    this.forget();
    this.outdated = true;
    if (this.goal?.offset !== undefined) this.goal = null;
    const anchor = this.rowList.firstSeen?.row;
    const growth = this.growths;
    if (anchor !== undefined && this.goal === null && !this.following) {
      this.unplaced = true;
      const index = await indexOf(anchor);
      if (growth !== this.growths) return;
      this.unplaced = false;
      // A scroll may not have been reported yet.
      this.scrolled();
      const now = this.rowList.drawn.find(({ row }) => row === anchor);
      if (now !== undefined && this.goal === null && !this.following)
        this.goal = { index, align: 0.5, offset: this.rowList.offsetOf(now) };
    }
    this.request(true);
  }

  /**
   * The list changed in front of the row that is read, which is now at `index`: redraw everything and keep that row in
   * place.
   */
  private relocate(index: number, offset: number): void {
    this.goal = { index, align: 0.5, offset };
    this.request(true);
  }

  /** Scroll by pixels, as a wheel would. */
  scrollBy(pixels: number): void {
    if (pixels < 0) this.setFollowing(false);
    this.host.scrollTop += pixels;
    // The browser reports it with the next frame only. By then a jump may have been requested, which the report would
    // undo.
    this.scrolled();
  }

  focus(): void {
    this.host.focus({ preventScroll: true });
  }

  /** Scroll just far enough to show a drawn row whole. */
  reveal(index: number): void {
    const element = this.rowList.elementOf(index);
    const distance = element === null ? 0 : this.rowList.distanceTo(element);
    if (distance !== 0) this.scrollBy(distance);
  }

  /** Whether a row that is to be shown has not arrived yet. */
  get arriving(): boolean {
    return this.goal !== null;
  }

  /** Scroll within a row that is higher than the viewport, by almost a page; return whether there was more of it. */
  pageWithin(index: number, by: number): boolean {
    const element = this.rowList.elementOf(index);
    if (element === null) return false;
    const [row, view] = [element.getBoundingClientRect(), this.host.getBoundingClientRect()];
    const left = by > 0 ? row.bottom - view.bottom : view.top - row.top;
    if (row.height <= view.height || left < 1 || row.bottom <= view.top || row.top >= view.bottom) return false;
    this.scrollBy(Math.sign(by) * Math.min(left, this.pageHeight - 40));
    return true;
  }

  /** Scroll to a match in a row when it is out of view: a line may be wider or higher than the viewport. */
  revealRange(range: Range): void {
    const [found, view] = [range.getBoundingClientRect(), this.host.getBoundingClientRect()];
    if (found.top < view.top || found.bottom > view.bottom)
      this.scrollBy(found.top - view.top - this.pageHeight * 0.35);
    if (found.left < view.left || found.right > view.right)
      this.host.scrollLeft += found.left - view.left - view.width * 0.5;
  }

  /** Unfold a row whose line is JSON, or fold it again; what is above it does not move. */
  async fold(element: HTMLElement): Promise<void> {
    this.setFollowing(false);
    // Loaded on first use.
    const { foldElement } = await import("./fold");
    const open = element.querySelector(".fold");
    if (open !== null) open.remove();
    else {
      const made = foldElement(element.querySelector(".text")?.textContent ?? "");
      if (made === null) return;
      made.classList.add("fold");
      element.append(made);
    }
    element.toggleAttribute("data-open", open === null);
    this.rowList.resize();
    this.rowList.edges();
  }

  get pageHeight(): number {
    return this.rowList.viewport;
  }

  elementOf(index: number): HTMLElement | null {
    return this.rowList.elementOf(index);
  }

  // --- input -------------------------------------------------------------------------------------------------------

  private wheel(delta: number): void {
    if (delta < 0) this.setFollowing(false);
    else if (delta > 0 && this.rowList.atEnd) this.setFollowing(true);
  }

  private touched(y: number): void {
    if (y > this.touchY + 4) this.setFollowing(false);
    this.touchY = y;
  }

  private scrolled(): void {
    const moved = this.rowList.moved();
    if (moved === 0) return;
    // Only the position shows that the thumb was dragged up; our own moves are not reported.
    if (moved < 0 && this.following) this.setFollowing(false);
    this.whenIdle();
    const index = this.rowList.jumpedTo;
    // What must stay in place moves with the rest.
    const kept = this.goal?.offset === undefined ? null : { ...this.goal, offset: this.goal.offset - moved };
    this.goal = index === null ? kept : { index, align: 0 };
    this.soon(() => (index === null ? this.ensure() : this.request(true)));
  }

  private resized(): void {
    this.rowList.measure();
    if (this.following) this.stick();
    this.ensure();
  }

  private setFollowing(following: boolean): void {
    if (this.following === following) return;
    this.following = following;
    this.events.follow(following);
    if (following) this.request(true);
  }

  // --- requesting rows ---------------------------------------------------------------------------------------------

  private grow(): void {
    this.rowList.resize();
    const { drawn, range, total, screen } = this.rowList;
    this.flooded = total - range.to > screen;
    // A reader of older rows is not disturbed: growth below affects only the scroll bar.
    if (!this.following && this.changed >= range.to && drawn.every(({ row }) => isWhole(row))) this.ensure();
    else this.refresh();
    this.changed = Number.POSITIVE_INFINITY;
  }

  private ensure(): void {
    const { rowList } = this;
    const [first, last] = rowList.visible;
    this.events.seen(first, last, rowList.total);
    // A growing list is followed at its own pace, not after each answer.
    if (this.following && this.growing !== undefined) return;
    // Wait for a pending request as long as it will show what is in view: a new request each frame would never be
    // answered in time.
    if (this.pending !== null && this.pending.from <= first && this.pending.to > last) return;
    if (!covers(rowList.range, first, last, rowList.total, rowList.screen)) this.request(false);
  }

  /** Request the window around the rows to show. With `anew`, also when that window is drawn, and all of it. */
  private request(anew: boolean): void {
    if (this.unplaced && this.goal === null && !this.following) return;
    const { total, screen, range } = this.rowList;
    const around = this.following ? Math.max(0, total - screen) : (this.goal?.index ?? this.rowList.visible[0]);
    const wanted = windowAround(around, screen, total, this.following && this.flooded ? FLOODED_SCREENS : undefined);
    if (wanted.to <= wanted.from) {
      if (total === 0) this.apply({ from: 0, to: 0, total: 0, rows: [] }, wanted, this.goal);
      return;
    }
    const same = (other: Places | null): boolean => other?.from === wanted.from && other.to === wanted.to;
    if (!anew && (same(this.pending) || same(range))) return;
    // A dragged thumb jumps every frame: each answer is shown, and then the newest position is requested.
    const dragged = this.pending?.goal?.align === 0 && this.goal?.align === 0;
    if (this.pending !== null && anew && (dragged || same(this.pending))) {
      this.stale = true;
      return;
    }
    const { goal } = this;
    const part = anew || this.stale ? wanted : missingRange(wanted, range);
    this.stale = false;
    this.pending = { ...wanted, goal };
    const generation = ++this.generation;
    this.source.rows(part.from, part.to - part.from).then(
      (window) => {
        if (generation !== this.generation) return;
        this.pending = null;
        if (this.goal?.offset !== undefined) this.scrolled();
        const [seen] = this.rowList.visible;
        // An answer for a position that was left (following ended in the meantime) would move what is read.
        const elsewhere =
          !this.following &&
          this.goal === null &&
          this.rowList.drawn.length > 0 &&
          (seen < wanted.from || seen >= wanted.to);
        if (elsewhere) this.stale = true;
        else this.apply(window, wanted, goal?.align === 0 && this.goal?.align === 0 ? goal : this.goal);
        if (this.stale) this.request(true);
        else this.ensure();
      },
      () => {
        if (generation === this.generation) this.pending = null;
      },
    );
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  /** Draw the indexes `wanted`: rows of the new window, and drawn rows beside it. */
  private apply(window: RowWindow, wanted: Places, goal: Goal | null): void {
    const { rowList } = this;
    this.outdated = false;
    this.events.drawing?.();
    rowList.total = Math.max(rowList.total, window.total);
    const known = new Map<number, Drawn>();
    const [before, after]: [Drawn[], Drawn[]] = [[], []];
    for (const one of rowList.drawn) {
      const { index } = one.row;
      known.set(index, one);
      if (index >= wanted.from && index < window.from) before.push(one);
      else if (index >= window.to && index < wanted.to) after.push(one);
    }
    const come: Drawn[] = [];
    for (const row of window.rows) {
      const old = known.get(row.index);
      if (old !== undefined && sameRow(old.row, row)) come.push(old);
      else if (old !== undefined && isLonger(old.row, row)) come.push({ row, element: withNewCut(old.element, row) });
      else come.push({ row, element: drawRow(row, this.drawing) });
    }
    const next = [...before, ...come, ...after];
    const reference =
      goal === null && !this.following ? rowList.reference(new Set(next.map(({ row }) => row.index))) : null;
    rowList.replace(next, {
      from: before.length > 0 ? wanted.from : window.from,
      to: after.length > 0 ? wanted.to : window.to,
    });
    this.events.drawn(next);
    if (this.following) this.stick();
    else if (goal !== null) this.reach(goal);
    else this.hold(reference);
  }

  /**
   * The list's indexes changed (a filter found more in front): `indexOf` returns each drawn row's new one, or null when
   * it left the list. What is in view stays in place.
   */
  renumber(indexOf: (row: Row) => number | null, total: number): void {
    const { rowList } = this;
    this.forget();
    rowList.total = total;
    const kept: Drawn[] = [];
    for (const { row, element } of rowList.drawn) {
      const index = indexOf(row);
      if (index === null) element.remove();
      else kept.push({ row: { ...row, index }, element });
    }
    rowList.drawn = kept;
    const [first, last] = [kept[0]?.row.index ?? 0, kept.at(-1)?.row.index ?? -1];
    rowList.range = { from: first, to: last + 1 };
    this.goal = null;
    this.refresh();
  }

  /** Show another list in this pane, from its end or from an index, `offset` px below the viewport's top if given. */
  restart(total: number, index: number | null, offset?: number): void {
    this.events.drawing?.();
    this.forget();
    this.rowList.clear(total);
    if (index === null) {
      if (this.following) this.request(true);
      else this.follow();
    } else if (offset === undefined) this.show(index);
    else this.relocate(index, offset);
  }

  /** Ignore all pending requests. */
  private forget(): void {
    this.generation++;
    this.growths++;
    this.pending = null;
    this.unplaced = this.outdated = false;
  }

  /** Redraw every row: times or folds changed. */
  redraw(): void {
    const { rowList } = this;
    this.events.drawing?.();
    const first = this.reading;
    rowList.drawn = rowList.drawn.map(({ row, element }) => {
      const made = drawRow(row, this.drawing);
      element.replaceWith(made);
      return { row, element: made };
    });
    this.events.drawn(rowList.drawn);
    rowList.measure();
    if (this.following) this.stick();
    else if (first !== null) this.hold({ index: first.row.index, offset: first.offset });
    this.ensure();
  }

  private hold(reference: Reference | null): void {
    if (!this.rowList.hold(reference)) this.settle();
  }

  /** Bring the goal to its position in the viewport, and the scroll bar to the goal. */
  private reach(goal: Goal): void {
    if (!this.rowList.reach(goal)) return;
    if (goal.align !== 0) this.goal = null;
    this.whenIdle();
    this.events.seen(...this.rowList.visible, this.rowList.total);
  }

  private stick(): void {
    this.rowList.stick();
    this.events.seen(...this.rowList.visible, this.rowList.total);
  }

  /** Nothing moves: block and scroll bar may be made to agree. */
  private settle(): void {
    if (this.following || this.rowList.drawn.length === 0 || this.goal !== null || this.pending !== null) {
      if (this.goal?.align === 0 && this.pending === null) this.goal = null;
      else return;
    }
    this.rowList.settle();
  }

  private whenIdle(): void {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.settle(), IDLE_MS);
  }

  private soon(step: () => void): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(step);
  }
}

/** Return whether a row is final, except for what may follow it. */
function isWhole(row: Row): boolean {
  return row.kind === "event" || (row.kind === "line" && !row.headless && row.cut?.open !== true);
}

/**
 * Return whether a row's line only grew after its drawn part: a quarter of a megabyte is not redrawn for each new
 * piece.
 */
function isLonger(old: Row, next: Row): next is CutRow {
  const alike =
    old.kind === "line" &&
    next.kind === "line" &&
    old.sequence === next.sequence &&
    old.source === next.source &&
    old.headless === next.headless;
  return alike && next.cut !== undefined && old.cut?.unit === next.cut.unit && old.cut.shown === next.cut.shown;
}

/**
 * Return whether two rows of one index look alike. Lines never change once they are complete; only their placeholders
 * do.
 */
function sameRow(old: Row, next: Row): boolean {
  if (old.kind !== next.kind || old.sequence !== next.sequence || old.source !== next.source) return false;
  if (old.hole?.side !== next.hole?.side || old.hole?.count !== next.hole?.count) return false;
  if (old.kind === "line" && next.kind === "line")
    return (
      old.last === next.last &&
      old.cut?.open === next.cut?.open &&
      old.frames === next.frames &&
      old.level === next.level &&
      old.headless === next.headless
    );
  return old.kind === "event" || next.kind === "loading";
}
