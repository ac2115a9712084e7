/** When to try again: the viewer's one retry policy. */

export interface RetryPolicy {
  /** Longest wait before the first retry, ms. It doubles with each further retry. */
  readonly firstMs: number;
  /** Bound of the doubling, ms. */
  readonly maxMs: number;
}

/**
 * Return the wait before a retry, ms: full jitter, so that an audience that failed together does not return together.
 *
 * @param attempt retries before this one: 0 for the first
 * @param minMs what the wait never falls below, such as the service's Retry-After; the jitter comes on top
 */
export function retryDelay(
  { firstMs, maxMs }: RetryPolicy,
  attempt: number,
  minMs = 0,
  random: () => number = Math.random,
): number {
  return Math.round(minMs + random() * Math.min(firstMs * 2 ** attempt, maxMs));
}
