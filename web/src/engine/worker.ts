/** The worker: everything between the network and a drawn row happens here, so that the page never waits for it. */
import { Connection, type SocketLike } from "../live/connection";
import { prepareDecoder } from "../log/body";
import { Api, ApiError } from "../wire/api";
import { OpenJob } from "./job";
import { JobList } from "./joblist";
import { Merge, MOST_JOBS } from "./merge";
import type { Answers, Request, Tell } from "./messages";

const port = self as unknown as {
  postMessage(message: Tell): void;
  onmessage: ((event: MessageEvent<{ id: number; request: Request }>) => void) | null;
  addEventListener(type: "online", listener: () => void): void;
};

/** Facts are told at most this often, a job: a burst must not become a burst of messages. */
const TELL_MS = 60;
const MERGE_MS = 100;

const ready = prepareDecoder();
const jobs = new Map<string, OpenJob>();
const changed = new Set<OpenJob>();
let telling = false;
let api = new Api("", "");
let live = "";
let indexer: MessagePort | null = null;
let merge: Merge | null = null;
/** What is being written out. */
const takes = new Set<number>();
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
    for (const job of jobs.values()) job.receive(message);
    if (message.type === "job") list.receive(message);
  },
);

const list = new JobList(
  () => api,
  clock,
  (changes) => port.postMessage({ tell: "jobs", ...changes }),
  () => Promise.all([...jobs.values()].map((job) => job.opened)),
);

function tell(job: OpenJob): void {
  changed.add(job);
  mergeSoon();
  if (telling) return;
  telling = true;
  setTimeout(() => {
    telling = false;
    for (const one of changed) if (jobs.get(one.id) === one) port.postMessage({ tell: "job", facts: one.facts });
    changed.clear();
  }, TELL_MS);
}

/** The merged list follows its jobs, a few times a second. */
function mergeSoon(): void {
  if (merge === null || merging) return;
  merging = true;
  setTimeout(() => {
    void ready.then(() => {
      merging = false;
      const place = merge?.update() ?? null;
      if (merge !== null && place !== null) port.postMessage({ tell: "merged", total: merge.total, revision: merge.revision, changed: place });
    });
  }, MERGE_MS);
}

function opened(id: string): OpenJob {
  const job = jobs.get(id);
  if (job === undefined) throw new Error(`${id} is not open`);
  return job;
}

const serve: { [D in Request["do"]]: (request: Request & { do: D }) => Answers[D] | Promise<Answers[D]> } = {
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
      { ...clock, api, ready, changed: tell, again: (name) => connection.renew(`job ${name}`) },
      at,
    );
    jobs.set(id, job);
    // History is fetched at once. Live lines are counted as they come, so they are asked for when they can be read.
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
  pick: async ({ job, from, sequences, total }) => {
    await prepareDecoder();
    return opened(job).pick(from, sequences, total);
  },
  take: async ({ job, id, what }) => {
    const [{ take }] = await Promise.all([import("../take/take"), prepareDecoder()]);
    takes.add(id);
    return take(opened(job), api, what, {
      cancelled: () => !takes.has(id),
      progress: (done) => port.postMessage({ tell: "taking", id, done }),
    }).finally(() => takes.delete(id));
  },
  untake: ({ id }) => {
    takes.delete(id);
    return null;
  },
  merge: ({ jobs: ids }) => {
    merge = ids.length === 0 ? null : new Merge(ids.slice(0, MOST_JOBS).map(opened));
    mergeSoon();
    return null;
  },
  merged: async ({ from, count }) => {
    await prepareDecoder();
    return merge?.rows(from, count) ?? { from, to: from, total: 0, rows: [] };
  },
  mergedPick: async ({ from, places, total }) => {
    await prepareDecoder();
    return merge?.pick(from, places, total) ?? { from, to: from, total: 0, rows: [] };
  },
  locate: ({ sequences }) => merge?.locate(sequences) ?? new Float64Array(0),
  place: ({ source, sequence, time }) => merge?.placeOf(source, sequence, time) ?? 0,
  indexer: ({ port: end }) => {
    indexer?.close();
    indexer = end;
    return null;
  },
  feed: ({ job, on }) => {
    opened(job).feedTo(on ? (batches) => indexer?.postMessage({ job, batches }) : null);
    return null;
  },
  whole: ({ job }) => {
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
  const handle = serve[request.do] as (request: Request) => unknown;
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
