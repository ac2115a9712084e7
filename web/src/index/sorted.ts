/** Look up values in ascending numbers. */

/** Return the index of the last value at or below `value`; -1 when there is none. */
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
