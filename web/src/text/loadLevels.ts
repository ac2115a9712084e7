/** Loads the level tables for the worker that draws: 3 kB, loaded beside the decoder, which rows wait for anyway. */
import type { Level } from "./levelNames";

let decide: ((line: string) => Level) | null = null;

/** Load the tables. Must resolve before the first `lineLevel`. */
export async function prepareLevels(): Promise<void> {
  decide = (await import("./levels")).levelOf;
}

/** See `levels.ts`. */
export function lineLevel(line: string): Level {
  if (decide === null) throw new Error("prepareLevels has not finished");
  return decide(line);
}
