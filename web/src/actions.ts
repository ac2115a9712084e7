/**
 * Actions that a person can run by key, command palette or help, each defined once. A page registers its actions while
 * it is shown; one listener on the window dispatches the keys.
 */
import { signal } from "@preact/signals";

export interface Action {
  readonly id: string;
  /** As the command palette and the help show it: "Jump to the end". */
  readonly title: string;
  /** Keys as typed: "n", "N", "?", "Shift+E", "Ctrl+K", "End", "Space". The first is the one shown. */
  readonly keys: readonly string[];
  readonly group: string;
  run(): void;
}

export const actions = signal<readonly Action[]>([]);

/**
 * Register actions and return a function that removes them. When two share a key, the later wins, so a dialog takes
 * keys before the page.
 */
export function register(list: readonly Action[]): () => void {
  actions.value = [...actions.value, ...list];
  return () => {
    actions.value = actions.value.filter((action) => !list.includes(action));
  };
}

/**
 * Return a key press in the form of `Action.keys`. Command counts as Ctrl; Shift is named only where the character does
 * not imply it.
 */
export function keyName(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const key = event.key === " " ? "Space" : event.key;
  const ctrl = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const alt = event.altKey ? "Alt+" : "";
  if (ctrl !== "" && key.length === 1) return `${ctrl}${alt}${event.shiftKey ? "Shift+" : ""}${key.toUpperCase()}`;
  return `${ctrl}${alt}${event.shiftKey && key.length > 1 ? "Shift+" : ""}${key}`;
}

/** Keys that also work while the focus is in a text field. */
const ALWAYS = /^(?:Escape|F\d+|Ctrl\+(?:Shift\+)?[^ACVXZ]|Alt\+.+)$/;

/** Listen for keys on the window, and return a function that stops it. */
export function listen(target: Pick<Window, "addEventListener" | "removeEventListener"> = window): () => void {
  const press = (event: Event): void => {
    if (!(event instanceof KeyboardEvent) || event.defaultPrevented || event.isComposing) return;
    const name = keyName(event);
    if (typing(event.target) && !ALWAYS.test(name)) return;
    if (pressesControl(event)) return;
    const action = actions.value.findLast((one) => one.keys.some((key) => key === name || key === `Shift+${name}`));
    if (action === undefined) return;
    event.preventDefault();
    action.run();
  };
  target.addEventListener("keydown", press);
  return () => target.removeEventListener("keydown", press);
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)
    return true;
  return (
    target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "range"].includes(target.type)
  );
}

/** Space and Enter on a button or a link belong to that control. */
function pressesControl({ key, target }: KeyboardEvent): boolean {
  return (
    (key === " " || key === "Enter") &&
    target instanceof Element &&
    target.closest("button, a[href], summary, input, [role=button]") !== null
  );
}
