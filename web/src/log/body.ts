/** A batch's body: columns compressed with zstd, bounded and checked (protocol/PROTOCOL.md, "Body"). */
import type { ZSTDDecoder } from "zstddec";
import { MAX_DECODED_BYTES, MAX_ENTRY_BYTES, MAX_TIME_US } from "../limits";
import { prepareLevels } from "../text/loadLevels";
import { integer, list, object, text, WireError, wholeNumber } from "../wire/shape";

export interface Columns {
  /** Microseconds since 1970; exact in a double until 2255. */
  readonly times: Float64Array;
  /** One character per entry: o e O E s. */
  readonly streams: string;
  readonly texts: readonly string[];
}

const encoder = new TextEncoder();

/** Return the UTF-8 length of a text. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

const document = object({ t: wholeNumber(), d: list(integer), s: text, l: list(text) });
const utf8 = new TextDecoder("utf-8", { fatal: true });
let zstd: ZSTDDecoder | null = null;
let preparing: Promise<void> | null = null;

/** Load the zstd decoder, 29 kB of WebAssembly, and the level tables. Must resolve before the first `decodeBody`. */
export function prepareDecoder(): Promise<void> {
  preparing ??= Promise.all([loadDecoder(), prepareLevels()]).then(() => undefined);
  return preparing;
}

async function loadDecoder(): Promise<void> {
  const { ZSTDDecoder } = await import("zstddec");
  const decoder = new ZSTDDecoder();
  await decoder.init();
  zstd = decoder;
}

/** Return the columns of a body. Throws WireError when it is not a body of `count` entries. */
export function decodeBody(body: Uint8Array, count: number): Columns {
  if (zstd === null) throw new Error("prepareDecoder has not finished");
  // The bound is the output size: a frame that decompresses to more is an error, whatever its header says.
  const bytes = zstd.decode(body, MAX_DECODED_BYTES);
  if (bytes.length === 0) throw new WireError("body", "one whole zstd frame of at most 1 MiB");
  let parsed: unknown;
  try {
    parsed = JSON.parse(utf8.decode(bytes));
  } catch {
    throw new WireError("body", "JSON");
  }
  const { t, d, s, l } = document(parsed, "body");
  if (count < 1 || d.length !== count || s.length !== count || l.length !== count) {
    throw new WireError("body", `columns of ${count} entries`);
  }
  if (!/^[oeOEs]*$/.test(s)) throw new WireError("body.s", "known stream characters");
  const times = new Float64Array(count);
  let time = t;
  for (let at = 0; at < count; at++) {
    time += d[at] as number;
    if (time < 0 || time > MAX_TIME_US) throw new WireError(`body.d[${at}]`, "a time between 1970 and 2255");
    times[at] = time;
    if ((l[at] as string).length * 3 > MAX_ENTRY_BYTES && utf8Length(l[at] as string) > MAX_ENTRY_BYTES) {
      throw new WireError(`body.l[${at}]`, `a text of at most ${MAX_ENTRY_BYTES} bytes`);
    }
  }
  return { times, streams: s, texts: l };
}

export function fromBase64(encoded: string): Uint8Array {
  const native = Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array };
  try {
    if (native.fromBase64) return native.fromBase64(encoded);
    const binary = atob(encoded);
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
    return bytes;
  } catch {
    throw new WireError("body", "base64");
  }
}
