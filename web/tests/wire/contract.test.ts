/** The golden messages that pytest reads too: what the cloud may send is read, what it may not is refused. */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBody, fromBase64, prepareDecoder } from "../../src/log/body";
import type * as Wire from "../../src/protocol";
import { type BatchFacts, decodeMessage, type JobRecord } from "../../src/wire/messages";
import { WireError } from "../../src/wire/shape";

interface Golden {
  good: { to_viewer: { type: string }[] };
  bad: { to_viewer: string[] };
  body: { body: string; entries: { time: number; character: string; text: string }[] };
  bad_bodies: Record<string, string>;
}
const golden = JSON.parse(readFileSync(new URL("../../../tests/contract/messages.json", import.meta.url), "utf8")) as Golden;

beforeAll(prepareDecoder);

describe("the wire", () => {
  test.each(golden.good.to_viewer.map((message) => [message.type, message] as const))("a golden %s is read", (_, message) => {
    const read = decodeMessage(JSON.stringify(message));
    expect(read.type).toBe(message.type);
  });

  test.each(golden.bad.to_viewer.map((raw) => [raw.slice(0, 90), raw] as const))("refuses %s", (_, raw) => {
    expect(() => decodeMessage(raw)).toThrow(WireError);
  });

  test("the golden body is read entry by entry", () => {
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
