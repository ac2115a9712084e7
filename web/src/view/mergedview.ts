/** Everything that the merged pane does, without a framework: several jobs as one list by time, searched as one. */
import { batch, computed, signal } from "@preact/signals";
import type { Engine } from "../engine/client";
import type { Finder, Found } from "../index/finder";
import { EVERYTHING, expressionOf, type Query } from "../index/segment";
import { exact, exactOrBefore, neighbour } from "../index/sorted";
import { type Row, textOf } from "../log/row";
import { highlight } from "../pane/highlight";
import { Minimap } from "../pane/minimap";
import { LogPane } from "../pane/pane";
import type { Drawing } from "../pane/rowview";
import { SelectionKeeper } from "../pane/selection";
import { markDays, tellTimes } from "./days";
import { type Findings, NONE, type Searchable } from "./finding";

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
  /** Lines when following ended. */
  readonly pausedAt = signal(0);
  readonly total = signal(0);
  pane: LogPane | null = null;
  private map: Minimap | null = null;
  private keeper: SelectionKeeper | null = null;
  private readonly of: Of[];
  private shown: Float64Array | null = null;
  private expression: RegExp | null = null;
  private current: { source: number; sequence: number; time: number } | null = null;
  private currentPlace = -1;
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
  ) {
    this.of = jobs.map(() => ({ hits: null, errors: NONE, lines: 0 }));
  }

  get length(): number {
    return this.total.peek();
  }

  attach(host: HTMLElement, canvas: HTMLCanvasElement, drawing: Drawing): void {
    const pane = new LogPane(
      host,
      { rows: (from, count) => this.rows(from, count) },
      {
        follow: (on) => {
          batch(() => {
            this.following.value = on;
            if (!on) this.pausedAt.value = this.total.peek();
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
        fetch: async (first, last) => (await this.rows(first, last - first + 1)).rows.map(textOf),
      },
      () => pane.pause(),
    );
    host.addEventListener("click", (event) => this.clicked(event));
    tellTimes(host);
    this.stop = this.engine.listen((tell) => {
      if (tell.tell === "merged") this.grown(tell.total, tell.revision, tell.changed);
    });
    void this.open();
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

  /** Shows a place of the whole list, and marks it. */
  async go(place: number): Promise<void> {
    // At once, so that a key pressed again before the row is here goes on from there.
    this.current = null;
    this.currentPlace = place;
    const row = (await this.engine.ask({ do: "merged", from: place, count: 1 })).rows[0];
    if (row === undefined || !("time" in row) || this.currentPlace !== place) return;
    this.current = { source: row.source ?? 0, sequence: row.sequence, time: row.time };
    this.pane?.show(this.shown === null ? place : Math.max(0, exactOrBefore(this.shown, place)), 0.35);
    this.light();
  }

  private async open(): Promise<void> {
    await Promise.all(this.jobs.map((job) => this.engine.ask({ do: "open", job, at: null })));
    // Left meanwhile: the jobs are another page's now.
    if (this.over) return;
    await this.engine.ask({ do: "merge", jobs: this.jobs });
    if (this.over) return;
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

  /** The list grew, perhaps in front of what is read: that stays where it is. */
  private grown(total: number, revision: number, changed: number): void {
    const pane = this.pane;
    if (pane === null) return;
    this.total.value = total;
    this.revision = revision;
    this.soon(LOCATE_MS);
    if (this.shown !== null) return;
    const { reading } = pane;
    if (pane.following || reading === null || changed > reading.row.index || !("time" in reading.row)) {
      pane.update(total, revision);
      return;
    }
    const { row, offset } = reading;
    void this.engine.ask({ do: "place", source: row.source ?? 0, sequence: row.sequence, time: row.time }).then((place) => {
      if (!pane.following && this.shown === null) pane.relocate(place, offset, total, revision);
    });
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
    const first = this.seen[this.following.peek() ? 1 : 0];
    return this.shown === null ? first : (this.shown[first] ?? 0);
  }

  private clicked(event: MouseEvent): void {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>(".row") : null;
    if (row === null || !(event.target instanceof Element)) return;
    if (event.target.closest(".mark") !== null && "json" in row.dataset) this.pane?.fold(row);
  }

  private light(): void {
    let current: HTMLElement | null = null;
    const texts: HTMLElement[] = [];
    for (const { row, element } of this.elements) {
      const is = this.current !== null && row.sequence === this.current.sequence && row.source === this.current.source;
      if (is) current = element;
      element.classList.toggle("current", is);
      // Only in lines that the indexer found: an expression that never ends must not end the page.
      const hits = this.of[row.source ?? 0]?.hits;
      const text = element.querySelector<HTMLElement>(":scope > .text");
      if (text !== null && hits != null && exact(hits, row.sequence) >= 0) texts.push(text);
    }
    highlight(this, texts, this.expression, current);
  }
}
