import { useState } from "preact/hooks";
import { keep } from "../login/key";
import type { ViewerConfig } from "../wire/messages";

const KEY = /^lfv_[a-z0-9]{12}_[A-Za-z0-9_-]{43}$/;

export function LoginPage({ refusal }: { refusal: string | null; config: ViewerConfig }) {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    const key = typed.trim();
    if (!KEY.test(key)) {
      setWrong(
        key.startsWith("lfa_")
          ? "That is an agent's key. A viewer key begins with lfv_."
          : "A viewer key looks like lfv_, twelve characters, _ and 43 more. Was it copied whole?",
      );
      return;
    }
    setWrong(null);
    keep(key);
    // A key that was refused before may be given again, after it was mended on the other side.
    if (refusal !== null) location.reload();
  };
  const said = wrong ?? refusal;
  return (
    <main class="message login">
      <img src="./icon.svg" alt="" width="44" height="44" />
      <h1>Logferry</h1>
      <form onSubmit={submit}>
        <label for="key">Viewer key</label>
        <input
          id="key"
          class="field"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={typed}
          placeholder="lfv_…"
          aria-invalid={said !== null}
          aria-describedby="key-said"
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <p id="key-said" class="said" role="alert" data-refusal={refusal === null ? undefined : ""}>
          {said}
        </p>
        <button type="submit" class="button primary">
          Log in
        </button>
      </form>
      <p class="hint">
        Locally <code>logferry status</code> shows the address with a key in it; elsewhere whoever runs Logferry makes one with{" "}
        <code>logferry keys</code>.
      </p>
    </main>
  );
}
