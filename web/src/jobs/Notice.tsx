/** Why the list shows no jobs, and what to do next. */
import type { Problem } from "../engine/messages";

export interface ListNotice {
  readonly kind: "loading" | "empty" | "nothing" | "offline" | "forbidden" | "expired" | "failed";
  readonly title: string;
  readonly advice: string;
  /** The list below still shows the last known jobs. */
  readonly stale: boolean;
}

export function listNotice(at: {
  loaded: boolean;
  problem: Problem | null;
  count: number;
  matching: number;
  typed: string;
}): ListNotice | null {
  const stale = at.count > 0;
  if (at.problem !== null) {
    const { status, message } = at.problem;
    if (status === 401) {
      return {
        kind: "expired",
        title: "Your session has ended",
        advice: "Log in again; the list below stays as it is.",
        stale,
      };
    }
    if (status === 403) {
      return {
        kind: "forbidden",
        title: "You may not list jobs",
        advice: `${message} Ask the operator of this Logferry for access, or log in with another key.`,
        stale,
      };
    }
    if (status === 0) {
      return {
        kind: "offline",
        title: "The service cannot be reached",
        advice: `Check this machine's network. The viewer tries again every few seconds${stale ? "; the list below is the last known one." : "."}`,
        stale,
      };
    }
    return {
      kind: "failed",
      title: "The list could not be read",
      advice: `${message} The viewer tries again every few seconds.`,
      stale,
    };
  }
  if (!at.loaded && !stale) return { kind: "loading", title: "Loading jobs…", advice: "", stale };
  if (at.loaded && at.count === 0) {
    return {
      kind: "empty",
      title: "No jobs yet",
      advice:
        "A job appears here as soon as an agent sees a container. Start an agent on a Docker host, then any container:",
      stale,
    };
  }
  if (at.matching === 0) {
    return { kind: "nothing", title: "No job matches", advice: `No job matches “${at.typed.trim()}”.`, stale };
  }
  return null;
}

export function Notice({ notice, clear }: { notice: ListNotice; clear(): void }) {
  const grave =
    notice.kind === "expired" || notice.kind === "forbidden" || notice.kind === "failed" || notice.kind === "offline";
  if (notice.kind === "loading") return <Skeleton title={notice.title} />;
  return (
    <section
      class={notice.stale && grave ? "jobs-notice stale" : "jobs-notice"}
      data-notice={notice.kind}
      role={grave ? "alert" : "status"}
    >
      <h2>{notice.title}</h2>
      {notice.advice !== "" && <p>{notice.advice}</p>}
      {notice.kind === "empty" && <pre>{"logferry agent\ndocker run --rm hello-world"}</pre>}
      {notice.kind === "nothing" && (
        <button type="button" class="button" onClick={clear}>
          Clear the filter
        </button>
      )}
      {(notice.kind === "expired" || notice.kind === "forbidden") && (
        <button type="button" class="button" onClick={() => dispatchEvent(new CustomEvent("logferry:login"))}>
          Log in
        </button>
      )}
      {(notice.kind === "offline" || notice.kind === "failed") && (
        <button type="button" class="button" onClick={() => location.reload()}>
          Reload the page
        </button>
      )}
    </section>
  );
}

/** The shape of the list while it loads. */
function Skeleton({ title }: { title: string }) {
  return (
    <section class="jobs-skeleton" data-notice="loading" role="status" aria-label={title}>
      <span class="visually-hidden">{title}</span>
      {Array.from({ length: 8 }, (_, at) => (
        <div key={at} aria-hidden="true">
          <span />
          <span />
          <span />
        </div>
      ))}
    </section>
  );
}
