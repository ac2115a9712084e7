/** Decoders for the wire: input is checked, never cast. */

export class WireError extends Error {
  constructor(
    readonly path: string,
    readonly expected: string,
  ) {
    super(`${path || "the message"} is not ${expected}`);
    this.name = "WireError";
  }
}

/** Reads a value of type T, or throws a WireError that names where it is. */
export type Shape<T> = (value: unknown, path?: string) => T;
export type Of<S> = S extends Shape<infer T> ? T : never;

export const text: Shape<string> = (value, path = "") => {
  if (typeof value !== "string") throw new WireError(path, "a string");
  return value;
};

export const matching =
  (pattern: RegExp, expected: string): Shape<string> =>
  (value, path = "") => {
    if (typeof value !== "string" || !pattern.test(value)) throw new WireError(path, expected);
    return value;
  };

export const flag: Shape<boolean> = (value, path = "") => {
  if (typeof value !== "boolean") throw new WireError(path, "a boolean");
  return value;
};

/** A whole number from `least` to `most` that is exact in JavaScript. */
export const wholeNumber =
  (least = 0, most = Number.MAX_SAFE_INTEGER): Shape<number> =>
  (value, path = "") => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most) {
      throw new WireError(path, `a whole number of at least ${least}`);
    }
    return value;
  };

export const integer: Shape<number> = (value, path = "") => {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new WireError(path, "a whole number");
  return value;
};

export const oneOf =
  <const V extends readonly string[]>(...values: V): Shape<V[number]> =>
  (value, path = "") => {
    if (typeof value !== "string" || !values.includes(value)) throw new WireError(path, `one of ${values.join(", ")}`);
    return value;
  };

/** Missing and null both become `null`. */
export const nullable =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, path = "") =>
    value === undefined || value === null ? null : shape(value, path);

export const withDefault =
  <T>(shape: Shape<T>, fallback: T): Shape<T> =>
  (value, path = "") =>
    value === undefined || value === null ? fallback : shape(value, path);

export const list =
  <T>(shape: Shape<T>): Shape<T[]> =>
  (value, path = "") => {
    if (!Array.isArray(value)) throw new WireError(path, "a list");
    return value.map((item: unknown, index) => shape(item, `${path}[${index}]`));
  };

/** An object whose fields are decoded independently. */
export const lenientObject = <F extends Record<string, Shape<unknown>>>(
  shapes: F,
): Shape<{ [K in keyof F]: Of<F[K]> }> => {
  const each = object(Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, readable(shape)])) as F);
  return (value, path) => each(value ?? {}, path);
};

export const table =
  <T>(shape: Shape<T>): Shape<Record<string, T>> =>
  (value, path = "") => {
    const found: Record<string, T> = Object.create(null) as Record<string, T>;
    for (const [key, item] of Object.entries(asObject(value, path))) found[key] = shape(item, `${path}.${key}`);
    return found;
  };

/** The first error that `readable` ignored; null when there was none. */
let ignoredError: string | null = null;

/** Decode what can be decoded: an invalid value counts as missing. `damageOf` reports the error. */
export const readable =
  <T>(shape: Shape<T>): Shape<T> =>
  (value, path = "") => {
    try {
      return shape(value, path);
    } catch (error) {
      ignoredError ??= (error as Error).message;
      return shape(undefined, path);
    }
  };

/** Like `list`, without the items that cannot be decoded. */
export const readableItems =
  <T>(shape: Shape<T>): Shape<T[]> =>
  (value, path = "") =>
    list<T | null>((item, at) => {
      try {
        return shape(item, at);
      } catch {
        return null;
      }
    })(value, path).filter((item) => item !== null);

/** Return a value and the first error in it, as a sentence; null when there was none. */
export function withDamage<T>(read: () => T): [T, string | null] {
  ignoredError = null;
  return [read(), ignoredError];
}

/** Ignore unknown fields, so that a newer peer can send more. */
export const object =
  <F extends Record<string, Shape<unknown>>>(shapes: F): Shape<{ [K in keyof F]: Of<F[K]> }> =>
  (value, path = "") => {
    const given = asObject(value, path);
    const found: Record<string, unknown> = {};
    for (const [key, shape] of Object.entries(shapes)) found[key] = shape(given[key], path ? `${path}.${key}` : key);
    return found as { [K in keyof F]: Of<F[K]> };
  };

export function asObject(value: unknown, path = ""): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new WireError(path, "an object");
  return value as Record<string, unknown>;
}
