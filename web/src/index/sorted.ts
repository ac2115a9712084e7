/** Looking things up in ascending numbers. */

/** Index of the last value at or below `value`; -1 when there is none. */
export function exactOrBefore(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function exact(sorted: Float64Array, value: number): number {
  const at = exactOrBefore(sorted, value);
  return at >= 0 && sorted[at] === value ? at : -1;
}

/** Index of the neighbour of `value`, around the ends; -1 when the list is empty. */
export function neighbour(sorted: Float64Array, value: number, by: 1 | -1): number {
  if (sorted.length === 0) return -1;
  if (by === 1) return (exactOrBefore(sorted, value) + 1) % sorted.length;
  const at = exactOrBefore(sorted, value - 1);
  return at >= 0 ? at : sorted.length - 1;
}

/** All of two ascending lists, once each. */
export function united(one: Float64Array, other: Float64Array): Float64Array {
  if (one.length === 0) return other;
  if (other.length === 0) return one;
  const all = new Float64Array(one.length + other.length);
  let [a, b, length] = [0, 0, 0];
  while (a < one.length || b < other.length) {
    const [x, y] = [one[a] ?? Number.POSITIVE_INFINITY, other[b] ?? Number.POSITIVE_INFINITY];
    all[length++] = Math.min(x, y);
    if (x <= y) a++;
    if (y <= x) b++;
  }
  return all.slice(0, length);
}
