/** The worker: everything between the network and a drawn row happens here, so that the page never waits for it. */

import type { ExportContext } from "../export/exportJob";
import { Connection, type SocketLike } from "../live/connection";
import { prepareDecoder } from "../log/body";
import { monotonicTimes } from "../log/mergeOrder";
import type { Row, RowWindow } from "../log/row";
import { tryOr } from "../log/tryOr";
import { Api, ApiError } from "../wire/api";
import { OpenJob } from "./job";
import { JobList } from "./jobList";
import type { MergedList } from "./mergedList";
import type { Answers, Request, WorkerMessage } from "./messages";

const port = self as unknown as {
  postMessage(message: WorkerMessage): void;
  onmessage: ((event: MessageEvent<{ id: number; request: Request }>) => void) | null;
  addEventListener(type: "online", listener: () => void): void;
};

/** Report a job's facts at most this often: a burst of batches must not become a burst of messages. */
const REPORT_MS = 60;
const MERGE_MS = 100;

const ready = prepareDecoder();
const jobs = new Map<string, OpenJob>();
const changed = new Set<OpenJob>();
let reporting = false;
let api = new Api("", "");
let live = "";
let indexer: MessagePort | null = null;
let merge: MergedList | null = null;
/** Number of `merge` requests so far. */
let merges = 0;
/** The jobs of `merge`. */
let merged: readonly string[] = [];
/** Ids of running exports. */
const exporting = new Set<number>();
let merging = false;

const clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  later: (ms: number, step: () => void) => {
    const timer = setTimeout(step, ms);
    return () => clearTimeout(timer);
  },
};

const connection = new Connection(
  {
    ...clock,
    ticket: () => api.ticket(),
    socket: (ticket) => {
      const url = new URL(live);
      url.searchParams.set("v", "1");
      url.searchParams.set("ticket", ticket);
      return new WebSocket(url) as SocketLike;
    },
  },
  (state) => {
    if (state.kind !== "open") for (const job of jobs.values()) job.interrupted();
    port.postMessage({ tell: "connection", state, opened: connection?.opened ?? 0 });
  },
  (message) => {
    for (const job of jobs.values()) tryOr(() => job.receive(message), undefined);
    if (message.type === "job") list.receive(message);
  },
);

const list = new JobList(
  () => api,
  clock,
  (changes) => port.postMessage({ tell: "jobs", ...changes }),
  () => Promise.all([...jobs.values()].map((job) => job.opened)),
);

function jobChanged(job: OpenJob): void {
  changed.add(job);
  mergeSoon();
  if (reporting) return;
  reporting = true;
  setTimeout(() => {
    reporting = false;
    for (const one of changed)
      if (jobs.get(one.id) === one) tryOr(() => port.postMessage({ tell: "job", facts: one.facts }), undefined);
    changed.clear();
  }, REPORT_MS);
}

/** Update the merged list from its jobs, a few times a second. */
function mergeSoon(): void {
  if (merge === null || merging) return;
  merging = true;
  setTimeout(() => {
    void ready.then(() => {
      merging = false;
      mergeNow();
    });
  }, MERGE_MS);
}

function mergeNow(): void {
  const place = merge?.update() ?? null;
  if (merge !== null && place !== null)
    port.postMessage({
      tell: "merged",
      total: merge.total,
      revision: merge.revision,
      changed: place,
      last: merge.at(merge.total - 1),
    });
}

/** Lines of a merged job to fetch where a reader meets a missing part. */
const PREFETCH_LINES = 400;

/** How long to wait for other jobs' lines before a line is shown without them. They are added when they arrive. */
const OTHERS_TIMEOUT_MS = 2_000;

/** Fetch what is missing next to the rows that a reader looks at, so that reading continues up to the job's end. */
function fetchMissing({ rows }: RowWindow): void {
  for (const { sequence, source, hole, ...row } of rows) {
    const job = hole === undefined || source === undefined ? undefined : jobs.get(merged[source] ?? "");
    if (hole === undefined || job === undefined) continue;
    if (hole.side === "before") job.prioritize(sequence - PREFETCH_LINES, sequence - 1);
    else {
      const last = "last" in row ? row.last : sequence;
      job.prioritize(last + 1, last + PREFETCH_LINES);
    }
  }
}

/** Return rows of a filtered list as a window that begins at `from`. */
function filteredWindow(from: number, rows: readonly (Row | null)[], total: number): RowWindow {
  return {
    from,
    to: from + rows.length,
    total,
    rows: rows.flatMap((row, at) => (row === null ? [] : [{ ...row, index: from + at }])),
  };
}

function opened(id: string): OpenJob {
  const job = jobs.get(id);
  if (job === undefined) throw new Error(`${id} is not open`);
  return job;
}

function runExport(id: number, step: (context: ExportContext) => Promise<Blob>): Promise<Blob> {
  exporting.add(id);
  return step({
    cancelled: () => !exporting.has(id),
    progress: (done, of) => port.postMessage({ tell: "exportProgress", id, done, of }),
  }).finally(() => exporting.delete(id));
}

const handlers: { [D in Request["do"]]: (request: Request & { do: D }) => Answers[D] | Promise<Answers[D]> } = {
  start: (request) => {
    api = new Api(request.api, request.token);
    live = request.live;
    return null;
  },
  token: ({ token }) => {
    api.authorize(token);
    if (connection.state.kind === "refused") connection.reset();
    return null;
  },
  jobs: ({ on }) => {
    if (on) {
      connection.subscribe("jobs", list.subscription);
      void list.load();
    } else connection.unsubscribe("jobs", {});
    return null;
  },
  open: ({ job: id, at }) => {
    if (jobs.has(id)) return null;
    const job = new OpenJob(
      id,
      { ...clock, api, ready, changed: jobChanged, resubscribe: (name) => connection.renew(`job ${name}`) },
      at,
    );
    jobs.set(id, job);
    // Fetch history at once, but subscribe only when bodies can be decoded, because live lines are counted as they
    // arrive.
    job.open();
    void ready.then(() => {
      if (jobs.get(id) === job) connection.subscribe(`job ${id}`, job.subscription);
    });
    return null;
  },
  close: ({ job: id }) => {
    jobs.get(id)?.close();
    jobs.delete(id);
    connection.unsubscribe(`job ${id}`, { job: id });
    return null;
  },
  rows: async ({ job, from, count }) => {
    await prepareDecoder();
    return opened(job).rows(from, count);
  },
  entries: async ({ job, first, last }) => {
    await prepareDecoder();
    return opened(job).entries(first, last);
  },
  filteredRows: async ({ job, from, sequences, total }) => {
    await prepareDecoder();
    return filteredWindow(from, opened(job).filteredRows(sequences), total);
  },
  export: async ({ job, id, what }) => {
    const [{ exportJob }] = await Promise.all([import("../export/exportJob"), prepareDecoder()]);
    return runExport(id, (context) => exportJob(opened(job), api, what, context));
  },
  exportMerged: async ({ id, what }) => {
    const [{ exportMerged }] = await Promise.all([import("../export/exportMerged"), prepareDecoder()]);
    return runExport(id, (context) => exportMerged(merged.map(opened), api, what, context));
  },
  cancelExport: ({ id }) => {
    exporting.delete(id);
    return null;
  },
  merge: async ({ jobs: ids }) => {
    const turn = ++merges;
    // A page with one job does not need the module.
    const [module] = await Promise.all([ids.length === 0 ? null : import("./mergedList"), prepareDecoder()]);
    // Another page was opened in the meantime.
    if (turn !== merges) return null;
    merged = ids.slice(0, module?.MAX_JOBS);
    merge = module === null ? null : new module.MergedList(merged.map(opened));
    // All loaded lines are in the list when this request is answered.
    mergeNow();
    return null;
  },
  mergedRows: async ({ from, count }) => {
    await prepareDecoder();
    const window = merge?.rows(from, count) ?? { from, to: from, total: 0, rows: [] };
    fetchMissing(window);
    return window;
  },
  filteredMergedRows: async ({ from, lines, total }) => {
    await prepareDecoder();
    const rows = new Array<Row | null>(lines.length).fill(null);
    for (const [index, id] of merged.entries()) {
      const own = [...lines.entries()].filter(([, { source }]) => source === index);
      const found = opened(id).filteredRows(own.map(([, { sequence }]) => sequence));
      for (const [nth, [place, { at }]] of own.entries()) {
        const row = found[nth];
        if (row != null) rows[place] = { ...row, source: index, at };
      }
    }
    return filteredWindow(from, rows, total);
  },
  locate: ({ lines }) => merge?.locate(lines) ?? new Float64Array(0),
  fetchAround: async ({ job: id, sequence, others }) => {
    const job = opened(id);
    await Promise.all([job.store.holding(sequence) === null && job.fetchAround(sequence), prepareDecoder()]);
    const here = job.store.at(sequence);
    const at = here === null ? undefined : monotonicTimes(here.columns.times)[sequence - here.batch.first];
    if (at === undefined) return null;
    const lacking = others.map(opened).filter((other) => other !== job && at < other.facts.since);
    if (lacking.length > 0) {
      const { fetchAround } = await import("./fetchAround");
      await Promise.race([
        fetchAround(lacking, api, at),
        new Promise((resolve) => setTimeout(resolve, OTHERS_TIMEOUT_MS)),
      ]);
    }
    mergeNow();
    return at;
  },
  mergedIndex: ({ source, sequence, at }) => merge?.indexOf(source, sequence, at) ?? 0,
  indexer: ({ port: end }) => {
    indexer?.close();
    indexer = end;
    return null;
  },
  feed: ({ job, on }) => {
    opened(job).feedTo(on ? (batches) => indexer?.postMessage({ job, batches }) : null);
    return null;
  },
  loadAll: ({ job }) => {
    opened(job).loadAll();
    return null;
  },
  wake: () => {
    connection.wake();
    return null;
  },
  cut: () => {
    connection.cut();
    return null;
  },
  replace: async () => {
    await connection.replace();
    return null;
  },
};

port.onmessage = ({ data: { id, request } }) => {
  const handle = handlers[request.do] as (request: Request) => unknown;
  Promise.resolve()
    .then(() => handle(request))
    .then(
      (value) => port.postMessage({ tell: "answer", id, value }),
      (error: unknown) => {
        const message = error instanceof ApiError || error instanceof Error ? error.message : String(error);
        port.postMessage({ tell: "failed", id, message });
      },
    );
};

port.addEventListener("online", () => connection.wake());
