/**
 * The log pane: draws a window of rows of a list that may have millions, and never moves what is being read.
 *
 * Theory of operation. A scroller holds a spacer (the whole list's height, capped) and a block of drawn rows, placed absolutely. Rows lie in
 * normal flow within the block, so a wrapped row can never overlap the next. What the reader sees is held by a reference row: before
 * the block changes, one drawn row that stays is measured against the viewport, and after the change the block is moved so that it is where it was.
 * The scroll position only says how far the reader moved since. When nothing moves for a moment, block and scroll bar are brought to agree
 * by moving both by the same amount, which cannot be seen.
 *
 * While following, the last row's end stays at the viewport's end. Following ends with what a person does to go up, never by geometry.
 */
import type { Row, RowWindow } from "../log/row";
import { type CutRow, type Drawing, drawRow, lengthened } from "./rowView";
import { covers, FLOODED_SCREENS, lacking, type Range as Places, windowAround } from "./scroll";
import { type Drawn, type Reference, VirtualRows } from "./virtualRows";

export interface Source {
  rows(from: number, count: number): Promise<RowWindow>;
}

export interface PaneEvents {
  /** Following began or ended. */
  follow(following: boolean): void;
  /** What is seen: places of the first and last visible row. */
  seen(first: number, last: number, total: number): void;
  /** Rows are about to be drawn anew: what is selected in them can still be told. */
  drawing?(): void;
  /** Rows were drawn anew. */
  drawn(rows: readonly Drawn[]): void;
}

interface Goal {
  readonly index: number;
  readonly align: number;
  readonly offset?: number;
}

/** Nothing has moved for this long: scroll bar and rows are brought to agree. */
const IDLE_MS = 160;
/** Rows are asked for at most this often while the list grows. */
const GROW_MS = 90;

export class LogPane {
  following = true;
  /** What is asked for, and for which jump; the answer may hold only what was lacking. */
  private pending: (Places & { readonly goal: Goal | null }) | null = null;
  private generation = 0;
  /** The list grew in front of what is drawn, and it is not known yet where that is now: places are of no use until then. */
  private unplaced = false;
  private growths = 0;
  /** What is drawn has places of before the list grew in front of it. */
  private outdated = false;
  private revision = -1;
  private idle: ReturnType<typeof setTimeout> | undefined;
  /** The first place that may read differently since rows were asked for. */
  private changed = Number.POSITIVE_INFINITY;
  /** More came since rows were drawn than fill the viewport. */
  private flooded = false;
  private growing: ReturnType<typeof setTimeout> | undefined;
  private grownAt = 0;
  private frame = 0;
  private stale = false;
  /** Set by a jump: this place goes to `align` of the viewport when its window arrives. */
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

  /** The list has `total` places now; `revision` differs whenever drawn rows may read differently, those of places before `changed` excepted. */
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

  /** The first word of how long the list is, before anything is drawn: a place in it may be shown next. */
  resetTotal(total: number, revision: number): void {
    this.rowList.total = total;
    this.revision = revision;
  }

  /** Another list altogether, or the same drawn otherwise: everything is asked for again, what is seen stays where it is. */
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

  /** Shows a place; `align` 0 puts it at the top of the viewport, 0.5 in the middle. */
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

  /** The row that is read first, and how far below the viewport's top it begins. */
  get reading(): { row: Row; offset: number } | null {
    const first = this.rowList.firstSeen;
    return first === null ? null : { row: first.row, offset: this.rowList.offsetOf(first) };
  }

  /** The same of the first row that is read and that is wanted. */
  readingOf(wanted: (row: Row) => boolean): { row: Row; offset: number } | null {
    const { rowList } = this;
    const [first, last] = rowList.visible;
    const found = rowList.drawn.find(({ row }) => row.index >= first && row.index <= last && wanted(row));
    return found === undefined ? null : { row: found.row, offset: rowList.offsetOf(found) };
  }

  /** Whether the places of what is drawn are those of before the list grew in front of it. */
  get placing(): boolean {
    return this.unplaced || this.goal?.offset !== undefined;
  }

  /** The list grew in front of what is read: that stays where it is, however one scrolls until it is known which place it has now. */
  async grownBefore(total: number, revision: number, indexOf: (row: Row) => Promise<number>): Promise<void> {
    this.resetTotal(total, revision);
    // What is on its way was asked for by places that were.
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
      // How far one scrolled may not have been told yet.
      this.scrolled();
      const now = this.rowList.drawn.find(({ row }) => row === anchor);
      if (now !== undefined && this.goal === null && !this.following)
        this.goal = { index, align: 0.5, offset: this.rowList.offsetOf(now) };
    }
    this.request(true);
  }

  /** The list changed in front of what is read, which is at `place` now: everything is drawn anew, and it stays where it is. */
  private relocate(index: number, offset: number): void {
    this.goal = { index, align: 0.5, offset };
    this.request(true);
  }

  /** Moves by pixels, as a wheel would. */
  scrollBy(pixels: number): void {
    if (pixels < 0) this.setFollowing(false);
    this.host.scrollTop += pixels;
    // The browser tells of it with the next frame only: by then a jump may have been asked for, which it would undo.
    this.scrolled();
  }

  focus(): void {
    this.host.focus({ preventScroll: true });
  }

  /** Scrolls no more than it takes to see a drawn place whole. */
  reveal(index: number): void {
    const element = this.rowList.elementOf(index);
    const distance = element === null ? 0 : this.rowList.distanceTo(element);
    if (distance !== 0) this.scrollBy(distance);
  }

  /** Whether a place that is to be shown is not there yet. */
  get arriving(): boolean {
    return this.goal !== null;
  }

  /** Moves within a row that is higher than the viewport, by not quite a page; says whether there was more of it that way. */
  pageWithin(index: number, by: number): boolean {
    const element = this.rowList.elementOf(index);
    if (element === null) return false;
    const [row, view] = [element.getBoundingClientRect(), this.host.getBoundingClientRect()];
    const left = by > 0 ? row.bottom - view.bottom : view.top - row.top;
    if (row.height <= view.height || left < 1 || row.bottom <= view.top || row.top >= view.bottom) return false;
    this.scrollBy(Math.sign(by) * Math.min(left, this.pageHeight - 40));
    return true;
  }

  /** Scrolls to what was found in a row, when that is not seen: a line may be wider or higher than the viewport. */
  revealRange(range: Range): void {
    const [found, view] = [range.getBoundingClientRect(), this.host.getBoundingClientRect()];
    if (found.top < view.top || found.bottom > view.bottom)
      this.scrollBy(found.top - view.top - this.pageHeight * 0.35);
    if (found.left < view.left || found.right > view.right)
      this.host.scrollLeft += found.left - view.left - view.width * 0.5;
  }

  /** Unfolds a row whose line is JSON, or folds it again; what is above it does not move. */
  async fold(element: HTMLElement): Promise<void> {
    this.setFollowing(false);
    // Loaded when it is wanted first.
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

  // --- what a person does ------------------------------------------------------------------------------------------

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
    // Dragging the thumb up is told by the position alone; our own moves are not told.
    if (moved < 0 && this.following) this.setFollowing(false);
    this.whenIdle();
    const index = this.rowList.jumpedTo;
    // What is to stay where it is moves with the rest.
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

  // --- asking for rows ---------------------------------------------------------------------------------------------

  private grow(): void {
    this.rowList.resize();
    const { drawn, range, total, screen } = this.rowList;
    this.flooded = total - range.to > screen;
    // Who reads back is not disturbed: what grows below is the scroll bar's business alone.
    if (!this.following && this.changed >= range.to && drawn.every(({ row }) => isWhole(row))) this.ensure();
    else this.refresh();
    this.changed = Number.POSITIVE_INFINITY;
  }

  private ensure(): void {
    const { rowList } = this;
    const [first, last] = rowList.visible;
    this.events.seen(first, last, rowList.total);
    // A list that grows is followed at its own pace, not after each answer.
    if (this.following && this.growing !== undefined) return;
    // What is on its way is waited for while it will show what is seen: asking anew each frame would never be answered in time.
    if (this.pending !== null && this.pending.from <= first && this.pending.to > last) return;
    if (!covers(rowList.range, first, last, rowList.total, rowList.screen)) this.request(false);
  }

  /** Asks for the window around what is to be seen. With `anew` also when it is the window that is drawn, and for all of it. */
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
    // A thumb that is dragged jumps every frame: each answer is shown, and then the newest place asked for.
    const dragged = this.pending?.goal?.align === 0 && this.goal?.align === 0;
    if (this.pending !== null && anew && (dragged || same(this.pending))) {
      this.stale = true;
      return;
    }
    const { goal } = this;
    const part = anew || this.stale ? wanted : lacking(wanted, range);
    this.stale = false;
    this.pending = { ...wanted, goal };
    const generation = ++this.generation;
    this.source.rows(part.from, part.to - part.from).then(
      (window) => {
        if (generation !== this.generation) return;
        this.pending = null;
        if (this.goal?.offset !== undefined) this.scrolled();
        const [seen] = this.rowList.visible;
        // An answer about where nobody is any more (following ended meanwhile) would move what is read.
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

  /** Draws the places `wanted`: rows of the window that came, and beside it those that are drawn. */
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
      else if (old !== undefined && isLonger(old.row, row)) come.push({ row, element: lengthened(old.element, row) });
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
   * The list's places have changed (a filter found more in front): `placeOf` tells each drawn row's new one, null when it is in
   * the list no more. What is seen stays where it is.
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

  /** Another list in this pane: begins at its end, or at a place, which is `offset` px below the viewport's top if that is given. */
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

  /** Nothing that is on its way is waited for any more. */
  private forget(): void {
    this.generation++;
    this.growths++;
    this.pending = null;
    this.unplaced = this.outdated = false;
  }

  /** Draws every row anew: times, folds. */
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

  /** Brings the goal to its place in the viewport, and the scroll bar to the goal. */
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

  /** Nothing moves: block and scroll bar may be brought to agree. */
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

/** Whether a row says all that it ever will, but for what may follow it. */
function isWhole(row: Row): boolean {
  return row.kind === "event" || (row.kind === "line" && !row.headless && row.cut?.open !== true);
}

/** Whether a row's line has only grown behind what is drawn of it: a quarter of a megabyte is not drawn anew for each piece that comes. */
function isLonger(old: Row, next: Row): next is CutRow {
  const alike =
    old.kind === "line" &&
    next.kind === "line" &&
    old.sequence === next.sequence &&
    old.source === next.source &&
    old.headless === next.headless;
  return alike && next.cut !== undefined && old.cut?.unit === next.cut.unit && old.cut.shown === next.cut.shown;
}

/** Whether two rows of one place would be drawn alike. Lines never change once they are whole; only what stood for them does. */
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
