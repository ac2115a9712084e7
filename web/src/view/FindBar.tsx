/** Search and filter: the field, its switches, the count, and the way from match to match. */
import type { Ref } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Query } from "../index/segment";
import type { JobView } from "./jobview";

const TYPING_MS = 140;

export function FindBar({ view, field }: { view: JobView; field: Ref<HTMLInputElement> }) {
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
  const tip = view.facts?.tip ?? 0;
  let said = "";
  if (problem !== null) said = problem;
  else if (view.find.searching.value) said = "Searching";
  else if (found !== null) {
    said = count === 0 ? "No match" : at >= 0 ? `${(at + 1).toLocaleString("en")} of ${count.toLocaleString("en")}` : count.toLocaleString("en");
    if (found.lines < tip) said += ` in ${Math.floor((found.lines / tip) * 100)} % read`;
  }
  const toggle = (label: string, title: string, on: boolean, act: () => void) => (
    <button type="button" class="button switch" aria-pressed={on} title={title} aria-label={title} onClick={act}>
      {label}
    </button>
  );
  return (
    <search class="find">
      <input
        ref={field}
        class="field"
        type="search"
        placeholder="Search  /"
        aria-label="Search this job"
        aria-invalid={problem !== null}
        spellcheck={false}
        value={text}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            if (text !== view.find.query.peek().text) change({ text });
            else view.step(event.shiftKey ? 1 : -1);
          } else if (event.key === "Escape") {
            if (text === "") view.pane?.focus();
            else type("");
          }
        }}
      />
      {toggle("Aa", "Match case", query.matchCase, () => change({ matchCase: !query.matchCase }))}
      {toggle("W", "Whole word", query.word, () => change({ word: !query.word }))}
      {toggle(".*", "Regular expression", query.regex, () => change({ regex: !query.regex }))}
      {toggle("▽", "Show matching lines only", filtering, () => change({}, !filtering))}
      <span class="found" role="status" data-found={found === null ? undefined : count} data-lines={found?.lines} data-ms={found?.ms} data-query={found === null ? undefined : view.find.foundFor.value} data-problem={problem === null ? undefined : ""}>
        {said}
      </span>
      <button type="button" class="button switch" aria-label="Previous match" disabled={count === 0} onClick={() => view.step(-1)}>
        ↑
      </button>
      <button type="button" class="button switch" aria-label="Next match" disabled={count === 0} onClick={() => view.step(1)}>
        ↓
      </button>
    </search>
  );
}
