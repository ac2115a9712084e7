/** Everything that the merged pane does, without a framework: several jobs as one list by time, searched as one. */
import { batch, computed, signal } from "@preact/signals";
import type { Engine, Progress } from "../engine/client";
import type { JobFacts, SaveFormat } from "../engine/messages";
import type { Finder, Found } from "../index/finder";
import { EVERYTHING, expressionOf, type Query } from "../index/segment";
import { exact, exactOrBefore, neighbour } from "../index/sorted";
import { type Row, textOf } from "../log/row";
import { highlight } from "../pane/highlight";
import { Minimap } from "../pane/minimap";
import { LogPane } from "../pane/pane";
import type { Drawing } from "../pane/rowview";
import { SelectionKeeper } from "../pane/selection";
import { facts } from "../state";
import type { TimeMode } from "../text/time";
import { markDays, tellTimes } from "./days";
import { token } from "../login/key";
import { navigate, type Route, urlOf, urlOfMark } from "../route";
import { sequenceAt } from "../search/calls";
import { Api } from "../wire/api";
import { type Findings, NONE, type Searchable } from "./finding";
import { copyText, type Takeable, textsOf, type What } from "./takeaway";
import { type Marks, marksOf, type Standing, within, wordsOf } from "./marks";

const LOCATE_MS = 250;

/** Only what is loaded is searched here, and loading all is one click: nothing is asked of the service. */
function findings() {
  const found = signal<Found | null>(null);
  const remote = { progress: signal(null) };
  return {
    query: signal<Query>(EVERYTHING),
    filtering: signal(false),
    found,
    foundFor: signal(""),
    searching: signal(false),
    loading: signal(false),
    problem: signal<string | null>(null),
    reason: signal<string | null>(null),
    at: signal(-1),
    errors: signal<Float64Array>(NONE),
    indexedLines: signal(0),
    count: computed(() => found.value?.sequences.length ?? 0),
    remote,
    remoteErrors: remote,
  } satisfies Findings;
}

/** What one of the jobs holds. */
interface Of {
  hits: Float64Array | null;
  errors: Float64Array;
  lines: number;
}

export class MergedView implements Searchable {
  readonly following = signal(true);
  readonly find = findings();
  /** Lines and errors that had come when following ended. */
  readonly pausedAt = signal({ lines: 0, errors: 0 });
  /** What stands over the page. */
  readonly dialog = signal<"take" | null>(null);
  readonly total = signal(0);
  /** A marked line or range of the merged order. */
  readonly picked = signal<Marks | null>(null);
  /** Why the line of a link is not shown. */
  readonly lost = signal<string | null>(null);
  pane: LogPane | null = null;
  private map: Minimap | null = null;
  private keeper: SelectionKeeper | null = null;
  private readonly of: Of[];
  private shown: Float64Array | null = null;
  private expression: RegExp | null = null;
  private current: Standing | null = null;
  private currentPlace = -1;
  /** The line that is gone to, until it is drawn: the list may grow in front of it meanwhile. */
  private heading: Standing | null = null;
  /** The line that was marked first: a range goes from it to wherever one clicks next. */
  private anchor: Standing | null = null;
  private seen: [number, number] = [0, 0];
  private elements: { row: Row; element: HTMLElement }[] = [];
  private revision = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private locating = false;
  private stop: (() => void) | null = null;
  private fresh = false;
  private over = false;

  constructor(
    readonly jobs: readonly string[],
    private readonly engine: Engine,
    private readonly finder: Finder,
    private readonly api: string,
    private readonly names: () => readonly string[],
    private readonly timeMode: () => TimeMode,
  ) {
    this.of = jobs.map(() => ({ hits: null, errors: NONE, lines: 0 }));
  }

  /** What came live, of all jobs. */
  arrived(known: ReadonlyMap<string, JobFacts>): { lines: number; errors: number } {
    const all = this.jobs.flatMap((job) => known.get(job) ?? []);
    return { lines: all.reduce((sum, { live }) => sum + live, 0), errors: all.reduce((sum, { liveErrors }) => sum + liveErrors, 0) };
  }

  get length(): number {
    return this.total.peek();
  }

  attach(host: HTMLElement, canvas: HTMLCanvasElement, drawing: Drawing, mark: Route["mark"]): void {
    const pane = new LogPane(
      host,
      { rows: (from, count) => this.rows(from, count) },
      {
        follow: (on) => {
          if (on) this.heading = null;
          batch(() => {
            this.following.value = on;
            if (!on) this.pausedAt.value = this.arrived(facts.peek());
          });
        },
        seen: (first, last) => {
          this.seen = [first, last];
          const [from, to] = this.shown === null ? this.seen : [this.shown[first] ?? 0, this.shown[last] ?? 0];
          this.map?.look(from, to, this.total.peek());
        },
        drawing: () => this.keeper?.drawing(),
        drawn: (rows) => {
          markDays(rows);
          this.keeper?.redrawn(rows.map(({ row, element }) => ({ place: row.index, element })));
          this.elements = [...rows];
          this.arrive();
          this.light();
        },
      },
      drawing,
    );
    this.pane = pane;
    this.map = new Minimap(canvas, (share) => pane.show(Math.floor(share * (this.shown?.length ?? this.total.peek())), 0.4));
    this.keeper = new SelectionKeeper(
      host,
      {
        drawn: (place) => {
          const row = pane.rows.find(({ index }) => index === place);
          return row === undefined ? null : textOf(row);
        },
        fetch: (first, last) => textsOf((from, count) => this.rows(from, count), first, last),
      },
      () => pane.pause(),
    );
    host.addEventListener("click", (event) => this.clicked(event));
    for (const move of ["wheel", "touchmove", "pointerdown", "keydown"]) host.addEventListener(move, () => (this.heading = null), { passive: true });
    tellTimes(host);
    this.stop = this.engine.listen((tell) => {
      if (tell.tell === "merged") this.grown(tell.total, tell.revision, tell.changed);
    });
    if (mark !== null) pane.pause();
    void this.open(mark);
  }

  destroy(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.stop?.();
    highlight(this, [], null, null);
    this.keeper?.destroy();
    this.map?.destroy();
    this.pane?.destroy();
    for (const job of this.jobs) {
      this.finder.forget(job);
      void this.engine.ask({ do: "close", job });
    }
    void this.engine.ask({ do: "merge", jobs: [] });
  }

  focus(): void {
    this.pane?.focus();
  }

  loadAll(): void {
    this.find.loading.value = true;
    for (const job of this.jobs) void this.engine.ask({ do: "whole", job });
  }

  search(query: Query, filtering: boolean): void {
    let wrong: string | null = null;
    try {
      this.expression = expressionOf(query);
    } catch (error) {
      wrong = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error);
      this.expression = null;
    }
    const idle = wrong !== null || (query.text === "" && query.level === 0 && query.hide.length === 0);
    batch(() => {
      this.find.query.value = query;
      this.find.filtering.value = filtering;
      this.find.problem.value = wrong;
      this.find.at.value = -1;
      this.find.searching.value = !idle;
      if (idle) this.find.found.value = null;
    });
    this.fresh = query.text !== "";
    for (const one of this.of) one.hits = null;
    for (const job of this.jobs) this.finder.search(job, idle ? null : query);
    if (!idle) return;
    this.map?.mark({ hits: NONE }, this.total.peek());
    this.filterBy(null);
    this.light();
  }

  step(by: 1 | -1): void {
    this.fresh = false;
    const places = this.find.found.peek()?.sequences ?? NONE;
    const next = neighbour(places, this.reading(), by);
    if (next < 0) return;
    this.find.at.value = next;
    void this.go(places[next] as number);
  }

  stepError(by: 1 | -1): void {
    const places = this.find.errors.peek();
    const next = neighbour(places, this.reading(), by);
    if (next >= 0) void this.go(places[next] as number);
  }

  /** What is drawn needs not be gone to any more. */
  private arrive(): void {
    const { heading } = this;
    if (this.elements.some(({ row }) => row.sequence === heading?.sequence && row.source === heading.source)) this.heading = null;
  }

  /** Shows a line that is here. */
  private async goTo(line: Standing): Promise<void> {
    const place = await this.engine.ask({ do: "place", ...line });
    if (!this.over) await this.go(place);
  }

  /** Shows a place of the whole list, and marks it. */
  async go(place: number): Promise<void> {
    // At once, so that a key pressed again before the row is here goes on from there.
    this.current = null;
    this.currentPlace = place;
    const row = (await this.engine.ask({ do: "merged", from: place, count: 1 })).rows[0];
    if (row === undefined || this.currentPlace !== place) return;
    this.current = this.heading = standingOf(row);
    this.pane?.show(this.shown === null ? place : Math.max(0, exactOrBefore(this.shown, place)), 0.35);
    this.arrive();
    this.light();
  }

  /** Makes the next or previous row the current one. */
  move(by: number): void {
    const rows = this.pane?.rows ?? [];
    const at = rows.findIndex(({ source, sequence }) => source === this.current?.source && sequence === this.current?.sequence);
    const row = at < 0 ? rows.find(({ index }) => index >= this.seen[by > 0 ? 0 : 1]) : rows[at + by];
    if (row === undefined) return;
    this.pane?.pause();
    this.current = standingOf(row);
    this.currentPlace = this.shown === null ? row.index : (this.shown[row.index] ?? 0);
    this.pane?.reveal(row.index);
    this.light();
  }

  /** Unfolds or folds the current row. */
  fold(): void {
    const here = this.elements.find(({ row }) => row.sequence === this.current?.sequence && row.source === this.current.source);
    if (here !== undefined) this.pane?.fold(here.element);
  }

  // --- taking it away ----------------------------------------------------------------------------------------------

  /** Marks a line or a range, and puts it into the address. */
  pick(marks: Marks): void {
    this.picked.value = marks;
    navigate(this.addressOf(marks), true);
    this.light();
  }

  unpick(): void {
    this.picked.value = null;
    navigate(urlOf(this.jobs), true);
    this.light();
  }

  get markedWords(): string | null {
    const marks = this.picked.value;
    return marks === null ? null : wordsOf(marks, this.names());
  }

  get pickedTime(): number | null {
    return this.picked.peek()?.first.at ?? null;
  }

  /** To the marked lines; else to the current line, or the one that is read first. */
  get link(): string {
    const marks = this.chosen;
    return new URL(marks === null ? urlOf(this.jobs) : this.addressOf(marks), location.href).href;
  }

  /** The marked lines, or the one that is current, into the clipboard; with times there are names, too. */
  async copy(withTime: boolean): Promise<void> {
    const marks = this.chosen;
    if (marks === null) return;
    const mode = this.timeMode();
    const names = withTime ? this.names() : null;
    await copyText(this.engine.takeMerged({ marks, query: null, names, format: "text", time: withTime ? (mode === "hidden" ? "utc" : mode) : "hidden" }));
  }

  takeOut(what: What, format: SaveFormat, time: TimeMode, progress: Progress, signal: AbortSignal): Promise<Blob> {
    const marks = what === "picked" ? this.picked.peek() : null;
    const query = what === "filtered" ? this.find.query.peek() : null;
    return this.engine.takeMerged({ marks, query, names: this.names(), format, time }, progress, signal);
  }

  get marked(): Takeable["marked"] {
    const marks = this.picked.peek();
    return marks === null ? null : { words: wordsOf(marks, this.names()), file: "marked" };
  }

  /** Entries of all jobs, here or not. */
  get entries(): number {
    return this.jobs.reduce((sum, job) => sum + (facts.peek().get(job)?.tip ?? 0), 0);
  }

  /** The marked lines, or the one that is current, or read first. */
  private get chosen(): Marks | null {
    const line = this.standing;
    return this.picked.peek() ?? (line === null ? null : { first: line, last: line });
  }

  private get standing(): Standing | null {
    if (this.current !== null) return this.current;
    const row = this.pane?.reading?.row;
    return row === undefined ? null : standingOf(row);
  }

  private addressOf({ first, last }: Marks): string {
    const line = ({ source, sequence }: Standing) => ({ job: this.jobs[source] as string, sequence });
    return urlOfMark(this.jobs, line(first), line(last));
  }

  private async open(mark: Route["mark"]): Promise<void> {
    await Promise.all(this.jobs.map((job) => this.engine.ask({ do: "open", job, at: null })));
    // Left meanwhile: the jobs are another page's now.
    if (this.over) return;
    const marks = mark === null ? null : await this.reach(mark);
    if (this.over) return;
    if (marks !== null) {
      this.heading = marks.first;
      this.pick(marks);
    }
    await this.engine.ask({ do: "merge", jobs: this.jobs });
    if (this.over) return;
    if (marks === null && mark !== null) {
      this.lost.value = "The line of this link is not to be had: it is not kept any more, or its job cannot be read.";
      this.pane?.follow();
    }
    for (const [source, job] of this.jobs.entries()) {
      const own = this.of[source] as Of;
      this.finder.index(job, {
        hits: ({ sequences, ms, lines }) => {
          own.hits = sequences;
          if (ms > 0) this.find.found.value = { sequences: this.find.found.peek()?.sequences ?? NONE, lines, ms };
          this.soon(0);
        },
        errors: (sequences, lines) => {
          own.errors = sequences;
          own.lines = lines;
          this.soon(LOCATE_MS);
        },
        failed: (message) => {
          batch(() => {
            this.find.problem.value = message;
            this.find.searching.value = false;
            this.find.found.value = null;
          });
        },
      });
    }
  }

  /** Loads what is around the lines of a link, in all jobs. Null when one of them is not to be had. */
  private async reach({ first, last }: NonNullable<Route["mark"]>): Promise<Marks | null> {
    const lines = await Promise.all(
      [first, last].map(async ({ job, sequence }) => {
        const at = await this.engine.ask({ do: "near", job, sequence });
        return at === null ? null : { source: this.jobs.indexOf(job), sequence, at };
      }),
    );
    const [one, other] = lines;
    if (one == null || other == null || this.over) return null;
    const marks = marksOf(one, other);
    await this.loadAround(marks.first.at, marks.first.source);
    return marks;
  }

  /** Loads what was written around a time, µs, in all jobs but one that has it. What cannot be read leaves the others. */
  private async loadAround(time: number, except: number): Promise<void> {
    const api = new Api(this.api, token.peek() ?? "");
    await Promise.allSettled(
      this.jobs.map(async (job, source) => {
        if (source === except) return;
        const sequence = await sequenceAt(api, job, time);
        if (!this.over) await this.engine.ask({ do: "near", job, sequence });
      }),
    );
  }

  /** The list grew, perhaps in front of what is read: that stays where it is. */
  private grown(total: number, revision: number, changed: number): void {
    const pane = this.pane;
    if (pane === null) return;
    this.total.value = total;
    this.revision = revision;
    this.soon(LOCATE_MS);
    if (this.shown !== null) return;
    const { heading } = this;
    if (heading !== null && !pane.following) {
      pane.resetTotal(total, revision);
      void this.goTo(heading);
      return;
    }
    const { reading } = pane;
    if (pane.following || reading === null || (changed > reading.row.index && !pane.placing)) {
      pane.update(total, revision);
      return;
    }
    void pane.grownBefore(total, revision, (row) => this.engine.ask({ do: "place", ...standingOf(row) }));
  }

  private soon(ms: number): void {
    if (ms === 0) clearTimeout(this.timer);
    else if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.locate();
    }, ms);
  }

  /** From each job's sequences to places of the merged list. */
  private async locate(): Promise<void> {
    if (this.locating) {
      this.soon(LOCATE_MS);
      return;
    }
    this.locating = true;
    try {
      const hits = this.of.map((own) => own.hits);
      const known = hits.every((one) => one !== null);
      const [errors, places, current] = await Promise.all([
        this.engine.ask({ do: "locate", sequences: this.of.map((own) => own.errors) }),
        known ? this.engine.ask({ do: "locate", sequences: hits as Float64Array[] }) : null,
        this.current === null ? null : this.engine.ask({ do: "place", ...this.current }),
      ]);
      if (current !== null && this.current !== null) this.currentPlace = current;
      batch(() => {
        this.find.errors.value = errors;
        this.find.indexedLines.value = this.of.reduce((sum, { lines }) => sum + lines, 0);
        this.map?.mark({ errors }, this.total.peek());
        // A query that was changed meanwhile has other hits to come.
        if (places !== null && this.of.every((own, at) => own.hits === hits[at])) this.take(places);
      });
    } finally {
      this.locating = false;
    }
  }

  private take(places: Float64Array): void {
    const query = this.find.query.peek();
    if (query.text === "" && query.level === 0 && query.hide.length === 0) return;
    this.find.searching.value = false;
    this.find.foundFor.value = query.text;
    this.find.found.value = { sequences: places, lines: this.of.reduce((sum, { lines }) => sum + lines, 0), ms: this.find.found.peek()?.ms ?? 0 };
    this.find.at.value = exact(places, this.currentPlace);
    this.map?.mark({ hits: places }, this.total.peek());
    this.filterBy(this.find.filtering.peek() || query.hide.length > 0 || query.level > 0 ? places : null);
    if (this.fresh && this.shown === null && places.length > 0) {
      const [first, last] = this.seen;
      const here = exactOrBefore(places, last);
      this.fresh = false;
      if (here >= 0 && (places[here] as number) < first) this.step(-1);
    }
    this.light();
  }

  private filterBy(places: Float64Array | null): void {
    const { pane, shown } = this;
    if (pane === null || (places === null && shown === null)) return;
    this.shown = places;
    if (places === null) {
      pane.restart(this.total.peek(), this.following.peek() ? null : Math.max(0, shown?.[this.seen[0]] ?? 0));
      return;
    }
    const grown = shown !== null && shown.length <= places.length && shown.every((place, at) => place === places[at]);
    if (grown) pane.update(places.length, this.revision);
    else pane.restart(places.length, this.following.peek() ? null : Math.max(0, exactOrBefore(places, shown === null ? this.seen[0] : (shown[this.seen[0]] ?? 0))));
  }

  private rows(from: number, count: number): ReturnType<ConstructorParameters<typeof LogPane>[1]["rows"]> {
    if (this.shown === null) return this.engine.ask({ do: "merged", from, count });
    return this.engine.ask({ do: "mergedPick", from, places: [...this.shown.subarray(from, from + count)], total: this.shown.length });
  }

  /** The place from which the next match is looked for. */
  private reading(): number {
    if (this.currentPlace >= 0) return this.currentPlace;
    // Who follows is at the end, though the last rows may not be drawn yet.
    if (this.following.peek()) return this.shown === null ? this.total.peek() - 1 : (this.shown.at(-1) ?? 0);
    const [first] = this.seen;
    return this.shown === null ? first : (this.shown[first] ?? 0);
  }

  private clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const element = target?.closest<HTMLElement>(".row") ?? null;
    if (element === null) return;
    if (target?.closest(".mark") != null && "json" in element.dataset) {
      this.pane?.fold(element);
      return;
    }
    const row = target?.closest(".gutter") == null ? undefined : this.elements.find((one) => one.element === element)?.row;
    if (row === undefined) return;
    event.preventDefault();
    const line = standingOf(row);
    this.pane?.pause();
    this.current = line;
    this.currentPlace = this.shown === null ? row.index : (this.shown[row.index] ?? 0);
    const kept = this.picked.peek();
    // A range grows from the end that was chosen first.
    if (event.shiftKey && kept !== null) this.pick(marksOf(this.anchor ?? kept.first, line));
    else {
      this.anchor = line;
      this.pick({ first: line, last: line });
    }
  }

  private light(): void {
    let current: HTMLElement | null = null;
    const texts: HTMLElement[] = [];
    for (const { row, element } of this.elements) {
      const is = this.current !== null && row.sequence === this.current.sequence && row.source === this.current.source;
      if (is) current = element;
      element.classList.toggle("current", is);
      element.classList.toggle("picked", within(this.picked.peek(), standingOf(row)));
      // Only in lines that the indexer found: an expression that never ends must not end the page.
      const hits = this.of[row.source ?? 0]?.hits;
      const text = element.querySelector<HTMLElement>(":scope > .text");
      if (text !== null && hits != null && exact(hits, row.sequence) >= 0) texts.push(text);
    }
    highlight(this, texts, this.expression, current);
  }
}

function standingOf({ source = 0, sequence, at = 0 }: Row): Standing {
  return { source, sequence, at };
}
