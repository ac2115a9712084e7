/**
 * The filter as typed. Words are separated by spaces; all must match, and `-word` must not. `field:value` matches one
 * field: state (also `state:failed`), host, image, project, service, name, owner, label (`label:tier=web`, or the key
 * alone). Quotes keep spaces together.
 */

import type { JobRecord } from "../wire/messages";
import { failed } from "./state";

export const FIELDS = ["state", "host", "image", "project", "service", "name", "owner", "label"] as const;
type Field = (typeof FIELDS)[number];

export type JobFilter = (record: JobRecord) => boolean;

const WORD = /(-?)(?:(\w+):)?(?:"([^"]*)"?|(\S+))/g;

export function parseFilter(typed: string): JobFilter {
  const tests: JobFilter[] = [];
  for (const [whole, minus, name, quoted, bare] of typed.toLowerCase().matchAll(WORD)) {
    const field = FIELDS.find((known) => known === name);
    // "web:8080" and the like are words, not fields.
    const text = field === undefined ? whole.slice(minus?.length ?? 0).replaceAll('"', "") : (quoted ?? bare ?? "");
    // A field without a value, still being typed, filters nothing.
    if (text === "" || FIELDS.some((known) => text === `${known}:`)) continue;
    const test: JobFilter =
      field === undefined
        ? (record) => searchText(record).includes(text)
        : (record) => fieldMatches(record, field, text);
    tests.push(minus === "-" ? (record) => !test(record) : test);
  }
  return (record) => tests.every((test) => test(record));
}

/** Records are never changed in place, so a text derived from one stays valid. */
const searchTexts = new WeakMap<JobRecord, string>();

function searchText(record: JobRecord): string {
  let text = searchTexts.get(record);
  if (text === undefined) {
    const { container: c, life, owner, job } = record;
    text = [
      c.name,
      c.image,
      c.host,
      c.project ?? "",
      c.service ?? "",
      life.state,
      life.exit_code ?? "",
      life.oom ? "oom out of memory" : "",
      owner,
    ]
      .concat([job, ...Object.entries(c.labels).map(([key, value]) => `${key}=${value}`)])
      .join("\n")
      .toLowerCase();
    searchTexts.set(record, text);
  }
  return text;
}

function fieldMatches({ container: c, life, owner }: JobRecord, field: Field, text: string): boolean {
  if (field === "label") {
    return Object.entries(c.labels).some(
      ([key, value]) => key.toLowerCase() === text || `${key}=${value}`.toLowerCase().includes(text),
    );
  }
  const value =
    field === "state"
      ? `${life.state} ${life.exit_code ?? ""}${life.oom ? " oom" : ""}${failed(life) ? " failed" : ""}`
      : field === "owner"
        ? owner
        : c[field];
  return (value ?? "").toLowerCase().includes(text);
}
