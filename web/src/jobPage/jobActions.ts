/** The actions of a job's page, by key; help and command palette list the same. */
import type { Action } from "../actions";
import { newestFirst } from "../jobs/record";
import { navigate, urlOf } from "../route";
import { toggleHidden } from "../search/searchController";
import { cycle, settings } from "../settings";
import { me, records } from "../state";
import { TIME_MODES } from "../text/time";
import type { JobView } from "./jobView";

export function jobActions(view: JobView, field: () => HTMLInputElement | null): Action[] {
  const rows = (by: number) => () => view.move(by);
  const page = (by: number) => () => view.pane?.scrollBy(by * (view.pane.pageHeight - 40));
  const stream = (name: "stdout" | "stderr" | "frames") => () => toggleHidden(view, name);
  const say = (text: string): void => void navigator.clipboard.writeText(text);
  return [
    { id: "find", group: "Find", title: "Search this job", keys: ["/", "Ctrl+F"], run: () => field()?.select() },
    { id: "next-match", group: "Find", title: "Next match", keys: ["n"], run: () => view.step(1) },
    { id: "previous-match", group: "Find", title: "Previous match", keys: ["N"], run: () => view.step(-1) },
    { id: "next-error", group: "Find", title: "Next error", keys: ["e"], run: () => view.stepError(1) },
    { id: "previous-error", group: "Find", title: "Previous error", keys: ["E"], run: () => view.stepError(-1) },
    {
      id: "only-matches",
      group: "Find",
      title: "Show only matching lines, or all lines",
      keys: ["m"],
      run: () => view.search(view.find.query.peek(), !view.find.filtering.peek()),
    },
    {
      id: "follow",
      group: "Move",
      title: "Go to the end and follow",
      keys: ["f", "G", "End"],
      run: () => view.pane?.follow(),
    },
    {
      id: "pause",
      group: "Move",
      title: "Pause or follow",
      keys: ["Space"],
      run: () => (view.following.peek() ? view.pane?.pause() : view.pane?.follow()),
    },
    {
      id: "goto",
      group: "Move",
      title: "Go to a line or a time",
      keys: [":"],
      run: () => document.querySelector<HTMLElement>("[data-goto] summary")?.click(),
    },
    { id: "start", group: "Move", title: "Go to the first line", keys: ["g", "Home"], run: () => view.go(1) },
    { id: "down", group: "Move", title: "Next line", keys: ["j"], run: rows(1) },
    { id: "up", group: "Move", title: "Previous line", keys: ["k"], run: rows(-1) },
    { id: "page-down", group: "Move", title: "Page down", keys: ["PageDown", "d"], run: page(1) },
    { id: "page-up", group: "Move", title: "Page up", keys: ["PageUp", "u"], run: page(-1) },
    { id: "newer-job", group: "Move", title: "Next newer job", keys: ["["], run: () => goToNeighbour(view.job, -1) },
    { id: "older-job", group: "Move", title: "Next older job", keys: ["]"], run: () => goToNeighbour(view.job, 1) },
    { id: "stdout", group: "Show", title: "Show or hide stdout", keys: ["1"], run: stream("stdout") },
    { id: "stderr", group: "Show", title: "Show or hide stderr", keys: ["2"], run: stream("stderr") },
    { id: "frames", group: "Show", title: "Fold or unfold stack traces", keys: ["3"], run: stream("frames") },
    { id: "fold", group: "Show", title: "Unfold or fold the line (JSON)", keys: ["o"], run: () => view.fold() },
    {
      id: "time",
      group: "Show",
      title: "Times: local, UTC, since the start, hidden",
      keys: ["t"],
      run: () => cycle(settings.timeMode, TIME_MODES),
    },
    {
      id: "wrap",
      group: "Show",
      title: "Wrap or unwrap long lines",
      keys: ["w"],
      run: () => cycle(settings.wrap, [true, false]),
    },
    { id: "copy", group: "Export", title: "Copy the marked lines", keys: ["y"], run: () => void view.copy(false) },
    {
      id: "copy-times",
      group: "Export",
      title: "Copy the marked lines with times",
      keys: ["Y"],
      run: () => void view.copy(true),
    },
    {
      id: "unmark",
      group: "Export",
      title: "Unmark the lines",
      keys: ["Escape"],
      run: () => view.markedLines.peek() !== null && view.unmark(),
    },
    { id: "link", group: "Export", title: "Copy a link to this line", keys: ["l"], run: () => say(view.link) },
    {
      id: "export",
      group: "Export",
      title: "Export or copy lines",
      keys: ["D"],
      run: () => {
        view.dialog.value = "export";
      },
    },
    ...(me.peek()?.job == null
      ? [
          {
            id: "share",
            group: "Export",
            title: "Share this job with a link",
            keys: ["S"],
            run: () => {
              view.dialog.value = "share";
            },
          },
        ]
      : []),
  ];
}

/** Go to the neighbour in the list of all jobs, newest first. */
function goToNeighbour(job: string, by: number): void {
  const all = [...records.peek().values()].sort(newestFirst);
  const at = all.findIndex((record) => record.job === job);
  const next = at < 0 ? undefined : all[at + by];
  if (next !== undefined) navigate(urlOf([next.job]));
}
