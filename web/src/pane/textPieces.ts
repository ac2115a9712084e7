/** Long text for the page, in pieces that a browser lays out one by one. */

/** Shorter text is laid out quickly, whatever it contains. */
const LONG = 1_000;
const PIECE = 500;

/**
 * Split a long text, at spaces where possible. Chromium lays out a run of marks, of Arabic, or of Thai without a break
 * in time that grows with the square of its length (16,000 marks took 0.2 s, 64,000 never finished).
 */
export function textPieces(text: string): string[] {
  // Latin text has no such runs.
  if (text.length <= LONG || !/[^\0-\u02ff]/.test(text)) return [text];
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const piece = text.slice(at, at + PIECE);
    const space = piece.lastIndexOf(" ");
    // Do not split a character.
    const whole = /[\ud800-\udbff]$/.test(piece) && at + PIECE < text.length ? PIECE - 1 : PIECE;
    pieces.push(piece.slice(0, space > PIECE / 2 ? space + 1 : whole));
    at += (pieces.at(-1) as string).length;
  }
  return pieces;
}

/**
 * Return nodes that read as the text: each piece is an element, and a line may break between them. Nothing else is
 * visible or copied.
 */
export function textNodes(text: string): Node[] {
  const pieces = textPieces(text);
  if (pieces.length === 1) return [document.createTextNode(text)];
  return pieces.flatMap((piece) => {
    const element = document.createElement("span");
    element.className = "piece";
    element.textContent = piece;
    return [element, document.createElement("wbr")];
  });
}
