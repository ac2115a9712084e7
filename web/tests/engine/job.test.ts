import { beforeAll, describe, expect, test } from "vitest";
import { OpenJob } from "../../src/engine/job";
import { prepareDecoder } from "../../src/log/body";
import { textOf } from "../../src/log/row";
import { Api } from "../../src/wire/api";
import type { ToViewer } from "../../src/wire/messages";
import { record } from "../jobs/records";
import { factsOf } from "../support/zstd";

beforeAll(prepareDecoder);

const JOB = `local.${"a".repeat(64)}`;

/** A job whose history and record are not answered: it has only what the connection delivers. */
function opened(): OpenJob {
  const never = new Promise<never>(() => undefined);
  const api = { job: () => never, history: () => never } as unknown as Api;
  const around = {
    api,
    ready: Promise.resolve(),
    now: () => 0,
    random: () => 0,
    later: () => () => undefined,
    changed: () => undefined,
    resubscribe: () => undefined,
  };
  const job = new OpenJob(JOB, around, null);
  job.open();
  return job;
}

function subscribed(job: OpenJob, tip: number): void {
  job.subscription.answer({ type: "subscribed", id: "v1", job: JOB, tip, record: record({ job: JOB }) });
}

function broadcast(job: OpenJob, first: number, ...texts: string[]): void {
  job.receive({
    type: "batch",
    job: JOB,
    batches: [
      factsOf(
        first,
        texts.map((text) => ({ stream: "e", text })),
      ),
    ],
  } as unknown as ToViewer);
}

describe("live entries", () => {
  test("are those written since the job was opened", () => {
    const job = opened();
    subscribed(job, 2);
    broadcast(job, 3, "ERROR a", "b");
    expect([job.facts.live, job.facts.liveErrors, job.facts.received]).toEqual([2, 1, 2]);
  });

  test("exclude earlier entries whose broadcast arrives late", () => {
    const job = opened();
    broadcast(job, 1, "ERROR the broadcast overtook the answer");
    subscribed(job, 2);
    broadcast(job, 2, "ERROR late");
    expect([job.facts.live, job.facts.liveErrors, job.facts.received]).toEqual([0, 0, 2]);
  });

  test("include entries written since then after a new subscription", () => {
    const job = opened();
    subscribed(job, 2);
    job.interrupted();
    subscribed(job, 4);
    broadcast(job, 3, "a", "b");
    expect(job.facts.live).toBe(2);
  });
});

describe("damaged batches of history", () => {
  const line = (first: number, ...texts: string[]): Record<string, unknown> => ({
    ...factsOf(
      first,
      texts.map((text) => ({ stream: "o", text })),
    ),
  });
  const good = line(3, "c", "d");

  test.each<[string, Record<string, unknown>]>([
    ["whose body is no text", { ...good, body: 7 }],
    ["whose body is not base64", { ...good, body: "%%%" }],
    ["whose body is something else", { ...good, body: "AAAA" }],
    ["whose times are too large", { ...good, start: 2 ** 60, end: 2 ** 60 }],
    ["whose size is negative", { ...good, raw: -1 }],
  ])("%s are shown as unreadable, between the others", async (_, damaged) => {
    const page = { tip: 5, more: false, batches: [line(1, "a", "b"), damaged, line(5, "e")] };
    const api = new Api("", "", (input) =>
      Promise.resolve(
        new Response(JSON.stringify(String(input).includes("/batches") ? page : {}), {
          status: String(input).includes("/batches") ? 200 : 404,
        }),
      ),
    );
    const around = {
      api,
      ready: Promise.resolve(),
      now: () => 0,
      random: () => 0,
      later: () => () => undefined,
      changed: () => undefined,
      resubscribe: () => undefined,
    };
    const job = new OpenJob(JOB, around, null);
    job.open();
    await job.opened;
    job.problem = null;
    const shown = job
      .rows(0, 5)
      .rows.map((row) => (row.kind === "line" ? textOf(row) : `${row.kind} ${"count" in row ? row.count : ""}`));
    const readable = typeof damaged["body"] === "string" && damaged["body"].length > 8;
    expect(shown).toEqual(["a", "b", ...(readable ? ["c", "d"] : ["unreadable 2"]), "e"]);
  });
});
