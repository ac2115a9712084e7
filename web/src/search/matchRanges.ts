/** Where an expression matches in a drawn text. Pure. */

/** More matches than this in a line are noise. */
const MAX_MATCHES = 200;
/** As much of a line as is drawn, and its last piece (`Store`): every visible match is marked. */
const MAX_CHARS = 300_000;

/** Return the start and end of each match, alternating. */
export function matchRanges(content: string, expression: RegExp): number[] {
  const text = content.length > MAX_CHARS ? content.slice(0, MAX_CHARS) : content;
  const found: number[] = [];
  expression.lastIndex = 0;
  for (
    let match = expression.exec(text);
    match !== null && found.length < 2 * MAX_MATCHES;
    match = expression.exec(text)
  ) {
    if (match[0] === "") expression.lastIndex++;
    else found.push(match.index, match.index + match[0].length);
  }
  return found;
}
