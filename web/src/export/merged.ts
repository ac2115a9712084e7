/** Writes several jobs out as one, by time: a stream of each, however long they are; none is held whole. Loaded when it is wanted. */
import type { OpenJob } from "../engine/job";
import type { TakingMerged } from "../engine/messages";
import { type Marks, within } from "../log/markedRange";
import { byStanding, type Standing } from "../log/mergeOrder";
import { sequenceAt } from "../search/api";
import type { Api } from "../wire/api";
import { type Around, Breath, batches, Parts, type Piece } from "./export";
import { filterOf, Texts, written } from "./format";
import { type Line, Lines } from "./lines";

export type Joined = Line & { readonly standing: Standing };

export async function takeMerged(
  jobs: readonly OpenJob[],
  api: Api,
  { marks, query, names, format, time }: TakingMerged,
  around: Around,
): Promise<Blob> {
  await Promise.all(jobs.map(({ opened }) => opened));
  for (const [source, { problem }] of jobs.entries()) {
    if (problem !== null)
      throw new Error(`${names?.[source] ?? "A job"}: ${problem.message} Leave that job out to take the others.`);
  }
  const ranges = await Promise.all(jobs.map((job, source) => rangeOf(job, source, api, marks)));
  const of = ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0);
  const [parts, breath] = [new Parts(), new Breath(around)];
  const filters = jobs.map(() => (query === null ? () => true : filterOf(query)));
  const texts = new Texts(query);
  let done = 0;
  const streams = jobs.map((job, source) => {
    const { first, last } = ranges[source] as { first: number; last: number };
    // The last marked line may go on behind it, in however many entries.
    const end = source === marks?.last.source ? job.feed.tip : last;
    const pieces = counted(batches(job, api, first, end), async ({ start, count }) => {
      done += Math.max(0, Math.min(last, start + count - 1) - Math.max(first, start) + 1);
      await breath.take(done, of);
    });
    // All entries are wanted as they are stored, in their order. What is chosen of them is whole lines.
    const lines = linesOf(pieces, source, first, end, marks, format === "jsonl" && query === null && marks === null);
    return matching(lines, filters[source] as (line: Line) => boolean, texts);
  });
  try {
    for await (const line of inOrder(streams)) {
      const { source } = line.standing;
      if (marks === null || within(marks, line.standing))
        parts.add(
          written(jobs[source]?.id ?? "", line, {
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

async function* matching(
  parts: AsyncIterable<Joined[]>,
  wanted: (line: Line) => boolean,
  texts: Texts,
): AsyncGenerator<Joined[]> {
  for await (const lines of parts) yield [...(await texts.matching(lines.filter(wanted)))];
}

async function* counted(pieces: AsyncIterable<Piece>, count: (piece: Piece) => Promise<void>): AsyncGenerator<Piece> {
  for await (const piece of pieces) {
    yield piece;
    await count(piece);
  }
}

/** Which of a job's entries may stand between two marks. */
async function rangeOf(
  { id, feed }: OpenJob,
  source: number,
  api: Api,
  marks: Marks | null,
): Promise<{ first: number; last: number }> {
  if (marks === null) return { first: 1, last: feed.tip };
  const first = source === marks.first.source ? marks.first.sequence : await sequenceAt(api, id, marks.first.at);
  const last = source === marks.last.source ? marks.last.sequence : (await sequenceAt(api, id, marks.last.at + 1)) - 1;
  return { first, last: Math.min(feed.tip, last) };
}

/** A job's lines, some at a time, each with where it stands: never before the one that it follows in its job. */
export async function* linesOf(
  pieces: AsyncIterable<Piece>,
  source: number,
  first: number,
  last: number,
  marks: Marks | null,
  singly: boolean,
): AsyncGenerator<Joined[]> {
  const lines = new Lines(singly);
  let latest = marks?.first.source === source ? marks.first.at : 0;
  const most = marks?.last.source === source ? marks.last.at : Number.POSITIVE_INFINITY;
  const joined = (line: Line): Joined => {
    const [entry] = line.entries;
    latest = Math.min(most, Math.max(latest, entry?.time ?? 0));
    return { ...line, standing: { source, sequence: entry?.sequence ?? 0, at: latest } };
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

/** Lines of several streams, each of them in order, as one. */
export async function* inOrder(streams: readonly AsyncIterable<Joined[]>[]): AsyncGenerator<Joined> {
  const heads: { lines: Joined[]; at: number; rest: AsyncIterator<Joined[]> }[] = [];
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
      if (byStanding(head.lines[head.at]?.standing as Standing, least.lines[least.at]?.standing as Standing) < 0)
        least = head;
    yield least.lines[least.at++] as Joined;
    if (least.at >= least.lines.length && !(await filled(least))) heads.splice(heads.indexOf(least), 1);
  }
}
