/** How a line that was cut into several entries goes on (PROTOCOL.md). Pure. */
import { utf8Length } from "./body";

/** Shorter entries are never continued; in UTF-8 bytes, of which a UTF-16 unit makes at most three. */
const MIN_CONTINUED_BYTES = 4_096;

/** Whether the next entry of the same stream may be the line's next piece. */
export function continuable(text: string): boolean {
  return (
    text.length * 3 >= MIN_CONTINUED_BYTES &&
    (text.length >= MIN_CONTINUED_BYTES || utf8Length(text) >= MIN_CONTINUED_BYTES)
  );
}
