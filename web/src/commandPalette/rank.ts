/**
 * Rank titles against typed letters. All letters must occur in order; matches near the beginning of words rank higher.
 */

/** Return a title's rank, greater for a better match, or null when it does not match. */
export function rank(typed: string, title: string): number | null {
  const wanted = typed.toLowerCase().replace(/\s+/g, "");
  const text = title.toLowerCase();
  if (wanted === "") return 0;
  const whole = text.indexOf(typed.trim().toLowerCase());
  if (whole >= 0) return 1_000 - whole + (whole === 0 || /\W/.test(text[whole - 1] ?? "") ? 500 : 0);
  let [score, from] = [0, 0];
  for (const letter of wanted) {
    const at = text.indexOf(letter, from);
    if (at < 0) return null;
    if (at === 0 || /\W/.test(text[at - 1] ?? "")) score += 10;
    score -= at - from;
    from = at + 1;
  }
  return score;
}
