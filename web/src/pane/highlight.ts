/** Marks matches in the rows that are drawn, by the CSS Custom Highlight API: no element is added, so selections and layout stay. */

interface Highlights {
  set(name: string, highlight: unknown): void;
  delete(name: string): void;
}

const registry = (CSS as unknown as { highlights?: Highlights }).highlights;
const Highlight = (globalThis as { Highlight?: new (...ranges: Range[]) => unknown }).Highlight;

/** More matches than this in what is drawn are noise, not a find. */
const MOST = 2_000;

/** Of each pane that is shown: several may be. */
const marked = new Map<object, readonly [all: readonly Range[], now: readonly Range[]]>();

/** Marks what the expression finds in a pane's texts, in place of what was marked there. */
export function highlight(pane: object, texts: Iterable<HTMLElement>, expression: RegExp | null, current: HTMLElement | null): void {
  if (registry === undefined || Highlight === undefined || (expression === null && !marked.has(pane))) return;
  const [all, now]: [Range[], Range[]] = [[], []];
  if (expression !== null) {
    for (const text of texts) {
      const into = current?.contains(text) === true ? now : all;
      for (const range of rangesOf(text, expression)) {
        into.push(range);
        if (all.length + now.length > MOST) break;
      }
    }
  }
  const before = marked.get(pane);
  if (all.length + now.length > 0) marked.set(pane, [all, now]);
  else marked.delete(pane);
  if (before === undefined && !marked.has(pane)) return;
  const panes = [...marked.values()];
  registry.set("find", new Highlight(...panes.flatMap((one) => one[0])));
  registry.set("find-current", new Highlight(...panes.flatMap((one) => one[1])));
}

function rangesOf(element: HTMLElement, expression: RegExp): Range[] {
  const content = element.textContent ?? "";
  // A line that is very long would be searched on the page's own thread.
  const searched = content.length > 20_000 ? content.slice(0, 20_000) : content;
  const found: Range[] = [];
  const nodes: { node: Text; from: number }[] = [];
  let length = 0;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    nodes.push({ node: node as Text, from: length });
    length += (node as Text).data.length;
  }
  const place = (at: number, end: boolean): [Text, number] | null => {
    for (let i = nodes.length - 1; i >= 0; i--) {
      const { node, from } = nodes[i] as (typeof nodes)[number];
      if (end ? from < at : from <= at) return [node, at - from];
    }
    return null;
  };
  expression.lastIndex = 0;
  for (let match = expression.exec(searched); match !== null && found.length < 200; match = expression.exec(searched)) {
    if (match[0] === "") {
      expression.lastIndex++;
      continue;
    }
    const [start, end] = [place(match.index, false), place(match.index + match[0].length, true)];
    if (start === null || end === null) continue;
    const range = new Range();
    range.setStart(...start);
    range.setEnd(...end);
    found.push(range);
  }
  return found;
}
