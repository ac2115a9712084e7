/** The share links of the HTTP API. */
import type { Api } from "../wire/api";
import { jobId } from "../wire/messages";
import { list, matching, nullable, type Of, object, text, wholeNumber, withDefault } from "../wire/shape";

const facts = {
  share: text,
  job: jobId,
  principal: withDefault(text, ""),
  note: withDefault(text, ""),
  /** Milliseconds since 1970. */
  created: wholeNumber(),
  expires: wholeNumber(),
  revoked: nullable(wholeNumber()),
};
const share = object(facts);
export type Share = Of<typeof share>;
const shares = object({ shares: list(share) });
/** Only this answer contains the secret. */
const madeShare = object({ ...facts, secret: matching(/^lfs_[\w-]{16,200}$/, "a share link's secret") });
export type MadeShare = Of<typeof madeShare>;

export async function listShares(api: Api, job: string): Promise<Share[]> {
  return (await api.get(`/jobs/${encodeURIComponent(job)}/shares`, shares)).shares;
}

/** Create a link that lets anyone who has it read the job for the given seconds. */
export function createShare(api: Api, job: string, seconds: number, note: string): Promise<MadeShare> {
  return api.request("POST", `/jobs/${encodeURIComponent(job)}/shares`, madeShare, { expires_in: seconds, note });
}

export function revokeShare(api: Api, id: string): Promise<Share> {
  return api.request("DELETE", `/shares/${encodeURIComponent(id)}`, share);
}

export type ShareStatus = "works" | "expired" | "revoked";

export function shareStatus({ expires, revoked }: Share, now: number): ShareStatus {
  if (revoked !== null) return "revoked";
  return expires <= now ? "expired" : "works";
}
