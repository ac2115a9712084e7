/** Copy lines to the clipboard and save them as files. */
import type { Progress } from "../engine/client";
import type { SaveFormat } from "../engine/messages";
import { type LineRow, type Row, type RowWindow, textOf } from "../log/row";
import type { SearchController } from "../search/searchController";
import type { TimeMode } from "../text/time";

/** All lines, those that match the query, or the marked ones. */
export type ExportScope = "all" | "filtered" | "marked";

/** A view whose lines can be exported, whether they are loaded or not. */
export interface Exportable {
  readonly find: Pick<SearchController, "query">;
  /** Number of entries of all its jobs. */
  readonly entries: number;
  /** The marked range, for people and for a file's name. */
  readonly marked: { readonly words: string; readonly file: string } | null;
  exportLines(
    what: ExportScope,
    format: SaveFormat,
    time: TimeMode,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Blob>;
}

/** Rows to request at once: enough to be quick, few enough not to block the page. */
const PORTION = 5_000;

type Rows = (from: number, count: number) => Promise<RowWindow>;

/** Return the texts of the indexes first..last; `whole` fetches a line that is too long to draw. */
export async function textsOf(
  rows: Rows,
  first: number,
  last: number,
  whole: (row: LineRow) => Promise<Blob>,
): Promise<string[]> {
  const lines: string[] = [];
  for await (const row of rowsBetween(rows, first, last))
    lines.push(isCut(row) ? (await (await whole(row)).text()).replace(/\n$/, "") : textOf(row));
  return lines;
}

export function isCut(row: Row): row is LineRow {
  return row.kind === "line" && row.cut !== undefined;
}

/** Return the text of a row that is drawn whole; otherwise null. */
export function drawnText(row: Row | undefined): string | null {
  return row === undefined || isCut(row) ? null : textOf(row);
}

/** Copy or save a cut line, as its button asks. */
export async function copyOrSaveLine(
  button: HTMLElement,
  row: Row,
  whole: (row: LineRow) => Promise<Blob>,
): Promise<void> {
  if (row.kind !== "line") return;
  if (button.dataset["whole"] === "copy") await copyText(whole(row));
  else saveAs(await whole(row), `line-${row.sequence}.txt`);
}

async function* rowsBetween(rows: Rows, first: number, last: number): AsyncGenerator<Row> {
  for (let from = first; from <= last; from += PORTION) {
    yield* (await rows(from, Math.min(PORTION, last - from + 1))).rows;
  }
}

/** Copy a text that is still being built. The clipboard takes a promise, within the gesture that asked for it. */
export async function copyText(coming: Promise<Blob>): Promise<void> {
  const text = coming.then(async (made) => new Blob([(await made.text()).replace(/\n$/, "")], { type: "text/plain" }));
  await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
}

export function saveAs(blob: Blob, file: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
