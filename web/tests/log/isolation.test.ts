/** A line that cannot be interpreted is shown as text and does not affect other lines. */
import { beforeAll, expect, test, vi } from "vitest";
import { SequenceRanges } from "../../src/live/sequenceRanges";
import { prepareDecoder } from "../../src/log/body";
import { textOf } from "../../src/log/row";
import { rowsOf } from "../../src/log/rows";
import { Store } from "../../src/log/store";
import { factsOf } from "../support/zstd";

vi.mock("../../src/text/levels", () => ({ levelOf: (line: string) => fails(line, 3) }));
vi.mock("../../src/text/trace", () => ({ MAX_TRACE_LINES: 200, traceRoleAfter: (line: string) => fails(line, null) }));
vi.mock("../../src/text/json", () => ({ looksJson: (line: string) => fails(line, false) }));

/** As an engine does when its stack overflows. */
function fails<T>(line: string, otherwise: T): T {
  if (line.includes("worst")) throw new RangeError("Maximum call stack size exceeded");
  return otherwise;
}

beforeAll(prepareDecoder);

test("a line that fails in every text function is plain text between the others", () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const store = new Store();
  const lines = ["one", "the \u001b[31mworst\u202e line", "three"].map((text) => ({ stream: "o", text }));
  store.add(factsOf(1, lines));
  const { rows } = rowsOf(store, new SequenceRanges(), 3, 0, 3);
  expect(rows.map((row) => textOf(row))).toEqual(["one", "the \ufffd[31mworst\ufffd line", "three"]);
  expect(rows.map((row) => (row.kind === "line" ? row.level : null))).toEqual([3, 0, 3]);
  expect(said).toHaveBeenCalled();
});
