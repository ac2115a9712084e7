/** Full jitter: a uniform moment between nothing and a bound that doubles, so that an audience never returns at once. */
export function* backoff(random: () => number, leastMs = 250, mostMs = 30_000): Generator<number, never, void> {
  for (let bound = leastMs; ; bound = Math.min(bound * 2, mostMs)) yield Math.round(random() * bound);
}
