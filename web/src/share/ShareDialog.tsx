/** Share links of one job: create, copy, list and revoke. */
import { useEffect, useState } from "preact/hooks";
import { token } from "../login/key";
import { urlOf } from "../route";
import { now } from "../state";
import { ago, durationText, fullTime } from "../text/time";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { Api, ApiError } from "../wire/api";
import { createShare, listShares, revokeShare, type Share, shareStatus } from "./api";
import "./share.css";

const DAY_S = 86_400;
const LIVES: readonly (readonly [seconds: number, words: string])[] = [
  [3_600, "1 hour"],
  [DAY_S, "1 day"],
  [7 * DAY_S, "7 days"],
  [30 * DAY_S, "30 days"],
  [90 * DAY_S, "90 days"],
];
const MAX_NOTE_CHARS = 200;

export interface ShareProperties {
  readonly job: string;
  readonly name: string;
  readonly api: string;
  /** Marked lines that the link may lead to. */
  readonly marked: { first: number; last: number } | null;
  close(): void;
}

export function ShareDialog({ job, name, api, marked, close }: ShareProperties) {
  const [shares, setShares] = useState<readonly Share[] | null>(null);
  const [life, setLife] = useState(7 * DAY_S);
  const [note, setNote] = useState("");
  const [atLines, setAtLines] = useState(marked !== null);
  const [link, setLink] = useState<{ url: string; share: Share } | null>(null);
  const [copied, setCopied] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [sure, setSure] = useState<string | null>(null);
  const service = (): Api => new Api(api, token.peek() ?? "");

  const attempt = (step: () => Promise<void>): void => {
    setProblem(null);
    setBusy(true);
    step()
      .catch((error: unknown) => setProblem(errorText(error)))
      .finally(() => setBusy(false));
  };
  const load = async (): Promise<void> => setShares(await listShares(service(), job));
  useEffect(() => attempt(load), [job, api]);

  const create = (event: Event): void => {
    event.preventDefault();
    attempt(async () => {
      const { secret, ...share } = await createShare(service(), job, life, note.trim());
      const lines = marked !== null && atLines;
      // The key is in the fragment, which browsers do not send.
      setLink({
        url: new URL(
          `${urlOf([job], lines ? marked.first : null, lines ? marked.last : null)}#key=${secret}`,
          location.href,
        ).href,
        share,
      });
      setCopied(false);
      setNote("");
      setShares((known) => [share, ...(known ?? [])]);
    });
  };
  const revoke = (id: string): void => {
    if (sure !== id) {
      setSure(id);
      return;
    }
    setSure(null);
    attempt(async () => {
      const revoked = await revokeShare(service(), id);
      setShares((known) => (known ?? []).map((one) => (one.share === id ? revoked : one)));
      if (link?.share.share === id) setLink(null);
    });
  };
  const copy = (): void => {
    navigator.clipboard.writeText(link?.url ?? "").then(
      () => setCopied(true),
      () => setProblem("The browser refused to copy. Select the link and copy it."),
    );
  };

  return (
    <Dialog title={`Share ${name}`} close={close} class="share">
      <p class="soft">
        Anyone with the link can read this job, live, without an account, and nothing else. The link expires, or ends
        when you revoke it.
      </p>
      <form onSubmit={create}>
        <div class="dialog-row">
          <label>
            Valid for
            <select class="field" value={life} onChange={(event) => setLife(Number(event.currentTarget.value))}>
              {LIVES.map(([seconds, words]) => (
                <option key={seconds} value={seconds}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          <label class="share-note">
            Note (shown in the list below)
            <input
              class="field"
              maxLength={MAX_NOTE_CHARS}
              value={note}
              placeholder="for the database team"
              onInput={(event) => setNote(event.currentTarget.value)}
            />
          </label>
        </div>
        {marked !== null && (
          <label class="share-lines">
            <input type="checkbox" checked={atLines} onChange={(event) => setAtLines(event.currentTarget.checked)} />
            {marked.first === marked.last
              ? `Open at line ${marked.first.toLocaleString("en")}`
              : `Open at lines ${marked.first.toLocaleString("en")} to ${marked.last.toLocaleString("en")}`}
          </label>
        )}
        <div class="dialog-end">
          <button type="submit" class="button primary" disabled={busy}>
            Create a link
          </button>
        </div>
      </form>
      {link !== null && (
        <div class="share-new" role="group" aria-label="The new link">
          <div class="dialog-row">
            <input
              class="field"
              readOnly
              aria-label="Share link"
              value={link.url}
              onFocus={(event) => event.currentTarget.select()}
              data-share-link
            />
            <button type="button" class="button primary" onClick={copy}>
              <Icon name="copy" /> {copied ? "Copied" : "Copy"}
            </button>
          </div>
          <p class="soft">
            Copy it now: the link cannot be shown again. It is valid until {dateText(link.share.expires)}.
          </p>
        </div>
      )}
      <p class="dialog-said" role="status" data-bad={problem === null ? undefined : ""}>
        {problem ?? (copied ? "Link copied to the clipboard." : "")}
      </p>
      <h3>Links of this job</h3>
      {shares === null ? (
        <p class="soft">{problem === null ? "Loading…" : "The list could not be read."}</p>
      ) : shares.length === 0 ? (
        <p class="soft">None yet. The first one you create appears here.</p>
      ) : (
        <ul class="shares">
          {shares.map((share) => {
            const status = shareStatus(share, now.value);
            return (
              <li key={share.share} data-share={share.share} data-status={status}>
                <span class="share-what">
                  <strong>{share.note || "No note"}</strong>
                  <span class="soft">
                    by {share.principal || "somebody"}, {ago(now.value - share.created)}
                  </span>
                </span>
                <span class="share-status">
                  {status === "works" ? (
                    <span title={`in ${durationText(share.expires - now.value)}`}>
                      until {dateText(share.expires).slice(0, 16)}
                    </span>
                  ) : (
                    <span class="soft">
                      {status === "revoked"
                        ? `revoked ${ago(now.value - (share.revoked ?? 0))}`
                        : `ended ${ago(now.value - share.expires)}`}
                    </span>
                  )}
                </span>
                {status === "works" && (
                  <button
                    type="button"
                    class={`button small ${sure === share.share ? "danger" : ""}`}
                    disabled={busy}
                    onClick={() => revoke(share.share)}
                    onBlur={() => setSure(null)}
                  >
                    {sure === share.share ? "Confirm revoke" : "Revoke"}
                  </button>
                )}
              </li>
            );
          })}
        </ul>
      )}
    </Dialog>
  );
}

function dateText(ms: number): string {
  return fullTime(ms * 1000, "local")
    .replace("T", " ")
    .replace(/\.\d+/, " ");
}

function errorText(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return "The service cannot be reached. Check the network and try again.";
    if (error.status === 401) return "Your session has ended: log in again, then share.";
    return error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
