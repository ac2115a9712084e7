/**
 * A text selection that outlives the rows in which it begins and ends: rows are drawn and removed during scrolling, and
 * a browser's selection does not survive that. Both ends are kept as (index, column), set again whenever rows are
 * drawn, and copied from the list itself.
 */

export interface SelectionEnd {
  readonly index: number;
  readonly column: number;
}

interface DrawnRow {
  readonly index: number;
  readonly element: HTMLElement;
}

export interface TextSource {
  /** Return the text of the drawn row at an index; null when it is not drawn, or not whole. */
  drawn(index: number): string | null;
  /** Return the texts of the indexes first..last, loaded or not. */
  fetch(first: number, last: number): Promise<string[]>;
}

export class SelectionKeeper {
  private from: SelectionEnd | null = null;
  private to: SelectionEnd | null = null;
  private rows: readonly DrawnRow[] = [];
  /** What the last restore set: a change event that only reports it is not a person's. */
  private set: readonly [Node | null, number, Node | null, number] | null = null;
  private readonly changed = (): void => this.note();
  private readonly copied = (event: ClipboardEvent): void => this.copy(event);

  constructor(
    private readonly host: HTMLElement,
    private readonly texts: TextSource,
    private readonly began: () => void,
  ) {
    document.addEventListener("selectionchange", this.changed);
    host.addEventListener("copy", this.copied);
  }

  destroy(): void {
    document.removeEventListener("selectionchange", this.changed);
    this.host.removeEventListener("copy", this.copied);
  }

  /** The selected indexes and columns, first before last; null without a selection. */
  get range(): { first: SelectionEnd; last: SelectionEnd } | null {
    const { from, to } = this;
    if (from === null || to === null || (from.index === to.index && from.column === to.column)) return null;
    const forward = from.index < to.index || (from.index === to.index && from.column < to.column);
    return forward ? { first: from, last: to } : { first: to, last: from };
  }

  /** Rows are about to be redrawn. The browser reports a change a moment later, when the rows are gone. */
  drawing(): void {
    this.note();
  }

  /** Rows were drawn: restore the selection. */
  redrawn(rows: readonly DrawnRow[]): void {
    this.rows = rows;
    const selection = document.getSelection();
    if (this.range === null || selection === null || this.from === null || this.to === null) return;
    const [anchor, focus] = [this.point(this.from), this.point(this.to)];
    if (anchor === null || focus === null) return;
    const [a, b, c, d] = [selection.anchorNode, selection.anchorOffset, selection.focusNode, selection.focusOffset];
    if (a === anchor[0] && b === anchor[1] && c === focus[0] && d === focus[1]) return;
    selection.setBaseAndExtent(anchor[0], anchor[1], focus[0], focus[1]);
    this.set = [selection.anchorNode, selection.anchorOffset, selection.focusNode, selection.focusOffset];
  }

  private note(): void {
    const selection = document.getSelection();
    if (selection === null) return;
    const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = selection;
    const set = this.set;
    const anchorKept = set !== null && set[0] === anchorNode && set[1] === anchorOffset;
    const focusKept = set !== null && set[2] === focusNode && set[3] === focusOffset;
    if (anchorKept && focusKept) return;
    if (isCollapsed || anchorNode === null || focusNode === null) {
      // Removing a selection's rows collapses it, which is not a person's action. A click within the pane is.
      if (this.range !== null && !this.endsAlive()) return;
      this.from = this.to = this.set = null;
      return;
    }
    const from = anchorKept ? this.from : this.endOf(anchorNode, anchorOffset);
    const to = focusKept ? this.to : this.endOf(focusNode, focusOffset);
    if (from === null || to === null) return;
    const fresh = this.range === null;
    [this.from, this.to] = [from, to];
    if (!anchorKept) this.set = null;
    if (fresh && this.range !== null) this.began();
  }

  private endsAlive(): boolean {
    const alive = (end: SelectionEnd | null): boolean =>
      end !== null && this.rows.some(({ index, element }) => index === end.index && element.isConnected);
    return alive(this.from) && alive(this.to);
  }

  private endOf(node: Node, offset: number): SelectionEnd | null {
    if (!this.host.contains(node)) return null;
    const element = node instanceof Element ? node : node.parentElement;
    const row = element?.closest<HTMLElement>(".row") ?? null;
    const drawn = this.rows.find((one) => one.element === row);
    if (row === null || drawn === undefined) return null;
    const text = row.querySelector(".text");
    if (text === null || !text.contains(node)) return { index: drawn.index, column: 0 };
    const before = new Range();
    before.setStart(text, 0);
    before.setEnd(node, offset);
    return { index: drawn.index, column: before.toString().length };
  }

  /** Return where an end is in the drawn rows; an end that is not drawn is at the edge nearest to it. */
  private point(end: SelectionEnd): [Node, number] | null {
    const [first, last] = [this.rows[0], this.rows.at(-1)];
    if (first === undefined || last === undefined) return null;
    if (end.index < first.index) return edge(first.element, false);
    if (end.index > last.index) return edge(last.element, true);
    let row = first;
    for (const one of this.rows) if (one.index <= end.index) row = one;
    const text = row.element.querySelector(".text");
    if (text === null) return edge(row.element, false);
    let left = end.column;
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const { length } = node as Text;
      if (left <= length) return [node, left];
      left -= length;
    }
    return edge(row.element, true);
  }

  private copy(event: ClipboardEvent): void {
    // The browser reports a changed selection in a task of its own: a copy may come first.
    this.note();
    const range = this.range;
    if (range === null) return;
    event.preventDefault();
    const lines: (string | null)[] = [];
    for (const { index } of this.rows) {
      if (index >= range.first.index && index <= range.last.index) lines.push(this.texts.drawn(index));
    }
    const [first, last] = [this.rows[0]?.index ?? 0, this.rows.at(-1)?.index ?? -1];
    if (range.first.index >= first && range.last.index <= last && !lines.includes(null)) {
      event.clipboardData?.setData("text/plain", cut(lines as string[], range.first, range.last));
      return;
    }
    // For rows that are not drawn, or not whole, the clipboard takes a promise within the same gesture.
    const text = this.texts
      .fetch(range.first.index, range.last.index)
      .then((all) => new Blob([cut(all, range.first, range.last)], { type: "text/plain" }));
    void navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
  }
}

function cut(lines: string[], first: SelectionEnd, last: SelectionEnd): string {
  if (lines.length === 0) return "";
  const end = lines.length - 1;
  const cutLines = [...lines];
  cutLines[end] = (cutLines[end] as string).slice(0, last.column);
  cutLines[0] = (cutLines[0] as string).slice(first.column);
  return cutLines.join("\n");
}

function edge(row: HTMLElement, end: boolean): [Node, number] {
  const text = row.querySelector(".text") ?? row;
  return [text, end ? text.childNodes.length : 0];
}
