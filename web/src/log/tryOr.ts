/** One line that cannot be read must not affect the others. */

/** Return the result of `read`, or `otherwise` when it throws. */
export function tryOr<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    console.error(error);
    return otherwise;
  }
}
