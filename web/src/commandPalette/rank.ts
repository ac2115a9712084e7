/** How well a title answers what was typed: all its letters in order, the closer to the beginnings of words the better. */

/** Greater is better; null when it does not answer. */
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
