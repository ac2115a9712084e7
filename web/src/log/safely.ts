/** One line that cannot be read must not cost the others. */

/** What `read` gives, or `otherwise` when it fails. */
export function safely<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    console.error(error);
    return otherwise;
  }
}
