/** Bodies for tests: a zstd frame of uncompressed blocks, which needs no compressor (RFC 8878, 3.1.1). */
import { fc } from "./check";

export interface Line {
  readonly stream: string;
  readonly text: string;
}

export function bodyOf(lines: readonly Line[], start = 1_764_000_000_000_000): string {
  const document = JSON.stringify({
    t: start,
    d: lines.map((_, at) => (at === 0 ? 0 : 1000)),
    s: lines.map(({ stream }) => stream).join(""),
    l: lines.map(({ text }) => text),
  });
  return Buffer.from(frame(new TextEncoder().encode(document))).toString("base64");
}

export function frame(content: Uint8Array): Uint8Array {
  const block = 131_072;
  // Magic, then a header: single segment, with the content's size in four bytes.
  const parts: number[][] = [[0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000, ...little(content.length, 4)]];
  for (let at = 0; at === 0 || at < content.length; at += block) {
    const some = content.subarray(at, at + block);
    const last = at + block >= content.length ? 1 : 0;
    parts.push(little((some.length << 3) | last, 3), [...some]);
  }
  return Uint8Array.from(parts.flat());
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => (value >>> (8 * at)) & 0xff);
}

export function factsOf(first: number, lines: readonly Line[]) {
  return {
    first,
    count: lines.length,
    start: 1_764_000_000_000_000,
    end: 1_764_000_000_000_000 + lines.length * 1000,
    raw: lines.reduce((sum, { text }) => sum + text.length, 0),
    body: bodyOf(lines),
  };
}

export { fc };
