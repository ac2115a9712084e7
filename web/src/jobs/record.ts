/** One record as every page shows it: its age and its short names. Apart from the list, which loads later. Pure. */
import type { JobRecord } from "../wire/messages";

export function createdOf({ life, seen }: JobRecord): number {
  return life.created ?? life.started ?? seen;
}

export function newestFirst(one: JobRecord, other: JobRecord): number {
  return createdOf(other) - createdOf(one) || (one.job < other.job ? -1 : one.job > other.job ? 1 : 0);
}

/**
 * Return an image without registry and digest, for a narrow column: "web:1.2" for
 * "registry.example:5000/team/web:1.2@sha256:…".
 */
export function shortImage(image: string): string {
  const [name = ""] = image.split("@");
  const parts = name.split("/");
  const host = parts.length > 1 && /[.:]|^localhost$/.test(parts[0] ?? "");
  const short = (host ? parts.slice(1) : parts).join("/");
  return short.startsWith("sha256:") ? short.slice(7, 19) : short;
}

/** Return a host's name without its domain. Addresses stay whole. */
export function shortHost(host: string): string {
  return /^[\d.]+$|:/.test(host) ? host : (host.split(".")[0] ?? host);
}
