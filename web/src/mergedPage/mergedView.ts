/** All behaviour of the merged pane, without a framework: several jobs as one list ordered by time, searched as one. */
import { batch, signal } from "@preact/signals";
import type { Engine, Progress } from "../engine/client";
import type { JobFacts, SaveFormat } from "../engine/messages";
import {
  copyOrSaveLine,
  copyText,
  drawnText,
  type Exportable,
  type ExportScope,
  textsOf,
} from "../export/clipboardAndSave";
import type { Finder } from "../index/finder";
import { type LinePositions, NO_NUMBERS } from "../index/linePositions";
import type { Query } from "../index/query";
import { isInRange, type MarkedRange, markedRange, markedRangeText } from "../log/markedRange";
import { isSamePosition, type LinePosition } from "../log/mergeOrder";
import type { LineRow, Row } from "../log/row";
import { markDays, showFullTimes } from "../pane/dayHeaders";
import { highlight } from "../pane/highlight";
import { Minimap } from "../pane/minimap";
import { LogPane } from "../pane/pane";
import type { Drawing } from "../pane/rowView";
import { SelectionKeeper } from "../pane/selection";
import { navigate, type Route, urlOf, urlOfMark } from "../route";
import { resultMerger } from "../search/mergeResults";
import { MOVE_EVENTS, type Searchable, SearchController } from "../search/searchController";
import { facts } from "../state";
import type { TimeMode } from "../text/time";

const LOCATE_MS = 250;

export class MergedView implements Searchable {
  readonly following = signal(true);
  readonly find: SearchController;
  /** Lines and errors that had arrived when following ended. */
  readonly pausedAt = signal({ lines: 0, errors: 0 });
  /** The open dialog. */
  readonly dialog = signal<"export" | null>(null);
  readonly total = signal(0);
  /** A marked line or range in merged order. */
  readonly markedLines = signal<MarkedRange | null>(null);
  /** Why the line of a link is not shown. */
  readonly notShown = signal<string | null>(null);
  pane: LogPane | null = null;
  private map: Minimap | null = null;
  private keeper: SelectionKeeper | null = null;
  /** The lines that a filter keeps; null shows all loaded ones. */
  private shown: LinePositions | null = null;
  /** A filter is being removed: the lines around the current one load first. */
  private leaving = false;
  /** The indexes of matches in the merged list, as last located. */
  private matchIndexes: Float64Array = NO_NUMBERS;
  private current: LinePosition | null = null;
  /** The line at the end. */
  private last: LinePosition = { source: 0, sequence: 0, at: 0 };
  /** The line to show, until it is drawn: the list may grow in front of it in the meantime. */
  private target: LinePosition | null = null;
  /** The match in the current line must be scrolled into view once the line is drawn. */
  private landing = false;
  /** The line that was marked first: a range extends from it to the next click. */
  private anchor: LinePosition | null = null;
  private seen: [number, number] = [0, 0];
  private elements: { row: Row; element: HTMLElement }[] = [];
  private revision = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private locating = false;
  private stop: (() => void) | null = null;
  private destroyed = false;
  /** Grows with every event that cancels a move to a line. */
  private turns = 0;

  constructor(
    readonly jobs: readonly string[],
    private readonly engine: Engine,
    finder: Finder,
    api: string,
    private readonly names: () => readonly string[],
    private readonly timeMode: () => TimeMode,
  ) {
    this.find = new SearchController(jobs, finder, api, resultMerger(names), {
      facts: (job) => facts.peek().get(job) ?? null,
      loadAll: (job) => void this.engine.ask({ do: "loadAll", job }),
      began: () => this.markCurrent(),
      found: (lines) => this.matchesFound(lines),
      ended: () => {
        this.matchIndexes = NO_NUMBERS;
        this.map?.mark({ hits: NO_NUMBERS }, this.total.peek());
        this.filterBy(null);
        this.markCurrent();
      },
      errors: () => this.locateSoon(),
      seen: () => this.bounds,
      go: (line) => {
        this.landing = true;
        this.go(line);
      },
    });
  }

  /** Return what arrived live, over all jobs. */
  arrived(known: ReadonlyMap<string, JobFacts>): { lines: number; errors: number } {
    const all = this.jobs.flatMap((job) => known.get(job) ?? []);
    return {
      lines: all.reduce((sum, { live }) => sum + live, 0),
      errors: all.reduce((sum, { liveErrors }) => sum + liveErrors, 0),
    };
  }

  attach(host: HTMLElement, canvas: HTMLCanvasElement, drawing: Drawing, mark: Route["mark"]): void {
    const pane = new LogPane(
      host,
      { rows: (from, count) => this.rows(from, count) },
      {
        follow: (on) => {
          if (on) this.target = null;
          batch(() => {
            this.following.value = on;
            if (!on) this.pausedAt.value = this.arrived(facts.peek());
          });
        },
        seen: (first, last) => {
          this.seen = [first, last];
          const [from, to] =
            this.shown === null ? this.seen : [this.matchIndexes[first] ?? 0, this.matchIndexes[last] ?? 0];
          this.map?.look(from, to, this.total.peek());
        },
        drawing: () => this.keeper?.drawing(),
        drawn: (rows) => {
          markDays(rows);
          this.keeper?.redrawn(rows.map(({ row, element }) => ({ index: row.index, element })));
          this.elements = [...rows];
          this.arrive();
          this.markCurrent();
          this.find.drawn();
        },
      },
      drawing,
    );
    this.pane = pane;
    this.map = new Minimap(canvas, (share) =>
      pane.show(Math.floor(share * (this.shown?.length ?? this.total.peek())), 0.4),
    );
    this.keeper = new SelectionKeeper(
      host,
      {
        drawn: (place) => drawnText(pane.rows.find(({ index }) => index === place)),
        fetch: (first, last) => textsOf((from, count) => this.rows(from, count), first, last, this.whole),
      },
      () => pane.pause(),
    );
    host.addEventListener("click", (event) => this.clicked(event));
    for (const move of MOVE_EVENTS) host.addEventListener(move, () => this.cancelNavigation(), { passive: true });
    showFullTimes(host);
    this.stop = this.engine.listen((tell) => {
      if (tell.tell === "merged") {
        this.last = tell.last;
        this.grown(tell.total, tell.revision, tell.changed);
      }
      if (tell.tell === "job") this.find.jobChanged(tell.facts.job);
    });
    if (mark !== null) pane.pause();
    void this.open(mark);
  }

  destroy(): void {
    this.destroyed = true;
    clearTimeout(this.timer);
    this.stop?.();
    highlight(this, [], null, null);
    this.keeper?.destroy();
    this.map?.destroy();
    this.pane?.destroy();
    this.find.destroy();
    for (const job of this.jobs) void this.engine.ask({ do: "close", job });
    void this.engine.ask({ do: "merge", jobs: [] });
  }

  focus(): void {
    this.pane?.focus();
  }

  search(query: Query, filtering: boolean): void {
    this.find.search(query, filtering);
  }

  step(by: 1 | -1): void {
    this.find.step(this.reading, by);
  }

  stepError(by: 1 | -1): void {
    this.find.stepError(this.reading, by);
  }

  /** A person moved: cancel every pending move. */
  private cancelNavigation(): void {
    this.target = null;
    this.turns++;
    this.find.cancelNavigation();
  }

  /** Once the target is drawn, there is nothing more to do. */
  private arrive(): void {
    if (this.elements.some(({ row }) => isSamePosition(this.target, positionOf(row)))) this.target = null;
  }

  /** Show a line that is loaded. */
  private async show(line: LinePosition): Promise<void> {
    const turn = this.turns;
    const place = await this.engine.ask({ do: "mergedIndex", ...line });
    if (this.destroyed || turn !== this.turns || this.shown !== null) return;
    this.pane?.show(place, 0.35);
    this.arrive();
    this.markCurrent();
  }

  /** Show a line, loaded or not, and make it current. */
  go(line: LinePosition): void {
    const turn = ++this.turns;
    // Set at once, so that a repeated key continues from there before the row is loaded.
    this.current = line;
    this.target = null;
    this.notShown.value = null;
    this.pane?.pause();
    this.markCurrent();
    if (this.shown !== null) {
      this.pane?.show(Math.max(0, this.shown.upTo(line)), 0.35);
      return;
    }
    void this.fetchAround(line).then((at) => {
      if (this.destroyed || turn !== this.turns) return;
      if (at === null)
        this.notShown.value = "That line is not available: it is no longer kept, or its job cannot be read.";
      else {
        this.target = line;
        void this.show(line);
      }
    });
  }

  /**
   * Fetch what all jobs wrote around a line. Returns the time that orders the line, or null when it cannot be fetched.
   */
  private fetchAround({ source, sequence }: LinePosition): Promise<number | null> {
    return this.engine
      .ask({ do: "fetchAround", job: this.jobs[source] as string, sequence, others: this.jobs })
      .catch(() => null);
  }

  /** Make the next or previous row current. */
  move(by: number): void {
    const rows = this.pane?.rows ?? [];
    const at = rows.findIndex((row) => isSamePosition(this.current, positionOf(row)));
    if (at >= 0 && this.pane?.pageWithin((rows[at] as Row).index, by) === true) return;
    const row = at < 0 ? rows.find(({ index }) => index >= this.seen[by > 0 ? 0 : 1]) : rows[at + by];
    if (row === undefined) return;
    this.pane?.pause();
    this.current = positionOf(row);
    this.pane?.reveal(row.index);
    this.markCurrent();
  }

  /** Unfold or fold the current row. */
  fold(): void {
    const here = this.elements.find(({ row }) => isSamePosition(this.current, positionOf(row)));
    if (here !== undefined) void this.pane?.fold(here.element);
  }

  // --- marking, copying, exporting ---------------------------------------------------------------------------------

  /** Mark a line or a range, and put it into the address. */
  mark(marks: MarkedRange): void {
    this.markedLines.value = marks;
    navigate(this.addressOf(marks), true);
    this.markCurrent();
  }

  unmark(): void {
    this.markedLines.value = null;
    navigate(urlOf(this.jobs), true);
    this.markCurrent();
  }

  get markedWords(): string | null {
    const marks = this.markedLines.value;
    return marks === null ? null : markedRangeText(marks, this.names());
  }

  get markedTime(): number | null {
    return this.markedLines.peek()?.first.at ?? null;
  }

  /** A link to the marked lines; otherwise to the current line or the first row in view. */
  get link(): string {
    const marks = this.markedOrCurrent;
    return new URL(marks === null ? urlOf(this.jobs) : this.addressOf(marks), location.href).href;
  }

  /** Copy the marked lines, or the current one; with times, names are included. */
  async copy(withTime: boolean): Promise<void> {
    const marks = this.markedOrCurrent;
    if (marks === null) return;
    const mode = this.timeMode();
    const names = withTime ? this.names() : null;
    await copyText(
      this.engine.exportMerged({
        marks,
        query: null,
        names,
        format: "text",
        time: withTime ? (mode === "hidden" ? "utc" : mode) : "hidden",
      }),
    );
  }

  /** Return a line's text, whatever its length. */
  private readonly whole = (row: LineRow): Promise<Blob> => {
    const line = positionOf(row);
    return this.engine.exportMerged({
      marks: { first: line, last: line },
      query: null,
      names: null,
      format: "text",
      time: "hidden",
    });
  };

  exportLines(
    what: ExportScope,
    format: SaveFormat,
    time: TimeMode,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Blob> {
    const marks = what === "marked" ? this.markedLines.peek() : null;
    const query = what === "filtered" ? this.find.query.peek() : null;
    return this.engine.exportMerged({ marks, query, names: this.names(), format, time }, progress, signal);
  }

  get marked(): Exportable["marked"] {
    const marks = this.markedLines.peek();
    return marks === null ? null : { words: markedRangeText(marks, this.names()), file: "marked" };
  }

  /** Entries of all jobs, loaded or not. */
  get entries(): number {
    return this.jobs.reduce((sum, job) => sum + (facts.peek().get(job)?.tip ?? 0), 0);
  }

  /** The marked lines, the current one, or the first row in view. */
  private get markedOrCurrent(): MarkedRange | null {
    const line = this.position;
    return this.markedLines.peek() ?? (line === null ? null : { first: line, last: line });
  }

  private get position(): LinePosition | null {
    if (this.current !== null) return this.current;
    const row = this.pane?.reading?.row;
    return row === undefined ? null : positionOf(row);
  }

  private addressOf({ first, last }: MarkedRange): string {
    const line = ({ source, sequence }: LinePosition) => ({ job: this.jobs[source] as string, sequence });
    return urlOfMark(this.jobs, line(first), line(last));
  }

  private async open(mark: Route["mark"]): Promise<void> {
    await Promise.all(this.jobs.map((job) => this.engine.ask({ do: "open", job, at: null })));
    // The page was left in the meantime: its jobs now belong to another page.
    if (this.destroyed) return;
    const marks = mark === null ? null : await this.fetchMarkedLines(mark);
    if (this.destroyed) return;
    if (marks !== null) {
      this.current = this.target = marks.first;
      this.mark(marks);
    }
    await this.engine.ask({ do: "merge", jobs: this.jobs });
    if (this.destroyed) return;
    if (marks === null && mark !== null) {
      this.notShown.value = "The line of this link is not available: it is no longer kept, or its job cannot be read.";
      this.pane?.follow();
    }
    this.find.index();
  }

  /** Fetch the lines around a link's lines in all jobs. Null when one of them cannot be fetched. */
  private async fetchMarkedLines(mark: NonNullable<Route["mark"]>): Promise<MarkedRange | null> {
    const lines = await Promise.all(
      [mark.first, mark.last].map(async ({ job, sequence }) => {
        const line = { source: this.jobs.indexOf(job), sequence, at: 0 };
        const at = await this.fetchAround(line);
        return at === null ? null : { ...line, at };
      }),
    );
    const [one, other] = lines;
    return one == null || other == null ? null : markedRange(one, other);
  }

  /** The list grew, perhaps in front of the row that is read, which stays in place. */
  private grown(total: number, revision: number, changed: number): void {
    const pane = this.pane;
    if (pane === null) return;
    this.total.value = total;
    this.revision = revision;
    this.locateSoon();
    if (this.shown !== null) {
      if (pane.rows.some(({ kind }) => kind === "loading")) pane.update(this.shown.length, revision);
      return;
    }
    const { target } = this;
    const { reading } = pane;
    const placeOf = (row: Row) => this.engine.ask({ do: "mergedIndex", ...positionOf(row) });
    if (target !== null && !pane.following) {
      if (reading === null) pane.resetTotal(total, revision);
      else void pane.grownBefore(total, revision, placeOf);
      void this.show(target);
      return;
    }
    if (pane.following || reading === null || (changed > reading.row.index && !pane.placing)) {
      pane.update(total, revision);
      return;
    }
    void pane.grownBefore(total, revision, placeOf);
  }

  private locateSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.locate();
    }, LOCATE_MS);
  }

  /** Locate errors and matches in the merged list, for the minimap. */
  private async locate(): Promise<void> {
    if (this.locating) {
      this.locateSoon();
      return;
    }
    this.locating = true;
    const { list } = this.find;
    const place = ({ sequences, times, sources }: LinePositions) =>
      this.engine.ask({ do: "locate", lines: { sequences, times, sources } });
    try {
      const [errors, hits] = await Promise.all([place(this.find.errors.peek()), place(list)]);
      if (list === this.find.list) this.matchIndexes = hits;
      this.map?.mark({ errors, hits: this.matchIndexes }, this.total.peek());
    } finally {
      this.locating = false;
    }
  }

  private matchesFound(lines: LinePositions): void {
    // Once it is loaded, a line whose clock stepped back has its final position.
    const at = this.current === null ? -1 : lines.find(this.current);
    if (at >= 0) this.current = lines.at(at);
    this.find.reached(this.current);
    this.locateSoon();
    this.filterBy(this.find.narrows ? lines : null);
    this.markCurrent();
  }

  private filterBy(lines: LinePositions | null): void {
    const { pane, shown } = this;
    if (pane === null || (lines === null && (shown === null || this.leaving))) return;
    this.turns++;
    this.leaving = false;
    if (lines !== null && shown !== null) {
      this.shown = lines;
      if (lines.beginsWith(shown)) pane.update(lines.length, this.revision);
      else {
        pane.renumber((row) => {
          const at = lines.indexOf(positionOf(row));
          return at < 0 ? null : at;
        }, lines.length);
      }
      return;
    }
    // A filter adds or removes lines above and below the row that is read. If that row is in both lists, it stays in
    // place. A reader who went to a match of a filtered list wants to see the lines around it.
    const stays =
      lines === null
        ? (pane.readingOf((row) => isSamePosition(this.current, positionOf(row))) ?? pane.reading)
        : pane.readingOf((row) => lines.indexOf(positionOf(row)) >= 0);
    const line = stays === null ? this.reading : positionOf(stays.row);
    if (lines !== null || this.following.peek()) {
      this.shown = lines;
      pane.restart(
        lines?.length ?? this.total.peek(),
        this.following.peek() ? null : Math.max(0, lines?.upTo(line) ?? 0),
        stays?.offset,
      );
      return;
    }
    this.leaving = true;
    void this.fetchAround(line).then(async () => {
      const place = await this.engine.ask({ do: "mergedIndex", ...line });
      if (this.destroyed || !this.leaving) return;
      this.leaving = false;
      this.shown = null;
      pane.restart(this.total.peek(), place, stays?.offset);
    });
  }

  private rows(from: number, count: number): ReturnType<ConstructorParameters<typeof LogPane>[1]["rows"]> {
    if (this.shown === null) return this.engine.ask({ do: "mergedRows", from, count });
    return this.engine.ask({
      do: "filteredMergedRows",
      from,
      lines: this.shown.slice(from, from + count),
      total: this.shown.length,
    });
  }

  /** The first and last line in view; null when there is none, or when a filter shows matches only. */
  private get bounds(): readonly [LinePosition, LinePosition] | null {
    const [first, last] = this.seen.map((place) => this.pane?.rows.find(({ index }) => index === place));
    return this.shown !== null || first === undefined || last === undefined
      ? null
      : [positionOf(first), positionOf(last)];
  }

  /** The line from which the next match is searched. */
  private get reading(): LinePosition {
    if (this.current !== null) return this.current;
    // A reader who follows is at the end, even if the last rows are not drawn yet.
    if (this.following.peek()) return this.last;
    const rows = this.pane?.rows ?? [];
    const row = rows.find(({ index }) => index === this.seen[0]) ?? rows[0];
    return row === undefined ? this.last : positionOf(row);
  }

  private clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const element = target?.closest<HTMLElement>(".row") ?? null;
    if (element === null) return;
    const whole = target?.closest<HTMLElement>("[data-whole]");
    if (whole != null) {
      const cut = this.elements.find((one) => one.element === element)?.row;
      if (cut !== undefined) void copyOrSaveLine(whole, cut, this.whole);
      return;
    }
    if (target?.closest(".mark") != null && "json" in element.dataset) {
      void this.pane?.fold(element);
      return;
    }
    const row =
      target?.closest(".gutter") == null ? undefined : this.elements.find((one) => one.element === element)?.row;
    if (row === undefined) return;
    event.preventDefault();
    const line = positionOf(row);
    this.pane?.pause();
    this.current = line;
    const kept = this.markedLines.peek();
    // A range extends from the line that was marked first.
    if (event.shiftKey && kept !== null) this.mark(markedRange(this.anchor ?? kept.first, line));
    else {
      this.anchor = line;
      this.mark({ first: line, last: line });
    }
  }

  private markCurrent(): void {
    let current: HTMLElement | null = null;
    const texts: HTMLElement[] = [];
    const { list, expression } = this.find;
    for (const { row, element } of this.elements) {
      const line = positionOf(row);
      const is = isSamePosition(this.current, line);
      if (is) current = element;
      element.classList.toggle("current", is);
      element.classList.toggle("marked", isInRange(this.markedLines.peek(), line));
      const text = element.querySelector<HTMLElement>(":scope > .text");
      if (expression !== null && text !== null && list.indexOf(line) >= 0) texts.push(text);
    }
    highlight(this, texts, { expression, query: this.find.query.peek() }, current, (found) => this.revealMatch(found));
  }

  /** Scroll the match into view once its row is in place. That may be later, when the rows around it have loaded. */
  private revealMatch(found: Range): void {
    queueMicrotask(() => {
      if (!this.landing || this.pane?.arriving !== false) return;
      this.landing = false;
      this.pane.revealRange(found);
    });
  }
}

function positionOf({ source = 0, sequence, at = 0 }: Row): LinePosition {
  return { source, sequence, at };
}
