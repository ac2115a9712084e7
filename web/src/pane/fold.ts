/** An unfolded JSON line, as an element with text only. */
import { unfold } from "../text/json";
import { textNodes } from "./textPieces";

/** Return the unfolded document; null when the line holds none. A copy of it is the document again. */
export function foldElement(text: string): HTMLElement | null {
  const lines = unfold(text);
  if (lines === null) return null;
  const element = document.createElement("div");
  element.className = "fold";
  for (const line of lines) {
    const row = document.createElement("div");
    row.className = "fold-line";
    // The indentation is text, so that a copy keeps it.
    row.append("  ".repeat(line[0]?.depth ?? 0));
    for (const token of line) {
      if (token.kind === "mark") {
        row.append(token.text);
        continue;
      }
      const span = document.createElement("span");
      span.className = `json-${token.kind}`;
      span.append(...textNodes(token.text));
      row.append(span);
    }
    element.append(row);
  }
  return element;
}
