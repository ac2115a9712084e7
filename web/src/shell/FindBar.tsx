/** Search and filter: the field, its options, the count, and buttons for the next and previous match. */
import type { ComponentChildren, Ref } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Query } from "../index/query";
import type { Searchable } from "../search/searchController";
import { Icon } from "../ui/Icon";

const TYPING_MS = 140;

/** Return a share as "45 %", and never 100 before it is complete. */
function percent(part: number, whole: number): string {
  return `${Math.floor((part / Math.max(1, whole)) * 100)} %`;
}

export function FindBar({
  view,
  field,
  hint = "Search the whole job   /",
}: {
  view: Searchable;
  field: Ref<HTMLInputElement>;
  hint?: string;
}) {
  const query = view.find.query.value;
  const filtering = view.find.filtering.value;
  const [text, setText] = useState(query.text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const change = (part: Partial<Query>, filter = filtering): void => {
    clearTimeout(timer.current);
    view.search({ ...view.find.query.peek(), text, ...part }, filter);
  };
  const type = (value: string): void => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ text: value }), TYPING_MS);
  };
  const found = view.find.found.value;
  const problem = view.find.problem.value;
  const count = view.find.count.value;
  const at = view.find.at.value;
  const all = view.find.length;
  const remote = view.find.progress.value;
  let said = "";
  if (problem !== null) said = problem;
  else if (view.find.searching.value) said = "Searching";
  else if (found !== null) {
    said =
      count === 0
        ? "No match"
        : at >= 0
          ? `${(at + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`
          : count.toLocaleString("en");
    const covered = percent(Math.min(all, found.lines + (remote?.covered ?? 0)), all);
    if (remote?.state === "full") said += ", and more in older lines";
    else if (remote?.state === "failed" && remote.missed === "") said += " in loaded lines";
    else if (remote?.state === "searching") said += ` · searching, ${covered}`;
    else if (view.find.unsure.value) said += ` · ${view.find.loading.value ? "loading" : "reading"}, ${covered}`;
    const reason = view.find.reason.value;
    if (reason !== null && view.find.unsure.value) said += `: ${reason}`;
    if (remote !== null && remote.unsearched > 0)
      said += `, ${remote.unsearched.toLocaleString("en")} too long or damaged`;
    if (remote !== null && remote.missed !== "") said += `, not all of ${remote.missed}`;
  }
  const beyond = remote?.state === "failed" || remote?.state === "full" ? remote : null;
  const toggle = (label: ComponentChildren, title: string, on: boolean, act: () => void) => (
    <button type="button" class="button switch" aria-pressed={on} title={title} aria-label={title} onClick={act}>
      {label}
    </button>
  );
  return (
    <search class="find">
      <span class="find-box">
        <input
          ref={field}
          class="field"
          type="search"
          placeholder={hint}
          aria-label="Search this job"
          aria-invalid={problem !== null}
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => type(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              if (text !== view.find.query.peek().text) change({ text });
              else view.step(event.shiftKey ? 1 : -1);
            } else if (event.key === "Escape") {
              if (text === "") view.focus();
              else type("");
            }
          }}
        />
        {toggle("Aa", "Match case", query.matchCase, () => change({ matchCase: !query.matchCase }))}
        {toggle(<span class="whole-word" aria-hidden="true" />, "Whole word", query.word, () =>
          change({ word: !query.word }),
        )}
        {toggle(".*", "Regular expression", query.regex, () => change({ regex: !query.regex }))}
      </span>
      {toggle(<Icon name="filter" />, "Show only matching lines", filtering, () => change({}, !filtering))}
      <span class="group" role="group" aria-label="Matches">
        <button
          type="button"
          class="button switch"
          title="Previous match (N)"
          aria-label="Previous match"
          disabled={count === 0}
          onClick={() => view.step(-1)}
        >
          <Icon name="up" />
        </button>
        <button
          type="button"
          class="button switch"
          title="Next match (n)"
          aria-label="Next match"
          disabled={count === 0}
          onClick={() => view.step(1)}
        >
          <Icon name="down" />
        </button>
      </span>
      <span
        class="found"
        role="status"
        title={remote?.message || undefined}
        data-found={found === null ? undefined : count}
        data-lines={found?.lines}
        data-ms={found?.ms}
        data-query={found === null ? undefined : view.find.foundFor.value}
        data-problem={problem === null ? undefined : ""}
      >
        {said}
      </span>
      {beyond !== null && (
        <button
          type="button"
          class="button small"
          title={beyond.message || "The service found only the newest matches; load all lines to find the others"}
          onClick={() => view.find.loadAll()}
        >
          {beyond.state === "failed" ? "Load the rest" : "Load all"}
        </button>
      )}
    </search>
  );
}
