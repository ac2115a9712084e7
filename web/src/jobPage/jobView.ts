/** All behaviour of one job's page, without a framework: the pane, the search and the commands. */
import { batch, signal } from "@preact/signals";
import type { Engine, Progress } from "../engine/client";
import type { ExportRequest, JobFacts, SaveFormat } from "../engine/messages";
import {
  copyOrSaveLine,
  copyText,
  drawnText,
  type Exportable,
  type ExportScope,
  textsOf,
} from "../export/clipboardAndSave";
import type { Finder } from "../index/finder";
import { NO_NUMBERS } from "../index/linePositions";
import type { Query } from "../index/query";
import { exact, exactOrBefore } from "../index/sorted";
import type { LinePosition } from "../log/mergeOrder";
import { type LineRow, ROW_LOOKAHEAD, type Row } from "../log/row";
import { token } from "../login/key";
import { markDays, showFullTimes } from "../pane/dayHeaders";
import { highlight } from "../pane/highlight";
import { Minimap } from "../pane/minimap";
import { LogPane, type Source } from "../pane/pane";
import type { Drawing } from "../pane/rowView";
import type { SelectionKeeper } from "../pane/selection";
import { navigate, urlOf } from "../route";
import { sequenceAt } from "../search/api";
import { remoteRange } from "../search/jobSearch";
import { MOVE_EVENTS, type Searchable, SearchController } from "../search/searchController";
import type { TimeMode } from "../text/time";
import { Api } from "../wire/api";

export class JobView implements Searchable {
  readonly following = signal(true);
  /** Tip and error count when following ended. */
  readonly paused = signal({ tip: 0, errors: 0 });
  /** A marked line or range, by sequence. */
  readonly markedLines = signal<{ first: number; last: number } | null>(null);
  /** Time of the first row in view, µs; 0 before there is one. */
  readonly reading = signal(0);
  /** The open dialog. */
  readonly dialog = signal<"share" | "export" | null>(null);
  readonly find: SearchController;
  facts: JobFacts | null = null;
  pane: LogPane | null = null;
  private map: Minimap | null = null;
  /** The sequences that a filter keeps; null shows all. */
  private shown: Float64Array | null = null;
  private current: number | null = null;
  private seen: [number, number] = [0, 0];
  private texts: { sequence: number; element: HTMLElement }[] = [];
  private keeper: SelectionKeeper | null = null;
  private destroyed = false;
  private stop: (() => void) | null = null;
  private awaited: number | null = null;
  /** The match in the current line must be scrolled into view once the line is drawn. */
  private landing = false;
  private turns = 0;
  /** Called with the time of the first row in view, µs, whenever it changes; null while the end is followed. */
  onLook: ((time: number | null) => void) | null = null;

  constructor(
    readonly job: string,
    private readonly engine: Engine,
    private readonly finder: Finder,
    private readonly timeMode: () => TimeMode,
    private readonly api: string,
    /** One of several panes side by side, which share the address. */
    private readonly beside = false,
  ) {
    this.find = new SearchController([job], finder, api, null, {
      facts: () => this.facts,
      loadAll: () => this.loadAll(),
      began: () => this.markCurrent(),
      found: ({ sequences }) => this.matchesFound(sequences),
      ended: () => {
        this.map?.mark({ hits: NO_NUMBERS }, this.length);
        if (this.shown !== null) this.filterBy(null);
        this.markCurrent();
      },
      errors: ({ sequences }) => this.map?.mark({ errors: sequences }, this.length),
      seen: () => (this.shown === null ? [lineOf(this.sequenceSeen()), lineOf(this.sequenceSeen(1))] : null),
      go: ({ sequence }) => {
        this.landing = true;
        this.go(sequence);
      },
    });
  }

  attach(
    host: HTMLElement,
    canvas: HTMLCanvasElement,
    drawing: Drawing,
    line: number | null,
    until: number | null,
  ): void {
    void this.engine.ask({ do: "open", job: this.job, at: line });
    this.pane = new LogPane(
      host,
      { rows: (from, count) => this.rows(from, count) },
      {
        follow: (on) => {
          batch(() => {
            this.following.value = on;
            if (!on) this.paused.value = { tip: this.facts?.tip ?? 0, errors: this.facts?.liveErrors ?? 0 };
          });
        },
        seen: (first, last, total) => this.rowsSeen(first, last, total),
        drawing: () => this.keeper?.drawing(),
        drawn: (rows) => {
          this.keeper?.redrawn(rows.map(({ row, element }) => ({ index: row.index, element })));
          markDays(rows);
          this.texts = rows.map(({ row, element }) => ({ sequence: row.sequence, element }));
          this.markCurrent();
        },
      },
      drawing,
    );
    this.map = new Minimap(canvas, (share) => this.pane?.show(Math.floor(share * this.listLength), 0.4));
    void this.keepSelection(host);
    host.addEventListener("click", (event) => this.clicked(event));
    for (const move of MOVE_EVENTS) host.addEventListener(move, () => this.find.cancelNavigation(), { passive: true });
    showFullTimes(host);
    this.stop = this.engine.listen((tell) => {
      if (tell.tell !== "job" || tell.facts.job !== this.job) return;
      this.update(tell.facts);
      this.find.jobChanged(this.job);
    });
    if (line !== null) {
      this.markedLines.value = { first: line, last: until ?? line };
      this.pane.pause();
      this.awaited = line;
    }
  }

  /** Loaded after the page: nothing can be selected before something is shown. */
  private async keepSelection(host: HTMLElement): Promise<void> {
    const { SelectionKeeper } = await import("../pane/selection");
    const { pane } = this;
    if (pane === null || this.destroyed) return;
    this.keeper = new SelectionKeeper(
      host,
      {
        drawn: (place) => drawnText(pane.rows.find(({ index }) => index === place)),
        fetch: (first, last) => textsOf((from, count) => this.rows(from, count), first, last, this.whole),
      },
      () => pane.pause(),
    );
    this.keeper.redrawn(pane.rows.flatMap(({ index }) => ({ index, element: pane.elementOf(index) ?? host })));
  }

  destroy(): void {
    this.destroyed = true;
    this.stop?.();
    this.find.destroy();
    this.keeper?.destroy();
    this.pane?.destroy();
    this.map?.destroy();
    highlight(this, [], null, null);
    void this.engine.ask({ do: "close", job: this.job });
  }

  get length(): number {
    return this.facts?.tip ?? 0;
  }

  get entries(): number {
    return this.length;
  }

  focus(): void {
    this.pane?.focus();
  }

  follow(): void {
    this.pane?.follow();
  }

  /** Bring the first line at or after a time to the top, unless `wanted` is false by the time it is known. */
  async showTime(time: number, wanted: () => boolean): Promise<void> {
    const turn = ++this.turns;
    const sequence = await this.sequenceAt(time);
    if (turn === this.turns && wanted()) this.pane?.show(this.indexOf(sequence), 0.001);
  }

  /** Show a sequence and make it current. */
  go(sequence: number): void {
    this.current = sequence;
    this.pane?.show(this.indexOf(sequence), 0.35);
    this.markCurrent();
  }

  /** Make the next or previous row current. */
  move(by: number): void {
    const rows = this.pane?.rows ?? [];
    const at = rows.findIndex(({ sequence }) => sequence === this.current);
    if (at < 0) {
      this.go(this.sequenceSeen(by > 0 ? 0 : 1));
      return;
    }
    if (this.pane?.pageWithin((rows[at] as Row).index, by) === true) return;
    const row = rows[at + by];
    if (row === undefined) return;
    this.current = row.sequence;
    this.pane?.reveal(row.index);
    this.markCurrent();
  }

  /** Unfold or fold the current row. */
  fold(): void {
    const row = this.texts.find(({ sequence }) => sequence === this.current);
    if (row !== undefined) void this.pane?.fold(row.element);
  }

  // --- marking, copying, exporting ---------------------------------------------------------------------------------

  /** Mark a line or a range, and put it into the address. */
  mark(first: number, last = first): void {
    const range = first <= last ? { first, last } : { first: last, last: first };
    this.markedLines.value = range;
    if (!this.beside) navigate(urlOf([this.job], range.first, range.last), true);
    this.markCurrent();
  }

  /** Time of the first marked line, µs, if that line is drawn. */
  get markedTime(): number | null {
    const first = this.markedLines.peek()?.first;
    const row = this.pane?.rows.find(({ sequence }) => sequence === first);
    return row !== undefined && "time" in row ? row.time : null;
  }

  get markedWords(): string | null {
    const range = this.markedLines.value;
    if (range === null) return null;
    return range.first === range.last
      ? `Line ${range.first.toLocaleString("en")}`
      : `${(range.last - range.first + 1).toLocaleString("en")} lines`;
  }

  unmark(): void {
    this.markedLines.value = null;
    if (!this.beside) navigate(urlOf([this.job]), true);
    this.markCurrent();
  }

  get link(): string {
    const range = this.markedLines.peek();
    const sequence = this.current ?? this.sequenceSeen();
    return new URL(urlOf([this.job], range?.first ?? sequence, range?.last ?? null), location.href).href;
  }

  /** Copy the marked lines, or the current one, as text, and return the number of entries. */
  async copy(withTime: boolean): Promise<number> {
    const one = this.current ?? this.sequenceSeen(1);
    const range = this.markedLines.peek() ?? { first: one, last: one };
    // A copy with times has them even if the pane hides them.
    const mode = this.timeMode();
    await copyText(
      this.exportRange({
        ...range,
        marked: true,
        query: null,
        format: "text",
        time: withTime ? (mode === "hidden" ? "utc" : mode) : "hidden",
      }),
    );
    return range.last - range.first + 1;
  }

  /** Return a line's text, whatever its length. */
  private readonly whole = ({ sequence }: LineRow): Promise<Blob> =>
    this.exportRange({ first: sequence, last: sequence, marked: true, query: null, format: "text", time: "hidden" });

  /** Export lines, whether they are loaded or not. */
  exportRange(what: Omit<ExportRequest, "base">, progress?: Progress, signal?: AbortSignal): Promise<Blob> {
    return this.engine.exportJob(this.job, { ...what, base: this.base }, progress, signal);
  }

  exportLines(
    what: ExportScope,
    format: SaveFormat,
    time: TimeMode,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Blob> {
    const range = what === "marked" ? this.markedLines.peek() : null;
    return this.exportRange(
      {
        ...(range ?? { first: 1, last: this.length }),
        marked: range !== null,
        query: what === "filtered" ? this.find.query.peek() : null,
        format,
        time,
      },
      progress,
      signal,
    );
  }

  get marked(): Exportable["marked"] {
    const range = this.markedLines.peek();
    if (range === null) return null;
    const [first, last] = [range.first.toLocaleString("en"), range.last.toLocaleString("en")];
    return { words: first === last ? `line ${first}` : `${first} to ${last}`, file: `${range.first}-${range.last}` };
  }

  /** Origin of relative times, µs. */
  get base(): number {
    const life = this.facts?.record?.life;
    return (life?.started ?? life?.created ?? 0) * 1000;
  }

  private clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>(".row");
    if (row === null || row === undefined) return;
    const whole = target?.closest<HTMLElement>("[data-whole]");
    if (whole != null) {
      const drawn = this.pane?.rows.find(({ sequence }) => sequence === Number(row.dataset["seq"]));
      if (drawn !== undefined) void copyOrSaveLine(whole, drawn, this.whole);
      return;
    }
    if (target?.closest(".mark") != null && "json" in row.dataset) {
      void this.pane?.fold(row);
      return;
    }
    if (target?.closest(".gutter") === null) return;
    event.preventDefault();
    const sequence = Number(row.dataset["seq"]);
    this.pane?.pause();
    this.current = sequence;
    const kept = this.markedLines.peek();
    if (event.shiftKey && kept !== null) this.mark(kept.first === sequence ? kept.last : kept.first, sequence);
    else this.mark(sequence);
  }

  // --- searching ---------------------------------------------------------------------------------------------------

  search(query: Query, filtering: boolean): void {
    this.find.search(query, filtering);
  }

  /** Go to the next or previous match from the current line or the first row in view. */
  step(by: 1 | -1): void {
    this.find.step(lineOf(this.current ?? this.sequenceSeen()), by);
  }

  stepError(by: 1 | -1): void {
    this.find.stepError(lineOf(this.current ?? this.sequenceSeen()), by);
  }

  firstError(): void {
    const first = this.find.errors.peek().sequences[0];
    if (first !== undefined) this.go(first);
  }

  /** Go to the first entry at or after a time, µs. */
  async goTime(time: number): Promise<void> {
    this.go(await this.sequenceAt(time));
  }

  /**
   * Return the first entry at or after a time, or the last one when all are earlier. Asks the service about entries
   * that are not loaded.
   */
  async sequenceAt(time: number): Promise<number> {
    this.find.index();
    const here = await this.finder.timeToSequence(this.job, time);
    const { tip, tail, received, last } = this.facts ?? { tip: 1, tail: null, received: 0, last: null };
    // The index answers once it has read all loaded lines. Its first match may still have earlier ones that are not
    // loaded.
    if (this.find.indexedLines.peek() >= received) {
      if (here === null && last === tip) return tip;
      if (here !== null && (here > (tail ?? 1) || remoteRange(this.facts) === null)) return here;
    }
    return Math.max(1, Math.min(tip, await sequenceAt(new Api(this.api, token.peek() ?? ""), this.job, time)));
  }

  private loadAll(): void {
    const { facts } = this;
    if (facts !== null && facts.received + facts.gone < facts.tip)
      void this.engine.ask({ do: "loadAll", job: this.job });
  }

  private matchesFound(sequences: Float64Array): void {
    this.find.reached(this.current === null ? null : lineOf(this.current));
    this.map?.mark({ hits: sequences }, this.length);
    if (this.find.narrows) this.filterBy(sequences);
    else if (this.shown !== null) this.filterBy(null);
    this.markCurrent();
  }

  private filterBy(sequences: Float64Array | null): void {
    const { pane } = this;
    if (pane === null) return;
    const before = this.shown;
    if (sequences === null || before === null) {
      // A filter adds or removes lines above and below the row that is read. If that row is in both lists, it stays in
      // place. A reader who went to a match of a filtered list wants to see the lines around it.
      const stays =
        sequences === null
          ? (pane.readingOf(({ sequence }) => sequence === this.current) ?? pane.reading)
          : pane.readingOf(({ sequence }) => exact(sequences, sequence) >= 0);
      const sequence = stays?.row.sequence ?? this.sequenceSeen();
      this.shown = sequences;
      pane.restart(this.listLength, this.following.peek() ? null : this.indexOf(sequence), stays?.offset);
      return;
    }
    this.shown = sequences;
    const grown =
      before.length <= sequences.length && before[0] === sequences[0] && before.at(-1) === sequences[before.length - 1];
    if (grown) pane.update(sequences.length, this.facts?.revision ?? 0);
    else {
      pane.renumber(({ sequence }) => {
        const at = exact(sequences, sequence);
        return at < 0 ? null : at;
      }, sequences.length);
    }
  }

  // --- rows for the pane -------------------------------------------------------------------------------------------

  private get listLength(): number {
    return this.shown?.length ?? this.facts?.tip ?? 0;
  }

  private rows(from: number, count: number): ReturnType<Source["rows"]> {
    if (this.shown === null) return this.engine.ask({ do: "rows", job: this.job, from, count });
    const sequences = [...this.shown.subarray(from, from + count)];
    return this.engine.ask({ do: "filteredRows", job: this.job, from, sequences, total: this.shown.length });
  }

  private indexOf(sequence: number): number {
    return this.shown === null ? sequence - 1 : Math.max(0, exactOrBefore(this.shown, sequence));
  }

  private sequenceSeen(end = 0): number {
    const place = this.seen[end] ?? 0;
    return this.shown === null ? place + 1 : (this.shown[place] ?? 1);
  }

  private update(facts: JobFacts): void {
    const before = this.facts;
    // Paused before anything was known (a link to a line): the existing lines are not new.
    if (!this.following.peek() && this.length === 0) this.paused.value = { tip: facts.tip, errors: facts.liveErrors };
    this.facts = facts;
    if (facts.caughtUp) this.find.indexSoon();
    // Go to the line of a link once the job is known to reach that far.
    if (this.awaited !== null && facts.tip > 0 && (facts.tip >= this.awaited || facts.caughtUp)) {
      const line = Math.min(this.awaited, facts.tip);
      this.awaited = null;
      this.pane?.resetTotal(facts.tip, facts.revision);
      this.go(line);
      return;
    }
    // When no range is missing, lines are added at the end only.
    const ends = before !== null && before.holes.length === 0 && facts.holes.length === 0;
    if (this.shown === null) this.pane?.update(facts.tip, facts.revision, ends ? before.tip - ROW_LOOKAHEAD : 0);
    else if (this.pane?.rows.some(({ kind }) => kind === "loading") === true)
      this.pane.update(this.shown.length, facts.revision);
  }

  private rowsSeen(first: number, last: number, total: number): void {
    this.seen = [first, last];
    const row = this.pane?.rows.find(({ index }) => index >= first);
    const time = row !== undefined && "time" in row ? row.time : null;
    if (time !== null) this.reading.value = time;
    if (this.following.peek()) this.onLook?.(null);
    else if (time !== null) this.onLook?.(time);
    const tip = this.facts?.tip ?? total;
    if (this.shown === null) this.map?.look(first, last, tip);
    else this.map?.look((this.shown[first] ?? 1) - 1, (this.shown[last] ?? 1) - 1, tip);
  }

  private markCurrent(): void {
    let current: HTMLElement | null = null;
    const range = this.markedLines.peek();
    for (const { sequence, element } of this.texts) {
      const is = sequence === this.current;
      if (is) current = element;
      element.classList.toggle("current", is);
      element.classList.toggle("marked", range !== null && sequence >= range.first && sequence <= range.last);
    }
    const { list, expression } = this.find;
    if (expression === null) {
      this.landing = false;
      highlight(this, [], null, null);
      return;
    }
    const found = this.texts.filter(({ sequence }) => exact(list.sequences, sequence) >= 0);
    const texts = found.flatMap(({ element }) => [...element.querySelectorAll<HTMLElement>(":scope > .text")]);
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

/** Return the position of a line of this job. */
function lineOf(sequence: number): LinePosition {
  return { source: 0, sequence, at: 0 };
}
