/** Everything that one job's page does, without a framework: the pane, the finder, and what a person asks of them. */
import { batch, computed, signal } from "@preact/signals";
import type { Engine } from "../engine/client";
import type { JobFacts, SaveFormat } from "../engine/messages";
import type { Finder, Found } from "../index/finder";
import { EVERYTHING, expressionOf, type Query } from "../index/segment";
import { textOf } from "../log/row";
import { highlight } from "../pane/highlight";
import { Minimap } from "../pane/minimap";
import { LogPane } from "../pane/pane";
import type { Drawing } from "../pane/rowview";
import { SelectionKeeper } from "../pane/selection";
import { navigate, urlOf } from "../route";
import { fullTime, type TimeMode } from "../text/time";

const NONE = new Float64Array(0);

export class JobView {
  readonly following = signal(true);
  readonly query = signal<Query>(EVERYTHING);
  /** Only matching lines are shown. */
  readonly filtering = signal(false);
  readonly found = signal<Found | null>(null);
  /** The text that `found` is of. */
  readonly foundFor = signal("");
  readonly searching = signal(false);
  readonly problem = signal<string | null>(null);
  /** Index into the found sequences, -1 for none. */
  readonly at = signal(-1);
  readonly errors = signal<Float64Array>(NONE);
  /** Lines that the indexer has read. */
  readonly indexedLines = signal(0);
  /** Tip and error count when following ended. */
  readonly paused = signal({ tip: 0, errors: 0 });
  /** A marked line or range, by sequence. */
  readonly picked = signal<{ first: number; last: number } | null>(null);
  readonly count = computed(() => this.found.value?.sequences.length ?? 0);
  facts: JobFacts | null = null;
  pane: LogPane | null = null;
  private map: Minimap | null = null;
  private shown: Float64Array | null = null;
  private expression: RegExp | null = null;
  private current: number | null = null;
  private seen: [number, number] = [0, 0];
  private texts: { sequence: number; element: HTMLElement }[] = [];
  private keeper: SelectionKeeper | null = null;
  private stop: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private indexed = false;
  private awaited: number | null = null;

  constructor(
    readonly job: string,
    private readonly engine: Engine,
    private readonly finder: Finder,
    private readonly timeMode: () => TimeMode,
  ) {}

  attach(host: HTMLElement, canvas: HTMLCanvasElement, drawing: Drawing, line: number | null, until: number | null): void {
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
        seen: (first, last, total) => this.look(first, last, total),
        drawn: (rows) => {
          this.keeper?.redrawn(rows.map(({ row, element }) => ({ place: row.index, element })));
          this.texts = rows.map(({ row, element }) => ({ sequence: row.sequence, element }));
          this.light();
        },
      },
      drawing,
    );
    this.map = new Minimap(canvas, (share) => this.pane?.show(Math.floor(share * this.length), 0.4));
    this.keeper = new SelectionKeeper(
      host,
      {
        drawn: (place) => {
          const row = this.pane?.rows.find(({ index }) => index === place);
          return row === undefined ? null : textOf(row);
        },
        fetch: (first, last) => this.textsOf(first, last),
      },
      () => this.pane?.pause(),
    );
    host.addEventListener("click", (event) => this.clicked(event));
    this.stop = this.engine.listen((tell) => {
      if (tell.tell === "job" && tell.facts.job === this.job) this.hear(tell.facts);
    });
    if (line !== null) {
      this.picked.value = { first: line, last: until ?? line };
      this.pane.pause();
      this.awaited = line;
    }
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.stop?.();
    this.keeper?.destroy();
    this.pane?.destroy();
    this.map?.destroy();
    highlight([], null, null);
    if (this.indexed) this.finder.forget(this.job);
    void this.engine.ask({ do: "close", job: this.job });
  }

  /** Shows a sequence and marks it. */
  go(sequence: number): void {
    this.current = sequence;
    this.pane?.show(this.placeOf(sequence), 0.35);
    this.light();
  }

  /** Makes the next or previous row the current one. */
  move(by: number): void {
    const rows = this.pane?.rows ?? [];
    const at = rows.findIndex(({ sequence }) => sequence === this.current);
    if (at < 0) {
      this.go(this.sequenceSeen(by > 0 ? 0 : 1));
      return;
    }
    const row = rows[at + by];
    if (row === undefined) return;
    this.current = row.sequence;
    this.pane?.reveal(row.index);
    this.light();
  }

  /** Unfolds or folds the current row. */
  fold(): void {
    const row = this.texts.find(({ sequence }) => sequence === this.current);
    if (row !== undefined) this.pane?.fold(row.element);
  }

  // --- taking it away ----------------------------------------------------------------------------------------------

  /** Marks a line or a range, and puts it into the address. */
  pick(first: number, last = first): void {
    const range = first <= last ? { first, last } : { first: last, last: first };
    this.picked.value = range;
    navigate(urlOf([this.job], range.first, range.last), true);
    this.light();
  }

  get link(): string {
    const range = this.picked.peek();
    const sequence = this.current ?? this.sequenceSeen();
    return new URL(urlOf([this.job], range?.first ?? sequence, range?.last ?? null), location.href).href;
  }

  /** The marked lines, or the one that is current, as text; how many lines were copied. */
  async copy(withTime: boolean): Promise<number> {
    const range = this.picked.peek() ?? { first: this.current ?? this.sequenceSeen(1), last: this.current ?? this.sequenceSeen(1) };
    const lines: string[] = [];
    for (let from = range.first; from <= range.last; from += 5_000) {
      const window = await this.engine.ask({ do: "rows", job: this.job, from: from - 1, count: Math.min(5_000, range.last - from + 1) });
      for (const row of window.rows) {
        if ("time" in row) lines.push(withTime ? `${fullTime(row.time, this.timeMode())} ${textOf(row)}` : textOf(row));
      }
    }
    await navigator.clipboard.writeText(lines.join("\n"));
    return lines.length;
  }

  /** Downloads the job, or with `filtered` what the filter or search left of it. */
  async save(format: SaveFormat, filtered: boolean): Promise<void> {
    this.wantWhole();
    while (this.facts !== null && this.facts.problem === null && this.facts.received + this.facts.gone < this.facts.tip) {
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    const sequences = filtered ? (this.found.peek()?.sequences ?? null) : null;
    const blob = await this.engine.ask({ do: "save", job: this.job, sequences: sequences === null ? null : sequences.slice(), format, time: this.timeMode() });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    const name = this.facts?.record?.container.name || this.job.slice(0, 24);
    link.download = `${name.replace(/[^\w.-]+/g, "_")}${filtered ? "-filtered" : ""}.${format === "jsonl" ? "jsonl" : "log"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  private async textsOf(first: number, last: number): Promise<string[]> {
    const lines: string[] = [];
    for (let from = first; from <= last; from += 5_000) {
      const window = await this.rows(from, Math.min(5_000, last - from + 1));
      for (const row of window.rows) lines.push(textOf(row));
    }
    return lines;
  }

  private clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>(".row");
    if (row === null || row === undefined) return;
    if (target?.closest(".mark") != null && "json" in row.dataset) {
      this.pane?.fold(row);
      return;
    }
    if (target?.closest(".gutter") === null) return;
    event.preventDefault();
    const sequence = Number(row.dataset["seq"]);
    this.pane?.pause();
    this.current = sequence;
    const kept = this.picked.peek();
    if (event.shiftKey && kept !== null) this.pick(kept.first === sequence ? kept.last : kept.first, sequence);
    else this.pick(sequence);
  }

  // --- finding -----------------------------------------------------------------------------------------------------

  search(query: Query, filtering: boolean): void {
    let wrong: string | null = null;
    try {
      this.expression = expressionOf(query);
    } catch (error) {
      wrong = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error);
      this.expression = null;
    }
    const idle = query.text === "" && query.level === 0 && query.hide.length === 0;
    batch(() => {
      this.query.value = query;
      this.filtering.value = filtering;
      this.problem.value = wrong;
      this.at.value = -1;
      this.searching.value = !idle && wrong === null;
      if (idle || wrong !== null) this.found.value = null;
    });
    this.index();
    clearTimeout(this.timer);
    if (idle || wrong !== null) {
      this.finder.search(this.job, null);
      this.map?.mark({ hits: NONE }, this.facts?.tip ?? 0);
      if (this.shown !== null) this.filterBy(null);
      this.light();
      return;
    }
    this.wantWhole();
    this.finder.search(this.job, query);
    this.light();
  }

  /** The next or previous match from what is seen or was found last. */
  step(by: 1 | -1): void {
    const sequences = this.found.peek()?.sequences ?? NONE;
    const next = neighbour(sequences, this.current ?? this.sequenceSeen(), by);
    if (next < 0) return;
    this.at.value = next;
    this.go(sequences[next] as number);
  }

  stepError(by: 1 | -1): void {
    this.index();
    const next = neighbour(this.errors.peek(), this.current ?? this.sequenceSeen(), by);
    if (next >= 0) this.go(this.errors.peek()[next] as number);
  }

  /** Jumps to the first entry at or after a time, µs. */
  async goTime(time: number): Promise<void> {
    this.index();
    const sequence = await this.finder.timeToSequence(this.job, time);
    this.go(sequence ?? this.facts?.tip ?? 1);
  }

  /** Indexing begins when it is first needed, or when the page has nothing else to do. */
  index(): void {
    if (this.indexed) return;
    this.indexed = true;
    this.finder.index(this.job, {
      hits: (found) => this.hits(found),
      errors: (sequences, lines) => {
        this.errors.value = sequences;
        this.indexedLines.value = lines;
        this.map?.mark({ errors: sequences }, this.facts?.tip ?? 0);
      },
      failed: (message) => {
        batch(() => {
          this.problem.value = message;
          this.searching.value = false;
          this.found.value = null;
        });
      },
    });
  }

  private wantWhole(): void {
    const { facts } = this;
    if (facts !== null && facts.received + facts.gone < facts.tip) void this.engine.ask({ do: "whole", job: this.job });
  }

  private hits(found: Found): void {
    const first = this.found.peek() === null || this.searching.peek();
    const kept = this.found.peek();
    batch(() => {
      this.searching.value = false;
      this.foundFor.value = this.query.peek().text;
      this.found.value = found.ms === 0 && kept !== null ? { ...found, ms: kept.ms } : found;
      if (this.current !== null) this.at.value = exact(found.sequences, this.current);
    });
    this.map?.mark({ hits: found.sequences }, this.facts?.tip ?? 0);
    if (this.filtering.peek() || this.query.peek().hide.length > 0 || this.query.peek().level > 0) this.filterBy(found.sequences);
    else if (this.shown !== null) this.filterBy(null);
    if (first && this.shown === null && this.query.peek().text !== "") {
      // The nearest match at or above what is read, as every pager does; a reader who is at the end sees the last ones.
      if (exactOrBefore(found.sequences, this.sequenceSeen(1)) >= 0 && !this.isHitSeen(found.sequences)) this.step(-1);
    }
    this.light();
  }

  private isHitSeen(sequences: Float64Array): boolean {
    const [first, last] = this.seen;
    const at = exactOrBefore(sequences, last + 1);
    return at >= 0 && (sequences[at] as number) > first;
  }

  private filterBy(sequences: Float64Array | null): void {
    const { pane } = this;
    if (pane === null) return;
    const before = this.shown;
    const seen = this.sequenceSeen();
    this.shown = sequences;
    if (sequences === null) {
      pane.restart(this.facts?.tip ?? 0, this.following.peek() ? null : seen - 1);
      return;
    }
    if (before === null) {
      pane.restart(sequences.length, this.following.peek() ? null : Math.max(0, exactOrBefore(sequences, seen)));
      return;
    }
    const grown = before.length <= sequences.length && before[0] === sequences[0] && before.at(-1) === sequences[before.length - 1];
    if (grown) pane.update(sequences.length, this.facts?.revision ?? 0);
    else {
      pane.renumber((sequence) => {
        const at = exact(sequences, sequence);
        return at < 0 ? null : at;
      }, sequences.length);
    }
  }

  // --- the pane's source -------------------------------------------------------------------------------------------

  private get length(): number {
    return this.shown?.length ?? this.facts?.tip ?? 0;
  }

  private rows(from: number, count: number): ReturnType<LogPaneSource> {
    if (this.shown === null) return this.engine.ask({ do: "rows", job: this.job, from, count });
    const sequences = [...this.shown.subarray(from, from + count)];
    return this.engine.ask({ do: "pick", job: this.job, from, sequences, total: this.shown.length });
  }

  private placeOf(sequence: number): number {
    return this.shown === null ? sequence - 1 : Math.max(0, exactOrBefore(this.shown, sequence));
  }

  private sequenceSeen(end = 0): number {
    const place = this.seen[end] ?? 0;
    return this.shown === null ? place + 1 : (this.shown[place] ?? 1);
  }

  private hear(facts: JobFacts): void {
    this.facts = facts;
    // A link's line is gone to once the job is known to reach that far.
    if (this.awaited !== null && facts.tip > 0 && (facts.tip >= this.awaited || facts.caughtUp)) {
      const line = Math.min(this.awaited, facts.tip);
      this.awaited = null;
      this.pane?.resetTotal(facts.tip, facts.revision);
      this.go(line);
      return;
    }
    if (this.shown === null) this.pane?.update(facts.tip, facts.revision);
    if (facts.caughtUp && !this.indexed && this.timer === undefined) this.timer = setTimeout(() => this.index(), 400);
  }

  private look(first: number, last: number, total: number): void {
    this.seen = [first, last];
    const tip = this.facts?.tip ?? total;
    if (this.shown === null) this.map?.look(first, last, tip);
    else this.map?.look((this.shown[first] ?? 1) - 1, (this.shown[last] ?? 1) - 1, tip);
  }

  private light(): void {
    let current: HTMLElement | null = null;
    const range = this.picked.peek();
    for (const { sequence, element } of this.texts) {
      const is = sequence === this.current;
      if (is) current = element;
      element.classList.toggle("current", is);
      element.classList.toggle("picked", range !== null && sequence >= range.first && sequence <= range.last);
    }
    // Only in lines that the indexer found, and so came through: an expression that never ends must not end the page.
    const sequences = this.found.peek()?.sequences ?? NONE;
    const found = this.texts.filter(({ sequence }) => exact(sequences, sequence) >= 0);
    const texts = found.flatMap(({ element }) => [...element.querySelectorAll<HTMLElement>(":scope > .text")]);
    highlight(texts, this.expression, current);
  }
}

type LogPaneSource = ConstructorParameters<typeof LogPane>[1]["rows"];

/** Index of the last value at or below `value`; -1 when there is none. */
export function exactOrBefore(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function exact(sorted: Float64Array, value: number): number {
  const at = exactOrBefore(sorted, value);
  return at >= 0 && sorted[at] === value ? at : -1;
}

/** Index of the neighbour of `value`, around the ends; -1 when the list is empty. */
export function neighbour(sorted: Float64Array, value: number, by: 1 | -1): number {
  if (sorted.length === 0) return -1;
  if (by === 1) return (exactOrBefore(sorted, value) + 1) % sorted.length;
  const at = exactOrBefore(sorted, value - 1);
  return at >= 0 ? at : sorted.length - 1;
}
