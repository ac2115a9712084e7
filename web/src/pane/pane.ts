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
import type { Row, Window } from "../log/row";
import { foldElement } from "./fold";
import { type Drawing, drawRow } from "./rowview";
import { covers, MAX_HEIGHT, placeAt, positionOf, spacerHeight, windowAround } from "./scroll";

export interface Source {
  rows(from: number, count: number): Promise<Window>;
}

export interface PaneEvents {
  /** Following began or ended. */
  follow(following: boolean): void;
  /** What is seen: places of the first and last visible row. */
  seen(first: number, last: number, total: number): void;
  /** Rows were drawn anew. */
  drawn(rows: readonly { readonly row: Row; readonly element: HTMLElement }[]): void;
}

interface Drawn {
  readonly row: Row;
  readonly element: HTMLElement;
}

/** A scroll that is farther than this many screens is a jump: nothing drawn can be kept. */
const IDLE_MS = 160;
/** Rows are asked for at most this often while the list grows. */
const GROW_MS = 90;

export class LogPane {
  following = true;
  private total = 0;
  private drawn: Drawn[] = [];
  private range = { from: 0, to: 0 };
  /** Top of the block in the spacer, px. */
  private top = 0;
  private rowHeight = 20;
  private viewport = 0;
  private lastTop = 0;
  private pending: { from: number; to: number } | null = null;
  private generation = 0;
  private revision = -1;
  private idle: ReturnType<typeof setTimeout> | undefined;
  private growing: ReturnType<typeof setTimeout> | undefined;
  private grownAt = 0;
  private frame = 0;
  private stale = false;
  /** Set by a jump: this place goes to `align` of the viewport when its window arrives. */
  private goal: { place: number; align: number; offset?: number } | null = null;
  private readonly scroller: HTMLElement;
  private readonly spacer: HTMLElement;
  private readonly block: HTMLElement;
  private readonly resizes: ResizeObserver;
  private touchY = 0;

  constructor(
    host: HTMLElement,
    private readonly source: Source,
    private readonly events: PaneEvents,
    public drawing: Drawing,
  ) {
    this.scroller = host;
    host.classList.add("pane");
    host.tabIndex = 0;
    host.setAttribute("role", "log");
    host.setAttribute("aria-live", "off");
    host.setAttribute("aria-label", "Log lines");
    this.spacer = document.createElement("div");
    this.spacer.className = "spacer";
    this.block = document.createElement("div");
    this.block.className = "block";
    this.block.setAttribute("role", "list");
    this.spacer.append(this.block);
    host.append(this.spacer);
    host.addEventListener("scroll", () => this.scrolled(), { passive: true });
    host.addEventListener("wheel", (event) => this.wheel(event.deltaY), { passive: true });
    host.addEventListener("touchstart", (event) => (this.touchY = event.touches[0]?.clientY ?? 0), { passive: true });
    host.addEventListener("touchmove", (event) => this.touched(event.touches[0]?.clientY ?? 0), { passive: true });
    this.resizes = new ResizeObserver(() => this.resized());
    this.resizes.observe(host);
    this.measure();
  }

  destroy(): void {
    this.resizes.disconnect();
    clearTimeout(this.idle);
    clearTimeout(this.growing);
    cancelAnimationFrame(this.frame);
    this.generation++;
    this.spacer.remove();
  }

  get rows(): readonly Row[] {
    return this.drawn.map(({ row }) => row);
  }

  /** The list has `total` places now; `revision` differs whenever drawn rows may read differently. */
  update(total: number, revision: number): void {
    if (total === this.total && revision === this.revision) return;
    this.total = total;
    this.revision = revision;
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
    this.total = total;
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
  show(place: number, align = 0.35): void {
    this.setFollowing(false);
    this.goal = { place: Math.max(0, Math.min(place, Math.max(0, this.total - 1))), align };
    const here = this.drawn.find(({ row }) => row.index >= (this.goal?.place ?? 0));
    if (here !== undefined && this.range.from <= this.goal.place && this.goal.place < this.range.to && !this.stale) {
      this.reach();
      this.ensure();
      return;
    }
    this.request(true);
  }

  /** The row that is read first, and how far below the viewport's top it begins. */
  get reading(): { row: Row; offset: number } | null {
    const at = this.firstSeen();
    if (at === null) return null;
    const { row, element } = this.drawn[at] as Drawn;
    return { row, offset: this.top + element.offsetTop - this.scroller.scrollTop };
  }

  /** The list changed in front of what is read, which is at `place` now: everything is drawn anew, and it stays where it is. */
  relocate(place: number, offset: number, total: number, revision: number): void {
    [this.total, this.revision] = [total, revision];
    this.goal = { place, align: 0.5, offset };
    this.generation++;
    this.pending = null;
    this.request(true);
  }

  /** Moves by pixels, as a wheel would. */
  scrollBy(pixels: number): void {
    if (pixels < 0) this.setFollowing(false);
    this.scroller.scrollTop += pixels;
  }

  focus(): void {
    this.scroller.focus({ preventScroll: true });
  }

  /** Scrolls no more than it takes to see a drawn place whole. */
  reveal(place: number): void {
    const element = this.elementOf(place);
    if (element === null) return;
    const [top, bottom] = [this.top + element.offsetTop, this.top + element.offsetTop + element.offsetHeight];
    const { scrollTop } = this.scroller;
    if (top < scrollTop) this.scrollBy(top - scrollTop);
    else if (bottom > scrollTop + this.viewport) this.scrollBy(bottom - scrollTop - this.viewport);
  }

  /** Unfolds a row whose line is JSON, or folds it again; what is above it does not move. */
  fold(element: HTMLElement): void {
    this.setFollowing(false);
    const open = element.querySelector(".fold");
    if (open !== null) open.remove();
    else {
      const made = foldElement(element.querySelector(".text")?.textContent ?? "");
      if (made === null) return;
      made.classList.add("fold");
      element.append(made);
    }
    element.toggleAttribute("data-open", open === null);
    this.resize();
    this.edges();
  }

  get pageHeight(): number {
    return this.viewport;
  }

  elementOf(place: number): HTMLElement | null {
    return this.drawn.find(({ row }) => row.index === place)?.element ?? null;
  }

  // --- what a person does ------------------------------------------------------------------------------------------

  private wheel(delta: number): void {
    if (delta < 0) this.setFollowing(false);
    else if (delta > 0 && this.atEnd()) this.setFollowing(true);
  }

  private touched(y: number): void {
    if (y > this.touchY + 4) this.setFollowing(false);
    this.touchY = y;
  }

  private scrolled(): void {
    const { scrollTop } = this.scroller;
    const moved = scrollTop - this.lastTop;
    if (Math.abs(moved) < 1) return;
    this.lastTop = scrollTop;
    // Dragging the thumb up is told by the position alone; our own moves set lastTop first and never come here.
    if (moved < 0 && this.following) this.setFollowing(false);
    this.whenIdle();
    const blockEnd = this.top + this.block.offsetHeight;
    if (scrollTop + this.viewport <= this.top || scrollTop >= blockEnd) {
      this.goal = { place: placeAt(scrollTop, this.total, this.rowHeight, this.viewport), align: 0 };
      this.soon(() => this.request(true));
      return;
    }
    this.goal = null;
    this.soon(() => this.ensure());
  }

  private resized(): void {
    this.measure();
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
    this.stale = true;
    this.resize();
    if (this.following) {
      this.request(true);
      return;
    }
    this.request(true);
  }

  private ensure(): void {
    const [first, last] = this.visible();
    this.events.seen(first, last, this.total);
    if (!covers(this.range, first, last, this.total, this.screen())) this.request(false);
  }

  /** Asks for the window around what is to be seen. With `anew` also when it is the window that is drawn. */
  private request(anew: boolean): void {
    const around = this.following ? Math.max(0, this.total - this.screen()) : (this.goal?.place ?? this.visible()[0]);
    const wanted = windowAround(around, this.screen(), this.total);
    if (wanted.to <= wanted.from) {
      if (this.total === 0) this.apply({ from: 0, to: 0, total: 0, rows: [] });
      return;
    }
    const same = (other: { from: number; to: number } | null): boolean => other?.from === wanted.from && other.to === wanted.to;
    if (!anew && (same(this.pending) || same(this.range))) return;
    if (this.pending !== null && same(this.pending) && anew) {
      this.stale = true;
      return;
    }
    this.stale = false;
    this.pending = wanted;
    const generation = ++this.generation;
    this.source.rows(wanted.from, wanted.to - wanted.from).then(
      (window) => {
        if (generation !== this.generation) return;
        this.pending = null;
        this.apply(window);
        if (this.stale) this.request(true);
        else this.ensure();
      },
      () => {
        if (generation === this.generation) this.pending = null;
      },
    );
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  private apply(window: Window): void {
    this.total = Math.max(this.total, window.total);
    const kept = new Map<number, Drawn>();
    for (const one of this.drawn) kept.set(one.row.index, one);
    const reference = this.goal === null && !this.following ? this.reference(window.rows) : null;
    const next: Drawn[] = [];
    for (const row of window.rows) {
      const old = kept.get(row.index);
      next.push(old !== undefined && sameRow(old.row, row) ? old : { row, element: drawRow(row, this.drawing) });
    }
    this.replace(next);
    this.drawn = next;
    this.range = { from: window.from, to: window.to };
    this.resize();
    this.events.drawn(next);
    if (this.following) this.stick();
    else if (this.goal !== null) this.reach();
    else this.hold(reference);
  }

  /**
   * The list's places have changed (a filter found more in front): `placeOf` tells each drawn row's new one, null when it is in
   * the list no more. What is seen stays where it is.
   */
  renumber(placeOf: (sequence: number) => number | null, total: number): void {
    this.generation++;
    this.pending = null;
    this.total = total;
    const kept: Drawn[] = [];
    for (const { row, element } of this.drawn) {
      const index = placeOf(row.sequence);
      if (index === null) element.remove();
      else kept.push({ row: { ...row, index }, element });
    }
    this.drawn = kept;
    const [first, last] = [kept[0]?.row.index ?? 0, kept.at(-1)?.row.index ?? -1];
    this.range = { from: first, to: last + 1 };
    this.goal = null;
    this.refresh();
  }

  /** Another list in this pane: begins at its end, or at a place. */
  restart(total: number, place: number | null): void {
    this.generation++;
    this.pending = null;
    for (const { element } of this.drawn) element.remove();
    this.drawn = [];
    this.range = { from: 0, to: 0 };
    this.total = total;
    this.place(0);
    this.resize();
    this.setTop(0);
    if (place === null) {
      if (this.following) this.request(true);
      else this.follow();
    } else this.show(place);
  }

  /** Draws every row anew: times, folds. */
  redraw(): void {
    const reference = this.firstSeen();
    const at = reference === null ? null : (this.drawn[reference] as Drawn);
    const offset = at === null ? 0 : this.top + at.element.offsetTop - this.scroller.scrollTop;
    this.drawn = this.drawn.map(({ row, element }) => {
      const made = drawRow(row, this.drawing);
      element.replaceWith(made);
      return { row, element: made };
    });
    this.events.drawn(this.drawn);
    this.measure();
    if (this.following) this.stick();
    else if (at !== null) this.hold({ place: at.row.index, offset });
    this.ensure();
  }

  /** Makes the block's children those of `next`, touching only what differs. */
  private replace(next: readonly Drawn[]): void {
    const keep = new Set(next.map(({ element }) => element));
    for (const { element } of this.drawn) if (!keep.has(element)) element.remove();
    let before: ChildNode | null = this.block.firstChild;
    for (const { element } of next) {
      if (element === before) before = before.nextSibling;
      else this.block.insertBefore(element, before);
    }
  }

  /** A drawn row that is drawn again, as near below the viewport's top as there is, and where it is now. */
  private reference(rows: readonly Row[]): { element: HTMLElement | null; place: number; offset: number } | null {
    const first = this.firstSeen();
    if (first === null) return null;
    const coming = new Map(rows.map((row) => [row.index, row]));
    for (let at = first; at < this.drawn.length; at++) {
      const { row, element } = this.drawn[at] as Drawn;
      if (coming.has(row.index)) {
        return { element, place: row.index, offset: this.top + element.offsetTop - this.scroller.scrollTop };
      }
    }
    const { row, element } = this.drawn[first] as Drawn;
    return { element: null, place: row.index, offset: this.top + element.offsetTop - this.scroller.scrollTop };
  }

  /** Moves the block so that the reference is where it was. */
  private hold(reference: { place: number; offset: number } | null): void {
    if (reference === null) {
      this.place(positionOf(this.range.from, this.total, this.rowHeight));
      this.settle();
      return;
    }
    const element = this.nearest(reference.place);
    if (element !== null) this.place(this.scroller.scrollTop + reference.offset - element.offsetTop);
    this.edges();
  }

  /** Brings the goal to its place in the viewport, and the scroll bar to the goal. */
  private reach(): void {
    const goal = this.goal;
    if (goal === null) return;
    const element = this.nearest(goal.place);
    if (element === null) return;
    const wanted = goal.offset ?? Math.round((this.viewport - element.offsetHeight) * goal.align);
    const height = this.scrollHeight();
    const bar = positionOf(goal.place, this.total, this.rowHeight);
    const top = goal.align === 0 ? this.scroller.scrollTop : Math.max(0, Math.min(bar - wanted, height - this.viewport));
    this.place(top + wanted - element.offsetTop);
    this.setTop(top);
    this.edges();
    if (goal.align !== 0) this.goal = null;
    this.whenIdle();
    const [first, last] = this.visible();
    this.events.seen(first, last, this.total);
  }

  private stick(): void {
    const height = this.block.offsetHeight;
    const whole = this.range.from === 0 && this.range.to >= this.total;
    const end = whole ? height : Math.max(spacerHeight(this.total, this.rowHeight), height);
    this.spacer.style.height = `${end}px`;
    this.place(end - height);
    this.setTop(Math.max(0, end - this.viewport));
    const [first, last] = this.visible();
    this.events.seen(first, last, this.total);
  }

  /** The ends must be reachable: the first row begins at 0, the last one ends at the spacer's end. */
  private edges(): void {
    const height = this.block.offsetHeight;
    if (this.range.from === 0 && this.top !== 0) {
      // A shift cannot be seen, unless it would leave nothing above the first row to scroll to: then there was nothing to see either.
      const top = Math.max(0, this.scroller.scrollTop - this.top);
      if (top + this.viewport > this.scrollHeight()) this.spacer.style.height = `${Math.max(this.scrollHeight(), height)}px`;
      this.place(0);
      this.setTop(top);
    } else if (this.top < 0) this.shift(positionOf(this.range.from, this.total, this.rowHeight) - this.top);
    if (this.range.to >= this.total) this.spacer.style.height = `${Math.max(this.top + height, 1)}px`;
    else if (this.top + height > this.scrollHeight() - this.rowHeight) {
      this.spacer.style.height = `${this.top + height + (this.total - this.range.to) * Math.min(this.rowHeight, 4)}px`;
    }
  }

  /** Nothing moves: block and scroll bar may be brought to agree. */
  private settle(): void {
    if (this.following || this.drawn.length === 0 || this.goal !== null || this.pending !== null) {
      if (this.goal?.align === 0 && this.pending === null) this.goal = null;
      else return;
    }
    this.resize();
    const ideal = positionOf(this.range.from, this.total, this.rowHeight);
    if (this.range.from > 0 && Math.abs(ideal - this.top) > this.rowHeight) this.shift(ideal - this.top);
    this.edges();
  }

  /** Moves block and scroll position by the same amount: cannot be seen. */
  private shift(by: number): void {
    const top = this.scroller.scrollTop + by;
    const end = this.top + by + this.block.offsetHeight;
    if (end > this.scrollHeight()) this.spacer.style.height = `${end}px`;
    this.place(this.top + by);
    this.setTop(top);
    // A position that the browser clamped would show as a jump: the block follows what it made of it.
    const clamped = this.scroller.scrollTop - top;
    if (Math.abs(clamped) > 0.5) this.place(this.top + clamped);
  }

  private place(top: number): void {
    this.top = top;
    this.block.style.transform = `translateY(${top}px)`;
  }

  private setTop(top: number): void {
    if (Math.abs(this.scroller.scrollTop - top) >= 0.5) this.scroller.scrollTop = top;
    this.lastTop = this.scroller.scrollTop;
  }

  private resize(): void {
    const height = spacerHeight(this.total, this.rowHeight);
    const least = this.top + this.block.offsetHeight;
    if (this.range.from === 0 && this.range.to >= this.total && this.drawn.length > 0) this.spacer.style.height = `${Math.max(least, 1)}px`;
    else this.spacer.style.height = `${Math.min(Math.max(height, least), MAX_HEIGHT + this.block.offsetHeight)}px`;
  }

  private scrollHeight(): number {
    return Number.parseFloat(this.spacer.style.height) || 0;
  }

  // --- looking -----------------------------------------------------------------------------------------------------

  private measure(): void {
    this.viewport = this.scroller.clientHeight;
    const height = Number.parseFloat(getComputedStyle(this.scroller).lineHeight);
    if (height > 0) this.rowHeight = height;
  }

  private screen(): number {
    return Math.max(1, Math.ceil(this.viewport / this.rowHeight));
  }

  private atEnd(): boolean {
    return this.range.to >= this.total && this.scroller.scrollTop + this.viewport >= this.scroller.scrollHeight - 2;
  }

  /** Index into `drawn` of the first row that is seen, by halving. */
  private firstSeen(): number | null {
    if (this.drawn.length === 0) return null;
    const at = this.scroller.scrollTop - this.top;
    let [low, high] = [0, this.drawn.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { element } = this.drawn[middle] as Drawn;
      if (element.offsetTop + element.offsetHeight <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private visible(): [first: number, last: number] {
    const at = this.firstSeen();
    if (at === null) return [Math.max(0, this.total - this.screen()), Math.max(0, this.total - 1)];
    const first = (this.drawn[at] as Drawn).row.index;
    const end = this.scroller.scrollTop - this.top + this.viewport;
    let last = at;
    while (last + 1 < this.drawn.length && (this.drawn[last + 1] as Drawn).element.offsetTop < end) last++;
    return [first, (this.drawn[last] as Drawn).row.index];
  }

  private nearest(place: number): HTMLElement | null {
    let found: HTMLElement | null = null;
    for (const { row, element } of this.drawn) {
      if (row.index > place && found !== null) break;
      found = element;
    }
    return found;
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

/** Whether two rows of one place would be drawn alike. Lines never change once they are whole; only what stood for them does. */
function sameRow(old: Row, next: Row): boolean {
  if (old.kind !== next.kind || old.sequence !== next.sequence || old.source !== next.source) return false;
  if (old.kind === "line" && next.kind === "line") return old.last === next.last && old.frames === next.frames && old.level === next.level && old.headless === next.headless;
  return old.kind === "event" || next.kind === "loading";
}
