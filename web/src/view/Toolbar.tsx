/** What else can be done with a job's lines: leave streams out, go to errors and times, take lines away. */
import { useRef, useState } from "preact/hooks";
import type { JobView } from "./jobview";

export function Toolbar({ view }: { view: JobView }) {
  const query = view.find.query.value;
  const errors = view.find.errors.value.length;
  const [note, setNote] = useState("");
  const menu = useRef<HTMLDetailsElement>(null);
  const hide = (stream: "stdout" | "stderr" | "frames"): void => {
    const hidden = query.hide.includes(stream) ? query.hide.filter((one) => one !== stream) : [...query.hide, stream];
    view.search({ ...query, hide: hidden }, view.find.filtering.peek());
  };
  const act = (step: () => Promise<unknown>, done: string): void => {
    if (menu.current) menu.current.open = false;
    step().then(
      () => setNote(done),
      (error: unknown) => setNote(error instanceof Error ? error.message : String(error)),
    );
    setTimeout(() => setNote(""), 4_000);
  };
  const jump = (event: Event & { currentTarget: HTMLFormElement }): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get("to");
    const place = placeOf(typeof given === "string" ? given.trim() : "");
    if (place === null) setNote("A line's number, or a time like 14:05:10 or 2026-11-23 14:05.");
    else if (place.sequence !== null) view.go(Math.min(place.sequence, view.facts?.tip ?? 1));
    else void view.goTime(place.time * 1000);
    if (place !== null && menu.current) menu.current.open = false;
  };
  return (
    <div class="actions" role="toolbar" aria-label="Lines">
      <button type="button" class="button switch stream-out" aria-pressed={!query.hide.includes("stdout")} onClick={() => hide("stdout")}>
        stdout
      </button>
      <button type="button" class="button switch stream-err" aria-pressed={!query.hide.includes("stderr")} onClick={() => hide("stderr")}>
        stderr
      </button>
      <button
        type="button"
        class="button switch"
        aria-pressed={query.hide.includes("frames")}
        title="Leave out the frames of stack traces; their heads stay"
        onClick={() => hide("frames")}
      >
        fold traces
      </button>
      <select
        class="field"
        aria-label="Least level shown"
        value={query.level}
        onChange={(event) => view.search({ ...query, level: Number(event.currentTarget.value) }, view.find.filtering.peek())}
      >
        <option value={0}>every level</option>
        <option value={3}>info and above</option>
        <option value={4}>warnings and above</option>
        <option value={5}>errors</option>
      </select>
      <span class="pair" role="group" aria-label="Errors">
        <button type="button" class="button switch" disabled={errors === 0} aria-label="Previous error" onClick={() => view.stepError(-1)}>
          ↑
        </button>
        <span class="count" data-errors={errors} data-indexed={view.find.indexedLines.value}>
          {errors.toLocaleString("en")} {errors === 1 ? "error" : "errors"}
        </span>
        <button type="button" class="button switch" disabled={errors === 0} aria-label="Next error" onClick={() => view.stepError(1)}>
          ↓
        </button>
      </span>
      <details class="menu" ref={menu}>
        <summary class="button">Lines</summary>
        <div class="sheet">
          <form onSubmit={jump} class="jump">
            <input class="field" name="to" aria-label="Go to a line or a time" placeholder="Go to line or time" />
            <button class="button">Go</button>
          </form>
          <button type="button" class="item" onClick={() => view.go(1)}>
            To the first line
          </button>
          <button type="button" class="item" onClick={() => act(() => navigator.clipboard.writeText(view.link), "Link copied")}>
            Copy link to this place
          </button>
          <button type="button" class="item" onClick={() => act(() => view.copy(false), "Copied")}>
            Copy marked lines
          </button>
          <button type="button" class="item" onClick={() => act(() => view.copy(true), "Copied")}>
            Copy marked lines with times
          </button>
          <hr />
          <button type="button" class="item" data-save="text" onClick={() => act(() => view.save("text", false), "Saved")}>
            Download all as text
          </button>
          <button type="button" class="item" data-save="jsonl" onClick={() => act(() => view.save("jsonl", false), "Saved")}>
            Download all as JSON lines
          </button>
          <button type="button" class="item" data-save="filtered" disabled={view.find.found.value === null} onClick={() => act(() => view.save("text", true), "Saved")}>
            Download what was found
          </button>
        </div>
      </details>
      <span class="note" role="status">
        {note}
      </span>
    </div>
  );
}

/** A number is a line; anything with a colon or a dash is a time, of today if it has no day, in the reader's zone. */
export function placeOf(text: string, today = new Date()): { sequence: number; time: null } | { sequence: null; time: number } | null {
  const digits = text.replace(/[\s,_]/g, "");
  if (/^[1-9]\d{0,14}$/.test(digits)) return { sequence: Number(digits), time: null };
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  if (clock !== null) {
    const at = new Date(today);
    at.setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0), 0);
    return { sequence: null, time: at.getTime() };
  }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text.includes("T") ? text : text.replace(" ", "T")) : Number.NaN;
  return Number.isNaN(time) ? null : { sequence: null, time };
}
