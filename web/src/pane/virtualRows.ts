/**
 * The drawn rows and their position: a block in normal flow, so that a wrapped row can never overlap the next, placed
 * in a spacer as high as the whole list (capped). It knows pixels and indexes, but not why they change: that is the
 * pane's.
 */
import type { Row } from "../log/row";
import { indexAt, MAX_HEIGHT, positionOf, spacerHeight } from "./scroll";

export interface Drawn {
  readonly row: Row;
  readonly element: HTMLElement;
}

/** The index of a drawn row, and how far below the viewport's top it begins. */
export interface Reference {
  readonly index: number;
  readonly offset: number;
}

export class VirtualRows {
  /** Rows in the list. */
  total = 0;
  drawn: Drawn[] = [];
  /** The drawn indexes: from..to, exclusive. */
  range = { from: 0, to: 0 };
  viewport = 0;
  rowHeight = 20;
  /** Top of the block in the spacer, px. */
  private top = 0;
  private lastTop = 0;
  /** Height of the spacer. Kept here because a style reads back with six digits, and heights go up to eight million. */
  private scrollHeight = 0;
  private readonly spacer: HTMLElement;
  private readonly block: HTMLElement;

  constructor(private readonly scroller: HTMLElement) {
    this.spacer = document.createElement("div");
    this.spacer.className = "spacer";
    this.block = document.createElement("div");
    this.block.className = "block";
    this.block.setAttribute("role", "list");
    this.spacer.append(this.block);
    scroller.append(this.spacer);
    this.measure();
  }

  destroy(): void {
    this.spacer.remove();
  }

  // --- rows --------------------------------------------------------------------------------------------------------

  /** Replace the block's children by those of `next`, changing only what differs. */
  replace(next: Drawn[], range: { from: number; to: number }): void {
    const keep = new Set(next.map(({ element }) => element));
    for (const { element } of this.drawn) if (!keep.has(element)) element.remove();
    let before: ChildNode | null = this.block.firstChild;
    for (const { element } of next) {
      if (element === before) before = before.nextSibling;
      else this.block.insertBefore(element, before);
    }
    this.drawn = next;
    this.range = { from: range.from, to: range.to };
    this.resize();
  }

  /** Draw nothing, and move the scroll bar to the start. */
  clear(total: number): void {
    for (const { element } of this.drawn) element.remove();
    this.drawn = [];
    this.range = { from: 0, to: 0 };
    this.total = total;
    this.moveTo(0);
    this.resize();
    this.setTop(0);
  }

  elementOf(index: number): HTMLElement | null {
    return this.drawn.find(({ row }) => row.index === index)?.element ?? null;
  }

  // --- measuring ---------------------------------------------------------------------------------------------------

  measure(): void {
    this.viewport = this.scroller.clientHeight;
    const height = Number.parseFloat(getComputedStyle(this.scroller).lineHeight);
    if (height > 0) this.rowHeight = height;
  }

  /** Rows that fill the viewport. */
  get screen(): number {
    return Math.max(1, Math.ceil(this.viewport / this.rowHeight));
  }

  get atEnd(): boolean {
    return this.range.to >= this.total && this.scroller.scrollTop + this.viewport >= this.scroller.scrollHeight - 2;
  }

  /** Return how far the reader scrolled since the last call; our own moves do not count. */
  moved(): number {
    const by = this.scroller.scrollTop - this.lastTop;
    if (Math.abs(by) < 1) return 0;
    this.lastTop = this.scroller.scrollTop;
    return by;
  }

  /** The index that the scroll bar means when nothing of the block is visible; null when some of it is. */
  get jumpedTo(): number | null {
    const { scrollTop } = this.scroller;
    if (scrollTop + this.viewport > this.top && scrollTop < this.top + this.block.offsetHeight) return null;
    return indexAt(scrollTop, this.total, this.rowHeight, this.viewport);
  }

  /** The first visible row, by binary search. */
  get firstSeen(): Drawn | null {
    const at = this.firstIndex();
    return at === null ? null : (this.drawn[at] as Drawn);
  }

  /** Indexes of the first and the last visible row; the list's end when nothing is drawn. */
  get visible(): [first: number, last: number] {
    const at = this.firstIndex();
    if (at === null) return [Math.max(0, this.total - this.screen), Math.max(0, this.total - 1)];
    const first = (this.drawn[at] as Drawn).row.index;
    const end = this.scroller.scrollTop - this.top + this.viewport;
    let last = at;
    while (last + 1 < this.drawn.length && (this.drawn[last + 1] as Drawn).element.offsetTop < end) last++;
    return [first, (this.drawn[last] as Drawn).row.index];
  }

  offsetOf({ element }: Drawn): number {
    return this.top + element.offsetTop - this.scroller.scrollTop;
  }

  /** Return the visible row nearest to the viewport's top that will stay; the first visible one when none will. */
  reference(next: ReadonlySet<number>): Reference | null {
    const first = this.firstIndex();
    if (first === null) return null;
    const stays = this.drawn.slice(first).find(({ row }) => next.has(row.index)) ?? (this.drawn[first] as Drawn);
    return { index: stays.row.index, offset: this.offsetOf(stays) };
  }

  // --- moving ------------------------------------------------------------------------------------------------------

  /** Move the block so that the reference stays in place; return whether there was one. */
  hold(reference: Reference | null): boolean {
    if (reference === null) {
      this.moveTo(positionOf(this.range.from, this.total, this.rowHeight));
      return false;
    }
    const element = this.nearest(reference.index);
    if (element !== null) this.moveTo(this.scroller.scrollTop + reference.offset - element.offsetTop);
    this.edges();
    return true;
  }

  /**
   * Bring a row to `align` of the viewport, or `offset` px below its top, and move the scroll bar to it. With an
   * `align` of 0 the scroll bar is already right. Returns whether anything is drawn.
   */
  reach({ index, align, offset }: { index: number; align: number; offset?: number }): boolean {
    const element = this.nearest(index);
    if (element === null) return false;
    // A row higher than the viewport is shown from its beginning.
    const wanted = offset ?? Math.max(0, Math.round((this.viewport - element.offsetHeight) * align));
    const bar = positionOf(index, this.total, this.rowHeight);
    const top =
      align === 0 ? this.scroller.scrollTop : Math.max(0, Math.min(bar - wanted, this.scrollHeight - this.viewport));
    this.moveTo(top + wanted - element.offsetTop);
    this.setTop(top);
    this.edges();
    return true;
  }

  /** Put the last row's end at the viewport's end. */
  stick(): void {
    const height = this.block.offsetHeight;
    const whole = this.range.from === 0 && this.range.to >= this.total;
    const end = whole ? height : Math.max(spacerHeight(this.total, this.rowHeight), height);
    this.stretch(end);
    this.moveTo(end - height);
    this.setTop(Math.max(0, end - this.viewport));
  }

  /** Keep both ends reachable: the first row begins at 0, the last one ends at the spacer's end. */
  edges(): void {
    const height = this.block.offsetHeight;
    if (this.range.from === 0 && this.top !== 0) {
      // A shift is invisible unless it would leave nothing above the first row to scroll to; then there was nothing to
      // see either.
      const top = Math.max(0, this.scroller.scrollTop - this.top);
      if (top + this.viewport > this.scrollHeight) this.stretch(Math.max(this.scrollHeight, height));
      this.moveTo(0);
      this.setTop(top);
    } else if (this.top < 0) this.shift(positionOf(this.range.from, this.total, this.rowHeight) - this.top);
    if (this.range.to >= this.total) this.stretch(Math.max(this.top + height, 1));
    else if (this.top + height > this.scrollHeight - this.rowHeight) {
      this.stretch(this.top + height + (this.total - this.range.to) * Math.min(this.rowHeight, 4));
    }
  }

  /** Make block and scroll bar agree while nothing moves. */
  settle(): void {
    this.resize();
    const ideal = positionOf(this.range.from, this.total, this.rowHeight);
    if (this.range.from > 0 && Math.abs(ideal - this.top) > this.rowHeight) this.shift(ideal - this.top);
    this.edges();
  }

  /** Return the shortest scroll distance that shows a drawn row whole. */
  distanceTo(element: HTMLElement): number {
    const [top, bottom] = [this.top + element.offsetTop, this.top + element.offsetTop + element.offsetHeight];
    const { scrollTop } = this.scroller;
    if (top < scrollTop) return top - scrollTop;
    return Math.max(0, Math.min(bottom - scrollTop - this.viewport, top - scrollTop));
  }

  /** Make the spacer as high as the list, or as the drawn rows. */
  resize(): void {
    const height = spacerHeight(this.total, this.rowHeight);
    const least = this.top + this.block.offsetHeight;
    if (this.range.from === 0 && this.range.to >= this.total && this.drawn.length > 0) this.stretch(Math.max(least, 1));
    else this.stretch(Math.min(Math.max(height, least), MAX_HEIGHT + this.block.offsetHeight));
  }

  /** Move block and scroll position by the same amount, which is invisible. */
  private shift(by: number): void {
    const top = this.scroller.scrollTop + by;
    const end = this.top + by + this.block.offsetHeight;
    if (end > this.scrollHeight) this.stretch(end);
    this.moveTo(this.top + by);
    this.setTop(top);
    // A position clamped by the browser would be visible as a jump: the block follows the clamped value.
    const clamped = this.scroller.scrollTop - top;
    if (Math.abs(clamped) > 0.5) this.moveTo(this.top + clamped);
  }

  private moveTo(top: number): void {
    this.top = top;
    this.block.style.transform = `translateY(${top}px)`;
  }

  private setTop(top: number): void {
    if (Math.abs(this.scroller.scrollTop - top) >= 0.5) this.scroller.scrollTop = top;
    this.lastTop = this.scroller.scrollTop;
  }

  private stretch(height: number): void {
    if (height === this.scrollHeight) return;
    this.scrollHeight = height;
    this.spacer.style.height = `${height}px`;
  }

  private firstIndex(): number | null {
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

  /** Return the last drawn row at or before an index; the first when all come after. */
  private nearest(index: number): HTMLElement | null {
    let found: HTMLElement | null = null;
    for (const { row, element } of this.drawn) {
      if (row.index > index && found !== null) break;
      found = element;
    }
    return found;
  }
}
