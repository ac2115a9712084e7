/** The command palette: type a few letters, press Enter. It finds jobs as well as commands. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Action, actions } from "../actions";
import { newestFirst } from "../jobs/record";
import { navigate, urlOf } from "../route";
import { records } from "../state";
import { Keys } from "./Help";
import { rank } from "./rank";
import "./palette.css";

const MAX_SHOWN = 50;

export function Palette({ close }: { close(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const typed = useSignal("");
  const at = useSignal(0);
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const found = matchingActions(typed.value, actions.value);
  const chosen = Math.max(0, Math.min(at.value, found.length - 1));
  useLayoutEffect(() => {
    dialog.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen, typed.value]);
  const run = (action: Action | undefined): void => {
    if (action === undefined) return;
    close();
    // Run after the dialog has returned the focus, so that the action may move it.
    setTimeout(() => action.run());
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") at.value = (chosen + 1) % Math.max(1, found.length);
    else if (event.key === "ArrowUp") at.value = (chosen + found.length - 1) % Math.max(1, found.length);
    else if (event.key === "Enter") run(found[chosen]);
    else if (event.key === "Escape" || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) close();
    else {
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <dialog
      class="palette"
      ref={dialog}
      aria-label="Commands"
      onKeyDown={press}
      onCancel={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <input
        class="field"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length > 0 ? `palette-${chosen}` : undefined}
        aria-label="Find a command or a job"
        placeholder="Find a command or a job"
        autocomplete="off"
        spellcheck={false}
        autofocus
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          at.value = 0;
        }}
      />
      <ul id="palette-list" role="listbox" aria-label="Commands">
        {found.map((action, index) => (
          <li
            key={action.id}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => run(action)}
          >
            <span class="palette-title">{action.title}</span>
            <span class="palette-group">{action.group}</span>
            <Keys keys={action.keys.slice(0, 1)} />
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="palette-none">No command or job matches.</p>}
    </dialog>
  );
}

function matchingActions(typed: string, known: readonly Action[]): Action[] {
  const ranked: { action: Action; score: number }[] = [];
  const seen = new Set<string>(["palette"]);
  for (const action of known) {
    const score = seen.has(action.id) ? null : rank(typed, action.title);
    seen.add(action.id);
    if (score !== null) ranked.push({ action, score });
  }
  if (typed.trim() !== "") {
    for (const record of records.value.values()) {
      const { name, project } = record.container;
      const score = rank(typed, name);
      if (score !== null)
        ranked.push({
          action: jobAction(record.job, project === null ? name : `${name} (${project})`),
          score: score - 100,
        });
    }
    ranked.sort((one, other) => other.score - one.score);
  } else {
    const recent = [...records.value.values()].sort(newestFirst).slice(0, 10);
    for (const record of recent) ranked.push({ action: jobAction(record.job, record.container.name), score: 0 });
  }
  return ranked.slice(0, MAX_SHOWN).map(({ action }) => action);
}

function jobAction(job: string, name: string): Action {
  return { id: `job ${job}`, title: name, keys: [], group: "Job", run: () => navigate(urlOf([job])) };
}
