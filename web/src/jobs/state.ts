/** What a job's state means. */
import type { JobRecord } from "../wire/messages";

/** Return whether a run has ended with a failure. */
export function failed({ state, exit_code: code, oom }: JobRecord["life"]): boolean {
  return (state === "exited" || state === "removed") && (oom || (code !== null && code !== 0));
}
