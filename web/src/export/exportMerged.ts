/**
 * Export several jobs as one file ordered by time. Each job is a stream, so none is held in memory as a whole. Loaded
 * on first use.
 */
import type { OpenJob } from "../engine/job";
import type { MergedExportRequest } from "../engine/messages";
import { isInRange, type MarkedRange } from "../log/markedRange";
import { comparePositions, type LinePosition } from "../log/mergeOrder";
import { sequenceAt } from "../search/api";
import type { Api } from "../wire/api";
import { BlobBuilder, type ExportBatch, type ExportContext, jobBatches, ProgressTicker } from "./exportJob";
import { ExpressionFilter, formatLine, lineFilter } from "./format";
import { type Line, LineJoiner } from "./lineJoiner";

export type PositionedLine = Line & { readonly position: LinePosition };

export async function exportMerged(
  jobs: readonly OpenJob[],
  api: Api,
  { marks, query, names, format, time }: MergedExportRequest,
  context: ExportContext,
): Promise<Blob> {
  await Promise.all(jobs.map(({ opened }) => opened));
  for (const [source, { problem }] of jobs.entries()) {
    if (problem !== null)
      throw new Error(`${names?.[source] ?? "A job"}: ${problem.message} Remove that job to export the others.`);
  }
  const ranges = await Promise.all(jobs.map((job, source) => rangeOf(job, source, api, marks)));
  const of = ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0);
  const [parts, breath] = [new BlobBuilder(), new ProgressTicker(context)];
  const filters = jobs.map(() => (query === null ? () => true : lineFilter(query)));
  const texts = new ExpressionFilter(query);
  let done = 0;
  const streams = jobs.map((job, source) => {
    const { first, last } = ranges[source] as { first: number; last: number };
    // The last marked line may continue after its own sequence.
    const end = source === marks?.last.source ? job.feed.tip : last;
    const pieces = countBatches(jobBatches(job, api, first, end), async ({ start, count }) => {
      done += Math.max(0, Math.min(last, start + count - 1) - Math.max(first, start) + 1);
      await breath.tick(done, of);
    });
    // Without a filter, export entries as stored, in their order. Marked ranges select whole lines.
    const lines = positionedLines(
      pieces,
      source,
      first,
      end,
      marks,
      format === "jsonl" && query === null && marks === null,
    );
    return filtered(lines, filters[source] as (line: Line) => boolean, texts);
  });
  try {
    for await (const line of mergeStreams(streams)) {
      const { source } = line.position;
      if (marks === null || isInRange(marks, line.position))
        parts.add(
          formatLine(jobs[source]?.id ?? "", line, {
            format,
            time,
            base: 0,
            ...(names !== null && { name: names[source] ?? "" }),
          }),
        );
    }
  } finally {
    texts.destroy();
  }
  return parts.blob(format);
}

async function* filtered(
  parts: AsyncIterable<PositionedLine[]>,
  wanted: (line: Line) => boolean,
  texts: ExpressionFilter,
): AsyncGenerator<PositionedLine[]> {
  for await (const lines of parts) yield [...(await texts.matching(lines.filter(wanted)))];
}

async function* countBatches(
  pieces: AsyncIterable<ExportBatch>,
  count: (piece: ExportBatch) => Promise<void>,
): AsyncGenerator<ExportBatch> {
  for await (const piece of pieces) {
    yield piece;
    await count(piece);
  }
}

/** Return the range of a job's entries that may lie within the marked range. */
async function rangeOf(
  { id, feed }: OpenJob,
  source: number,
  api: Api,
  marks: MarkedRange | null,
): Promise<{ first: number; last: number }> {
  if (marks === null) return { first: 1, last: feed.tip };
  const first = source === marks.first.source ? marks.first.sequence : await sequenceAt(api, id, marks.first.at);
  const last = source === marks.last.source ? marks.last.sequence : (await sequenceAt(api, id, marks.last.at + 1)) - 1;
  return { first, last: Math.min(feed.tip, last) };
}

/** Yield a job's lines in groups, each with its position: never before the line that it follows in its job. */
export async function* positionedLines(
  pieces: AsyncIterable<ExportBatch>,
  source: number,
  first: number,
  last: number,
  marks: MarkedRange | null,
  singly: boolean,
): AsyncGenerator<PositionedLine[]> {
  const lines = new LineJoiner(singly);
  let latest = marks?.first.source === source ? marks.first.at : 0;
  const most = marks?.last.source === source ? marks.last.at : Number.POSITIVE_INFINITY;
  const joined = (line: Line): PositionedLine => {
    const [entry] = line.entries;
    latest = Math.min(most, Math.max(latest, entry?.time ?? 0));
    return { ...line, position: { source, sequence: entry?.sequence ?? 0, at: latest } };
  };
  for await (const { start, columns } of pieces) {
    lines.add(start, columns, first, last);
    const ready = lines.ready(false);
    if (ready.length > 0) yield ready.map(joined);
    if (
      marks?.last.source === source &&
      start + columns.texts.length > marks.last.sequence &&
      !lines.goesOn(marks.last.sequence)
    )
      break;
  }
  yield lines.ready(true).map(joined);
}

/** Merge the ordered lines of several streams. */
export async function* mergeStreams(
  streams: readonly AsyncIterable<PositionedLine[]>[],
): AsyncGenerator<PositionedLine> {
  const heads: { lines: PositionedLine[]; at: number; rest: AsyncIterator<PositionedLine[]> }[] = [];
  for (const stream of streams) heads.push({ lines: [], at: 0, rest: stream[Symbol.asyncIterator]() });
  const filled = async (head: (typeof heads)[number]): Promise<boolean> => {
    while (head.at >= head.lines.length) {
      const next = await head.rest.next();
      if (next.done === true) return false;
      [head.lines, head.at] = [next.value, 0];
    }
    return true;
  };
  for (let at = heads.length - 1; at >= 0; at--)
    if (!(await filled(heads[at] as (typeof heads)[number]))) heads.splice(at, 1);
  while (heads.length > 0) {
    let least = heads[0] as (typeof heads)[number];
    for (const head of heads)
      if (
        comparePositions(
          head.lines[head.at]?.position as LinePosition,
          least.lines[least.at]?.position as LinePosition,
        ) < 0
      )
        least = head;
    yield least.lines[least.at++] as PositionedLine;
    if (least.at >= least.lines.length && !(await filled(least))) heads.splice(heads.indexOf(least), 1);
  }
}
