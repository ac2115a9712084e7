/** Draw one row. Text only ever becomes text content: no markup is built from a container's output. */
import { type Cut, type LineRow, type MissingLines, type Row, textOf } from "../log/row";
import { tryOr } from "../log/tryOr";
import { cssStyle } from "../text/cssStyle";
import { LEVELS } from "../text/levelNames";
import { linkSpans } from "../text/links";
import type { StyledText } from "../text/terminal";
import { textNodes } from "./textPieces";

export interface Drawing {
  /** The time column; empty hides it. */
  time(us: number): string;
  title(us: number): string;
  /** The name of a merged row's job. */
  name?(source: number): string;
}

const LEVEL_MARKS = ["", "T", "D", "I", "W", "E", "F"];

export function drawRow(row: Row, drawing: Drawing): HTMLElement {
  const element = document.createElement("div");
  element.className = "row";
  element.setAttribute("role", "listitem");
  const { dataset } = element;
  dataset["seq"] = String(row.sequence);
  dataset["kind"] = row.kind;
  // CSS draws number, time and marks from attributes: they cannot be selected, so copies hold only the text.
  const gutter = document.createElement("a");
  gutter.className = "gutter";
  gutter.dataset["n"] = row.kind === "loading" || row.kind === "gone" ? "" : String(row.sequence);
  gutter.setAttribute("aria-hidden", "true");
  element.append(gutter);
  if (row.source !== undefined && drawing.name !== undefined) {
    const name = document.createElement("span");
    name.className = `name hue${row.source % 8}`;
    name.dataset["name"] = drawing.name(row.source);
    dataset["source"] = String(row.source);
    element.append(name);
  }
  if (row.kind === "line") drawLine(element, row, drawing);
  else if (row.kind === "event") {
    dataset["stream"] = "system";
    dataset["event"] = row.event;
    if (row.bad) dataset["bad"] = "";
    element.append(timeOf(row.time, drawing), eventText(row.sentence));
  } else element.append(eventText(row.kind === "loading" ? "" : absentText(row)));
  if (row.hole !== undefined) element.append(missingNote(row.hole, drawing.name?.(row.source ?? 0) ?? ""));
  return element;
}

function drawLine(element: HTMLElement, row: Row & { kind: "line" }, drawing: Drawing): void {
  const { dataset } = element;
  dataset["stream"] = row.stream;
  if (row.level > 0) {
    dataset["level"] = LEVELS[row.level];
    dataset["mark"] = LEVEL_MARKS[row.level];
  }
  if (row.json) dataset["json"] = "";
  if (row.headless) dataset["headless"] = "";
  if (row.trace !== null) dataset["trace"] = row.trace;
  if (row.frames > 0) dataset["frames"] = `${row.frames} ${row.frames === 1 ? "frame" : "frames"}`;
  const mark = document.createElement("span");
  mark.className = "mark";
  if (row.level >= 4 || row.stream === "stderr") {
    mark.setAttribute("role", "img");
    mark.setAttribute(
      "aria-label",
      [row.stream === "stderr" ? "stderr" : "", LEVELS[row.level] ?? ""].filter(Boolean).join(" "),
    );
  }
  const text = document.createElement("span");
  text.className = "text";
  // A line that cannot be drawn in its form is drawn as text.
  text.append(...tryOr<(Node | string)[]>(() => linkSpans(row.spans).flatMap(drawSpan), [textOf(row)]));
  element.append(timeOf(row.time, drawing), mark, text);
  if (row.lines > 1) dataset["lines"] = String(row.lines);
  if (row.cut !== undefined) element.append(cutNote(row.cut));
}

/** Return a row's element with the pieces that were added to its line. */
export function withNewCut(element: HTMLElement, { cut }: CutRow): HTMLElement {
  element.querySelector<HTMLElement>(":scope > .cut")?.setAttribute("data-cut", cutText(cut));
  return element;
}

export type CutRow = LineRow & { readonly cut: Cut };

function cutText({ shown, of, unit, open }: Cut): string {
  return `Cut: ${shown.toLocaleString("en")} of ${of.toLocaleString("en")} ${unit}${open ? " so far" : ""}`;
}

/** Say how much of a line is drawn, and offer the whole. The sentence is an attribute, so it is not copied. */
function cutNote(cut: Cut): HTMLElement {
  const element = document.createElement("div");
  element.className = "cut";
  element.dataset["cut"] = cutText(cut);
  for (const [what, title] of [
    ["copy", "Copy the whole line"],
    ["save", "Save it"],
  ] as const) {
    const button = document.createElement("button");
    button.className = "button small";
    button.dataset["whole"] = what;
    button.textContent = title;
    element.append(button);
  }
  return element;
}

/** Return a span as nodes: text, or an element with text. */
export function drawSpan(span: StyledText): Node[] {
  if (span.style === undefined && span.href === undefined) return textNodes(span.text);
  const element = document.createElement(span.href === undefined ? "span" : "a");
  element.append(...textNodes(span.text));
  if (span.href !== undefined) {
    element.setAttribute("href", span.href);
    element.setAttribute("target", "_blank");
    element.setAttribute("rel", "noopener noreferrer nofollow");
    element.title = span.href;
    // Drawn by CSS, like everything that the program did not write.
    if (span.leads !== undefined) element.dataset["leads"] = span.leads;
  }
  return [applyStyle(element, span)];
}

/** Colours go through the style object, which a Content-Security-Policy without inline styles allows. */
function applyStyle(element: HTMLElement, { style }: StyledText): HTMLElement {
  if (style === undefined) return element;
  const { color, background, classes } = cssStyle(style);
  if (color !== undefined) element.style.color = color;
  if (background !== undefined) element.style.backgroundColor = background;
  if (classes.length > 0) element.className = classes.join(" ");
  return element;
}

/** Said in an attribute, like everything that is not a line: it is not copied. */
function missingNote({ side, count }: MissingLines, name: string): HTMLElement {
  const element = document.createElement("span");
  element.className = `hole ${side}`;
  element.dataset["hole"] =
    `${count.toLocaleString("en")} ${count === 1 ? "line" : "lines"} of ${name} ${side === "before" ? "before this" : "after this"}, loading as you scroll`;
  return element;
}

function timeOf(us: number, drawing: Drawing): HTMLElement {
  const element = document.createElement("span");
  element.className = "time";
  element.dataset["time"] = drawing.time(us);
  element.dataset["us"] = String(us);
  return element;
}

function eventText(text: string): HTMLElement {
  const element = document.createElement("span");
  element.className = "text";
  element.textContent = text;
  return element;
}

function absentText(row: Row & { kind: "gone" | "unreadable" | "loading" }): string {
  if (row.kind === "gone") return "Older lines are no longer kept.";
  return `${row.count === 1 ? "This entry" : `These ${row.count.toLocaleString("en")} entries`} cannot be read.`;
}
