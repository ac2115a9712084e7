/**
 * The dialog that downloads or copies lines: which lines, which format, which times, with progress and a Cancel button.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { SaveFormat } from "../engine/messages";
import type { Query } from "../index/query";
import { countText } from "../jobs/count";
import { settings } from "../settings";
import { TIME_NAMES } from "../settings/SettingsMenu";
import { TIME_MODES, type TimeMode } from "../text/time";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { copyText, type Exportable, type ExportScope, saveAs } from "./clipboardAndSave";

/** Show the export dialog. `whole` names what all lines are of; `modes` are the time formats to offer. */
export function ExportDialog({
  view,
  name,
  close,
  whole = "The whole job",
  modes = TIME_MODES,
}: {
  view: Exportable;
  name: string;
  close(): void;
  whole?: string;
  modes?: readonly TimeMode[];
}) {
  const query = view.find.query.peek();
  const filtered = queryText(query);
  const marked = view.marked;
  const [what, setWhat] = useState<ExportScope>(filtered !== "" ? "filtered" : marked !== null ? "marked" : "all");
  const [format, setFormat] = useState<SaveFormat>("text");
  const [done, setDone] = useState<{ done: number; of: number } | null>(null);
  const [said, setSaid] = useState<{ words: string; bad: boolean }>({ words: "", bad: false });
  const ending = useRef<AbortController | null>(null);
  useEffect(() => () => ending.current?.abort(), []);
  const time = modes.includes(settings.timeMode.value) ? settings.timeMode.value : "local";
  const total = view.entries;

  const run = (use: (blob: Promise<Blob>) => Promise<string>): void => {
    const controller = new AbortController();
    ending.current = controller;
    setDone({ done: 0, of: 0 });
    setSaid({ words: "", bad: false });
    const blob = view.exportLines(what, format, time, (done, of) => setDone({ done, of }), controller.signal);
    use(blob)
      .then((words) => setSaid({ words, bad: false }))
      .catch((error: unknown) =>
        setSaid(
          controller.signal.aborted
            ? { words: "Cancelled.", bad: false }
            : { words: error instanceof Error ? error.message : String(error), bad: true },
        ),
      )
      .finally(() => setDone(null));
  };
  const download = (): void =>
    run(async (coming) => {
      const blob = await coming;
      const file = fileName(name, what, marked?.file ?? "", format);
      saveAs(blob, file);
      return `${file}, ${countText(blob.size)}B, was saved to your downloads.`;
    });
  const copy = (): void =>
    run(async (coming) => {
      await copyText(coming);
      return `${countText((await coming).size)}B copied to the clipboard.`;
    });

  const option = (value: ExportScope, title: string, more: string, disabled = false) => (
    <label>
      <input type="radio" name="what" checked={what === value} disabled={disabled} onChange={() => setWhat(value)} />
      <span>
        {title} <span class="soft">{more}</span>
      </span>
    </label>
  );
  const form = (value: SaveFormat, title: string, more: string) => (
    <label>
      <input type="radio" name="form" checked={format === value} onChange={() => setFormat(value)} data-form={value} />
      <span>
        {title} <span class="soft">{more}</span>
      </span>
    </label>
  );
  return (
    <Dialog title={`Export ${name}`} close={close} class="export">
      <fieldset class="choices">
        <legend>Lines</legend>
        {option("all", whole, `${total.toLocaleString("en")} lines`)}
        {option(
          "filtered",
          "Lines that match the filter",
          filtered === "" ? "no filter is set" : filtered,
          filtered === "",
        )}
        {option(
          "marked",
          "Marked lines",
          marked === null ? "click a line number to mark a line" : marked.words,
          marked === null,
        )}
      </fieldset>
      <fieldset class="choices">
        <legend>Format</legend>
        {form("text", "Text", "as shown here, without colours")}
        {form("jsonl", "JSON lines", "one object per entry, as stored; times in UTC")}
      </fieldset>
      <div class="dialog-row">
        <label>
          Times (also in the pane)
          <select
            class="field"
            value={time}
            disabled={format === "jsonl"}
            onChange={(event) => (settings.timeMode.value = event.currentTarget.value as typeof time)}
          >
            {modes.map((mode) => (
              <option key={mode} value={mode}>
                {TIME_NAMES[mode]}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="dialog-end">
        {done === null ? (
          <>
            <button type="button" class="button primary" onClick={download} data-save={format} disabled={total === 0}>
              <Icon name="download" /> Download
            </button>
            <button type="button" class="button" onClick={copy} disabled={total === 0}>
              <Icon name="copy" /> Copy
            </button>
          </>
        ) : (
          <>
            <progress max={Math.max(1, done.of)} value={done.done} aria-label="Lines written" />
            <span class="soft">{Math.floor((done.done / Math.max(1, done.of)) * 100)} %</span>
            <button type="button" class="button" onClick={() => ending.current?.abort()}>
              Cancel
            </button>
          </>
        )}
      </div>
      <p class="dialog-said" role="status" data-bad={said.bad ? "" : undefined}>
        {said.words}
      </p>
    </Dialog>
  );
}

/** Return a query as text for people; empty for a query that matches everything. */
export function queryText({ text, regex, matchCase, word, hide, level }: Query): string {
  const parts = [
    text === ""
      ? ""
      : `${regex ? "matching" : "with"} “${text.length > 40 ? `${text.slice(0, 40)}…` : text}”${word ? ", whole word" : ""}${matchCase ? ", match case" : ""}`,
    ["", "", "", "info and above", "warnings and above", "errors"][level] ?? "",
    hide.length > 0 ? `without ${hide.map((one) => (one === "frames" ? "stack frames" : one)).join(", ")}` : "",
  ];
  return parts.filter(Boolean).join("; ");
}

function fileName(name: string, what: ExportScope, marked: string, format: SaveFormat): string {
  const part = what === "filtered" ? "-filtered" : what === "marked" ? `-${marked}` : "";
  return `${name.replace(/[^\w.-]+/g, "_")}${part}.${format === "jsonl" ? "jsonl" : "log"}`;
}
