/** The golden messages, shared with pytest: valid messages are decoded, invalid ones are refused. */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBody, fromBase64, prepareDecoder } from "../../src/log/body";
import type * as Wire from "../../src/protocol";
import { type BatchFacts, decodeMessage, type JobRecord } from "../../src/wire/messages";
import { WireError } from "../../src/wire/shape";
import { fc } from "../support/check";

interface Golden {
  good: { to_viewer: { type: string }[] };
  bad: { to_viewer: string[] };
  body: { body: string; entries: { time: number; character: string; text: string }[] };
  bad_bodies: Record<string, string>;
}
const golden = JSON.parse(
  readFileSync(new URL("../../../tests/contract/messages.json", import.meta.url), "utf8"),
) as Golden;

beforeAll(prepareDecoder);

describe("the wire", () => {
  test.each(golden.good.to_viewer.map((message) => [message.type, message] as const))(
    "a golden %s is decoded",
    (_, message) => {
      const read = decodeMessage(JSON.stringify(message));
      expect(read.type).toBe(message.type);
    },
  );

  test.each(golden.bad.to_viewer.map((raw) => [raw.slice(0, 90), raw] as const))("refuses %s", (_, raw) => {
    expect(() => decodeMessage(raw)).toThrow(WireError);
  });

  test("a partly unreadable record keeps its other fields and says so", () => {
    const job = `a.${"1".repeat(64)}`;
    const good = { job, owner: "o", principal: "a", container: { name: "web" }, life: { state: "running" }, tip: 3 };
    const anything = fc.oneof(fc.constant(2 ** 60), fc.constant(-1), fc.jsonValue());
    const fields = ["owner", "principal", "container", "life", "tip", "bytes", "gaps", "last", "seen"];
    const inner = fc.dictionary(
      fc.constantFrom("name", "labels", "tty", "state", "created", "exit_code", "oom", "restarts", "problem"),
      anything,
    );
    const damage = fc.dictionary(fc.constantFrom(...fields), fc.oneof(anything, inner));
    fc.assert(
      fc.property(damage, (damaged) => {
        for (const message of [
          { type: "job", record: { ...good, ...damaged } },
          { type: "subscribed", id: "s", job, tip: 3, record: { ...good, ...damaged } },
        ]) {
          const read = decodeMessage(JSON.stringify(message)) as { record: JobRecord };
          expect(read.record.job).toBe(job);
          if (!("life" in damaged) && !("container" in damaged)) expect(read.record.container.name).toBe("web");
          if (read.record.life.state === "damaged record")
            expect(read.record.life.problem).toMatch(/^This record is damaged: .* is not /);
        }
      }),
    );
    const { record } = decodeMessage(JSON.stringify({ type: "job", record: { ...good, tip: 2 ** 60 } })) as {
      record: JobRecord;
    };
    expect(record).toMatchObject({
      tip: 0,
      life: { state: "damaged record", problem: "This record is damaged: tip is not a whole number of at least 0." },
    });
  });

  test("a damaged batch of a message leaves the others", () => {
    const job = `a.${"1".repeat(64)}`;
    const good = { first: 1, count: 1, start: 1, end: 1, raw: 1, body: "" };
    for (const damaged of [{ ...good, first: 0 }, { ...good, count: 2 ** 40 }, { ...good, body: 7 }, null, "x"]) {
      expect(decodeMessage(JSON.stringify({ type: "batch", job, batches: [damaged, good] }))).toMatchObject({
        batches: [good],
      });
    }
  });

  test("the golden body is decoded entry by entry", () => {
    const { body, entries } = golden.body;
    const { times, streams, texts } = decodeBody(fromBase64(body), entries.length);
    expect(entries.map((_, at) => ({ time: times[at], character: streams[at], text: texts[at] }))).toMatchObject(
      entries.map(({ time, character, text }) => ({ time, character, text })),
    );
  });

  test.each(Object.entries(golden.bad_bodies))("a body that is %s is refused", (_, body) => {
    for (let count = 0; count < 8; count++) expect(() => decodeBody(fromBase64(body), count)).toThrow(WireError);
  });

  test("the decoders promise no more than the generated types", () => {
    // Types only: this fails in `npm run typecheck`.
    const facts = (wire: Wire.BatchFacts): BatchFacts => wire;
    const name = (wire: Wire.JobRecord): Pick<JobRecord, "job" | "owner" | "tip" | "seen"> => wire;
    expect([facts, name]).toHaveLength(2);
  });
});
