/** How a line that was split into several entries continues (PROTOCOL.md). Pure. */
import { MIN_CONTINUED_BYTES } from "../limits";
import { utf8Length } from "./body";

/** Return whether the next entry of the same stream may continue the line. A UTF-16 unit is at most three UTF-8 bytes. */
export function continuable(text: string): boolean {
  return (
    text.length * 3 >= MIN_CONTINUED_BYTES &&
    (text.length >= MIN_CONTINUED_BYTES || utf8Length(text) >= MIN_CONTINUED_BYTES)
  );
}
