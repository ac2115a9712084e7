/** Loads the level tables for the worker that draws: 3 kB, loaded beside the decoder, which rows wait for anyway. */
import type { Level } from "./levelNames";

let levelOf: ((line: string) => Level) | null = null;

/** Load the tables. Must resolve before the first `lineLevel`. */
export async function prepareLevels(): Promise<void> {
  levelOf = (await import("./levels")).levelOf;
}

/** See `levels.ts`. */
export function lineLevel(line: string): Level {
  if (levelOf === null) throw new Error("prepareLevels has not finished");
  return levelOf(line);
}
