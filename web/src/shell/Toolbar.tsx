/** Tools for a job's lines: filters, errors, go to a line or time. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { JobView } from "../jobPage/jobView";
import { type Searchable, toggleHidden } from "../search/searchController";
import { settings } from "../settings";
import { formatTime } from "../text/time";
import { Icon } from "../ui/Icon";

export function Toolbar({ view }: { view: JobView }) {
  const [note, say] = useNote();
  return (
    <div class="actions" role="toolbar" aria-label="Lines">
      <LineFilters view={view} />
      <GoTo view={view} say={say} />
      <span class="note" role="status">
        {note}
      </span>
    </div>
  );
}

/** A view in which lines can be marked. */
export interface Markable {
  /** Which lines are marked; null when none are. */
  readonly markedWords: string | null;
  /** Time of the first marked line, µs, where it is known. */
  readonly markedTime: number | null;
  readonly link: string;
  copy(withTime: boolean): Promise<unknown>;
  unmark(): void;
}

/** Tools for the marked lines, above the pane so that marking a line moves nothing. */
export function MarkedToolbar({ view }: { view: Markable }) {
  const words = view.markedWords;
  const [note, say] = useNote();
  if (words === null) return null;
  const time = view.markedTime;
  const act = (step: () => Promise<unknown>, done: string): void => {
    step().then(
      () => say(done),
      (error: unknown) => say(error instanceof Error ? error.message : String(error)),
    );
  };
  return (
    <div class="marked-toolbar group" role="toolbar" aria-label="Marked lines">
      <span class="count" role="status">
        {note !== "" ? note : words}
        {note === "" && time !== null && ` · ${formatTime(time, settings.timeMode.value === "utc" ? "utc" : "local")}`}
      </span>
      <button
        type="button"
        class="button switch"
        title="Copy the marked lines (y; with times: Y)"
        onClick={() => act(() => view.copy(false), "Copied")}
      >
        <Icon name="copy" /> Copy
      </button>
      <button
        type="button"
        class="button switch"
        title="Copy a link to the marked lines (l)"
        onClick={() => act(() => navigator.clipboard.writeText(view.link), "Link copied")}
      >
        <Icon name="link" /> Link
      </button>
      <button
        type="button"
        class="button switch square"
        aria-label="Unmark the lines"
        title="Unmark the lines (Escape)"
        onClick={() => view.unmark()}
      >
        <Icon name="close" />
      </button>
    </div>
  );
}

/** Return a note that disappears after a while, and a function that sets it. */
function useNote(): [note: string, say: (words: string) => void] {
  const [note, setNote] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (words: string): void => {
    setNote(words);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setNote(""), 4_000);
  };
  return [note, say];
}

/** Filters by stream and level, and buttons for the next and previous error. */
export function LineFilters({ view }: { view: Searchable }) {
  const query = view.find.query.value;
  const errors = view.find.errors.value.length;
  const asking = view.find.errorsProgress.value?.state === "searching";
  return (
    <>
      <span class="group" role="group" aria-label="Streams">
        <button
          type="button"
          class="button switch stream-out"
          aria-pressed={!query.hide.includes("stdout")}
          title="Show stdout (1)"
          onClick={() => toggleHidden(view, "stdout")}
        >
          stdout
        </button>
        <button
          type="button"
          class="button switch stream-err"
          aria-pressed={!query.hide.includes("stderr")}
          title="Show stderr (2)"
          onClick={() => toggleHidden(view, "stderr")}
        >
          stderr
        </button>
        <button
          type="button"
          class="button switch"
          aria-pressed={query.hide.includes("frames")}
          title="Hide the frames of stack traces; their first lines stay (3)"
          onClick={() => toggleHidden(view, "frames")}
        >
          <Icon name="fold" /> Fold traces
        </button>
      </span>
      <select
        class="field"
        aria-label="Lowest level shown"
        value={query.level}
        onChange={(event) =>
          view.search({ ...query, level: Number(event.currentTarget.value) }, view.find.filtering.peek())
        }
      >
        <option value={0}>Every level</option>
        <option value={3}>Info and above</option>
        <option value={4}>Warnings and above</option>
        <option value={5}>Errors</option>
      </select>
      <span class="group" role="group" aria-label="Errors">
        <button
          type="button"
          class="button switch"
          disabled={errors === 0}
          title="Previous error (E)"
          aria-label="Previous error"
          onClick={() => view.stepError(-1)}
        >
          <Icon name="up" />
        </button>
        <span
          class="count"
          data-errors={errors}
          data-indexed={view.find.indexedLines.value}
          data-some={errors > 0 ? "" : undefined}
        >
          {view.find.indexedLines.value === 0
            ? "Errors"
            : `${errors.toLocaleString("en")} ${errors === 1 ? "error" : "errors"}`}
          {asking && "…"}
        </span>
        <button
          type="button"
          class="button switch"
          disabled={errors === 0}
          title="Next error (e)"
          aria-label="Next error"
          onClick={() => view.stepError(1)}
        >
          <Icon name="down" />
        </button>
      </span>
    </>
  );
}

function GoTo({ view, say }: { view: JobView; say(words: string): void }) {
  const menu = useRef<HTMLDetailsElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState(false);
  const close = (): void => {
    if (menu.current) menu.current.open = false;
  };
  useEffect(() => {
    const leave = (event: Event): void => {
      if (menu.current?.open !== true) return;
      if (
        event instanceof KeyboardEvent
          ? event.key === "Escape"
          : !(event.target instanceof Node && menu.current.contains(event.target))
      )
        menu.current.open = false;
    };
    addEventListener("pointerdown", leave);
    addEventListener("keydown", leave);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("keydown", leave);
    };
  }, []);
  const jump = (event: Event & { currentTarget: HTMLFormElement }): void => {
    event.preventDefault();
    const target = parseTarget(field.current?.value.trim() ?? "");
    setWrong(target === null);
    if (target === null) return;
    close();
    if (target.sequence !== null) view.go(Math.min(target.sequence, view.facts?.tip ?? 1));
    else
      view
        .goTime(target.time * 1000)
        .catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
  };
  const go = (step: () => void) => () => {
    close();
    step();
  };
  return (
    <details
      class="menu"
      ref={menu}
      data-goto
      onToggle={(event) => {
        if (event.currentTarget.open) field.current?.select();
      }}
    >
      <summary class="button switch" title="Go to a line or a time (:)">
        <Icon name="goto" /> Go to
      </summary>
      <div class="menu-panel">
        <form onSubmit={jump} class="jump">
          <input
            ref={field}
            class="field"
            name="to"
            aria-label="Go to a line or a time"
            aria-invalid={wrong}
            placeholder="Line or time"
            autocomplete="off"
            onKeyDown={(event) => event.key !== "Escape" && event.stopPropagation()}
          />
          <button type="submit" class="button">
            Go
          </button>
        </form>
        <p class={wrong ? "menu-hint wrong" : "menu-hint"}>1200 · 14:05:10 · 2026-11-23 14:05 · 2026-11-23T14:05Z</p>
        <hr />
        <button type="button" class="item" onClick={go(() => view.go(1))}>
          First line <kbd>g</kbd>
        </button>
        <button type="button" class="item" onClick={go(() => view.pane?.follow())}>
          Last line, and follow <kbd>G</kbd>
        </button>
        <button
          type="button"
          class="item"
          disabled={view.find.errors.value.length === 0}
          onClick={go(() => view.firstError())}
        >
          First error
        </button>
      </div>
    </details>
  );
}

/**
 * Parse a target. A number is a line. Text with a colon or a dash is a time in the reader's zone, of today if it has no
 * date.
 */
export function parseTarget(
  text: string,
  today = new Date(),
): { sequence: number; time: null } | { sequence: null; time: number } | null {
  const digits = text.replace(/[\s,_]/g, "");
  if (/^[1-9]\d{0,14}$/.test(digits)) return { sequence: Number(digits), time: null };
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  if (clock !== null) {
    const at = new Date(today);
    at.setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0), 0);
    return { sequence: null, time: at.getTime() };
  }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(text.includes("T") ? text : text.replace(" ", "T"))
    : Number.NaN;
  return Number.isNaN(time) ? null : { sequence: null, time };
}
