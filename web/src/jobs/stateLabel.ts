/** A job's state as text and a sign, so that colour is never the only indication. */
import { durationText } from "../text/time";
import type { JobRecord } from "../wire/messages";

export interface StateLabel {
  readonly sign: string;
  readonly words: string;
  /** live: running; good: ended well; bad: failed; warn: needs attention; quiet: nothing to report. */
  readonly tone: "live" | "good" | "bad" | "warn" | "quiet";
}

/** Exit codes from 129 are 128 plus a signal's number (POSIX shells, and Docker with them). */
const SIGNALS: { readonly [code: number]: string } = {
  129: "hung up",
  130: "interrupted",
  131: "quit",
  132: "illegal instruction",
  134: "aborted",
  135: "bus error",
  136: "arithmetic error",
  137: "killed",
  139: "segmentation fault",
  143: "terminated",
};

export function stateLabel({ life, seen }: JobRecord, now: number): StateLabel {
  switch (life.state) {
    case "running":
      return { sign: "●", words: life.restarts > 0 ? `running, restarted ${life.restarts}×` : "running", tone: "live" };
    case "paused":
      return { sign: "‖", words: "paused", tone: "warn" };
    case "restarting":
      return { sign: "↻", words: `restarting${exitText(life.exit_code, life.oom)}`, tone: "bad" };
    case "exited":
      return endedLabel("exited", life.exit_code, life.oom);
    case "removed":
      return endedLabel("removed", life.exit_code, life.oom);
    case "lost":
      return { sign: "?", words: `lost: not seen for ${durationText(now - seen)}`, tone: "warn" };
    case "created":
      return { sign: "○", words: "created", tone: "quiet" };
    default:
      return { sign: "?", words: life.state.slice(0, 32), tone: "quiet" };
  }
}

function endedLabel(word: string, exitCode: number | null, oom: boolean): StateLabel {
  if (oom || (exitCode !== null && exitCode !== 0))
    return { sign: "✕", words: word + exitText(exitCode, oom), tone: "bad" };
  if (exitCode === 0) return { sign: "✓", words: `${word} 0`, tone: "good" };
  return { sign: "–", words: word, tone: "quiet" };
}

function exitText(exitCode: number | null, oom: boolean): string {
  const why = oom ? "out of memory" : exitCode === null ? undefined : SIGNALS[exitCode];
  return `${exitCode === null ? "" : ` ${exitCode}`}${why === undefined ? "" : `${exitCode === null ? ", " : " "}${why}`}`;
}
