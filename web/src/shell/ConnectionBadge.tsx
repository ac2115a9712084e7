/** The connection's state as a word, for people and (`data-connection-state`) for tests. */
import { connection, now } from "../state";

export function ConnectionBadge() {
  const state = connection.value;
  const seconds = state.kind === "waiting" ? Math.max(0, Math.ceil((state.until - now.value) / 1000)) : 0;
  const words = {
    idle: "Not connected",
    connecting: state.kind === "connecting" && state.attempt > 1 ? "Reconnecting" : "Connecting",
    open: "Connected",
    waiting: seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting",
    refused: "Refused",
  }[state.kind];
  return (
    <span class={`badge connection ${state.kind}`} data-connection-state={state.kind} role="status">
      <span class="dot" aria-hidden="true" />
      {words}
    </span>
  );
}
