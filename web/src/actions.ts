/**
 * What can be done here, by key, palette or help, said once. Pages register what they can do while they are shown; one listener
 * on the window dispatches the keys.
 */
import { signal } from "@preact/signals";

export interface Action {
  readonly id: string;
  /** As the palette and the help say it: "Jump to the end". */
  readonly title: string;
  /** As typed: "n", "N", "?", "Shift+E", "Ctrl+K", "End", "Space". The first is the one shown. */
  readonly keys: readonly string[];
  readonly group: string;
  run(): void;
}

export const actions = signal<readonly Action[]>([]);

/** Of two actions with one key the later registered has it: a dialog goes before the page. Returns how to take them back. */
export function register(list: readonly Action[]): () => void {
  actions.value = [...actions.value, ...list];
  return () => {
    actions.value = actions.value.filter((action) => !list.includes(action));
  };
}

/** A key press as `Action.keys` writes it. Command counts as Ctrl; Shift is told only where the character does not tell it. */
export function keyName(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const key = event.key === " " ? "Space" : event.key;
  const ctrl = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const alt = event.altKey ? "Alt+" : "";
  if (ctrl !== "" && key.length === 1) return `${ctrl}${alt}${event.shiftKey ? "Shift+" : ""}${key.toUpperCase()}`;
  return `${ctrl}${alt}${event.shiftKey && key.length > 1 ? "Shift+" : ""}${key}`;
}

/** Keys that work while one types, too. */
const ALWAYS = /^(?:Escape|F\d+|Ctrl\+(?:Shift\+)?[^ACVXZ]|Alt\+.+)$/;

/** The one listener. Returns how to take it off. */
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

/** Space and Enter on a button or a link are the button's. */
function pressesControl({ key, target }: KeyboardEvent): boolean {
  return (
    (key === " " || key === "Enter") &&
    target instanceof Element &&
    target.closest("button, a[href], summary, input, [role=button]") !== null
  );
}
