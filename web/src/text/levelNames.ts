/** Names of levels, without the tables that detect them: the page draws levels, its workers detect them. */

export const LEVELS = ["", "trace", "debug", "info", "warn", "error", "fatal"] as const;
export type Level = 0 | 1 | 2 | 3 | 4 | 5 | 6;
export const ERROR: Level = 5;
