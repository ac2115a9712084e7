/** Mark matches in drawn rows with the CSS Custom Highlight API: it adds no elements, so selections and layout stay. */
import type { Query } from "../index/query";
import { matchRanges } from "../search/matchRanges";
import type { Trial } from "../search/trial";

interface Highlights {
  set(name: string, highlight: unknown): void;
  delete(name: string): void;
}

const registry = (CSS as unknown as { highlights?: Highlights }).highlights;
const Highlight = (globalThis as { Highlight?: new (...ranges: Range[]) => unknown }).Highlight;

/** More matches than this in the drawn rows are noise. */
const MAX_MATCHES = 2_000;

/** What a pane has marked. */
interface Marked {
  readonly all: readonly Range[];
  readonly now: readonly Range[];
}

/** Marks per shown pane: there may be several. */
const marked = new Map<object, Marked>();

/** Marks what a pane shows now: called again when more of it is known. */
const drawn = new Map<object, () => void>();

/** Where the current regular expression matches, by text: the same rows are drawn again and again. */
let known = { source: "", spans: new Map<string, readonly number[]>(), endless: false };
const MAX_CACHED = 2_000;

export interface Marking {
  readonly expression: RegExp | null;
  readonly query: Query;
}

/** Mark a query's matches in a pane's texts, replacing earlier marks, and report the first match of the current row. */
export function highlight(
  pane: object,
  texts: readonly HTMLElement[],
  marking: Marking | null,
  current: HTMLElement | null,
  first: (found: Range) => void = () => {},
): void {
  const expression = marking?.expression ?? null;
  if (registry === undefined || Highlight === undefined || (expression === null && !marked.has(pane))) return;
  if (marking === null || expression === null || !marking.query.regex) {
    trial?.destroy();
    trial = null;
    known = { source: "", spans: new Map(), endless: false };
    drawn.delete(pane);
    markMatches(pane, texts, current, first, (content) =>
      expression === null ? [] : matchRanges(content, expression),
    );
    return;
  }
  // These lines' first match was found in a worker, but the next one may take forever: never search on the page's own
  // thread.
  const source = `${expression.source}/${expression.flags}`;
  if (known.source !== source || known.spans.size > MAX_CACHED) known = { source, spans: new Map(), endless: false };
  const of = known;
  const { spans } = of;
  const draw = (): void => markMatches(pane, texts, current, first, (content) => spans.get(content) ?? []);
  drawn.set(pane, draw);
  draw();
  const missing = [...new Set(texts.map(contentOf))].filter((content) => !spans.has(content));
  if (missing.length === 0 || of.endless) return;
  for (const content of missing) spans.set(content, []);
  void matchInWorker(marking.query, missing).then((found) => {
    if (found === null) {
      of.endless = true;
      return;
    }
    for (const [at, content] of missing.entries()) spans.set(content, found[at] ?? []);
    drawn.get(pane)?.();
  });
}

let trial: Trial | null = null;

/** Return the matches; null when that takes too long. The lines then stay found, without marks. */
async function matchInWorker(query: Query, texts: readonly string[]): Promise<readonly (readonly number[])[] | null> {
  try {
    trial ??= new (await import("../search/trial")).Trial();
    return await trial.ranges(query, texts);
  } catch {
    return null;
  }
}

function contentOf(element: HTMLElement): string {
  return element.textContent ?? "";
}

function markMatches(
  pane: object,
  texts: readonly HTMLElement[],
  current: HTMLElement | null,
  first: (found: Range) => void,
  spans: (content: string) => readonly number[],
): void {
  if (registry === undefined || Highlight === undefined) return;
  const [all, now]: [Range[], Range[]] = [[], []];
  for (const text of texts) {
    const into = current?.contains(text) === true ? now : all;
    for (const range of rangesOf(text, spans(contentOf(text)))) {
      into.push(range);
      if (all.length + now.length > MAX_MATCHES) break;
    }
  }
  const before = marked.get(pane);
  if (all.length + now.length > 0) marked.set(pane, { all, now });
  else marked.delete(pane);
  if (before === undefined && !marked.has(pane)) return;
  const panes = [...marked.values()];
  registry.set("find", new Highlight(...panes.flatMap((one) => one.all)));
  registry.set("find-current", new Highlight(...panes.flatMap((one) => one.now)));
  if (now[0] !== undefined) first(now[0]);
}

function rangesOf(element: HTMLElement, spans: readonly number[]): Range[] {
  if (spans.length === 0) return [];
  const found: Range[] = [];
  const nodes: { node: Text; from: number }[] = [];
  let length = 0;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    nodes.push({ node: node as Text, from: length });
    length += (node as Text).data.length;
  }
  const locate = (at: number, end: boolean): [Text, number] | null => {
    for (let i = nodes.length - 1; i >= 0; i--) {
      const { node, from } = nodes[i] as (typeof nodes)[number];
      if (end ? from < at : from <= at) return [node, at - from];
    }
    return null;
  };
  for (let at = 0; at + 1 < spans.length; at += 2) {
    const [start, end] = [locate(spans[at] as number, false), locate(spans[at + 1] as number, true)];
    if (start === null || end === null) continue;
    const range = new Range();
    range.setStart(...start);
    range.setEnd(...end);
    found.push(range);
  }
  return found;
}
