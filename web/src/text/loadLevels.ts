/** What levels are told by, for the worker that draws: it takes 3 kB of tables, and no row is drawn before the decoder has come either. */
import type { Level } from "./levelNames";

let decide: ((line: string) => Level) | null = null;

/** Must have come to its end before the first `lineLevel`. */
export async function prepareLevels(): Promise<void> {
  decide = (await import("./levels")).levelOf;
}

/** See `levels.ts`. */
export function lineLevel(line: string): Level {
  if (decide === null) throw new Error("prepareLevels has not come to its end");
  return decide(line);
}
