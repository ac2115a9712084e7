/** The keyboard shortcuts by group, shown on `?`. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Action, actions } from "../actions";
import "./palette.css";

export function Help({ close }: { close(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const groups = new Map<string, Action[]>();
  for (const action of actions.value) {
    if (action.keys.length === 0) continue;
    const members = groups.get(action.group);
    if (members === undefined) groups.set(action.group, [action]);
    else members.push(action);
  }
  return (
    <dialog
      class="help"
      ref={dialog}
      aria-labelledby="help-title"
      onCancel={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <header>
        <h2 id="help-title">Keyboard shortcuts</h2>
        <button type="button" class="button quiet" onClick={close}>
          Close
        </button>
      </header>
      <div class="help-groups" tabIndex={0} role="region" aria-label="All keyboard shortcuts">
        {[...groups].map(([group, members]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {members.map((action) => (
                <div key={action.id}>
                  <dt>
                    <Keys keys={action.keys} />
                  </dt>
                  <dd>{action.title}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}

export function Keys({ keys }: { keys: readonly string[] }) {
  return (
    <span class="keys">
      {keys.map((key) => (
        <kbd key={key}>{key.replace("ArrowDown", "↓").replace("ArrowUp", "↑")}</kbd>
      ))}
    </span>
  );
}
