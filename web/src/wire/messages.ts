/** Messages from the cloud to a viewer, over WebSocket and HTTP, decoded. protocol/PROTOCOL.md is the contract. */
import { MAX_BATCH_ENTRIES, MAX_SEQUENCE } from "../limits";
import type * as Wire from "../protocol";
import {
  damageOf,
  fields,
  flag,
  integer,
  list,
  loose,
  matching,
  maybe,
  type Of,
  object,
  oneOf,
  otherwise,
  readable,
  type Shape,
  table,
  text,
  those,
  WireError,
  whole,
} from "./shape";

export const JOB = /^[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{64}$/;
export const jobId = matching(JOB, "a job id");

/** Fields of a wire type to decode: one that the contract does not have fails `npm run typecheck`. */
type Fields<W> = { readonly [K in keyof W]?: Shape<unknown> };

const container = loose({
  name: otherwise(text, ""),
  image: otherwise(text, ""),
  host: otherwise(text, ""),
  labels: otherwise(table(text), {}),
  tty: otherwise(flag, false),
  project: maybe(text),
  service: maybe(text),
} satisfies Fields<Wire.Container>);

const life = loose({
  state: otherwise(text, "created"),
  created: maybe(whole()),
  started: maybe(whole()),
  ended: maybe(whole()),
  exit_code: maybe(integer),
  oom: otherwise(flag, false),
  restarts: otherwise(whole(), 0),
  source: maybe(text),
  problem: maybe(text),
} satisfies Fields<Wire.LifeCycle>);

const record = object({
  job: jobId,
  owner: readable(otherwise(text, "")),
  principal: readable(otherwise(text, "")),
  container: readable(container),
  life: readable(life),
  tip: readable(otherwise(whole(), 0)),
  bytes: readable(otherwise(whole(), 0)),
  gaps: readable(otherwise(whole(), 0)),
  last: readable(maybe(whole())),
  seen: readable(otherwise(whole(), 0)),
} satisfies Fields<Wire.JobRecord>);
export type JobRecord = Of<typeof record>;

const DAMAGED = "damaged record";

/**
 * Decode a record. One that is partly unreadable says so, and keeps its other fields. Throws WireError without a job
 * id.
 */
export const jobRecord: Shape<JobRecord> = (value) => {
  const [found, damage] = damageOf(() => record(value));
  return damage === null
    ? found
    : { ...found, life: { ...found.life, state: DAMAGED, problem: `This record is damaged: ${damage}.` } };
};

/** Decode a record of a list, where even one without a readable id has a row. */
const listed: Shape<JobRecord> = (value) => {
  try {
    return jobRecord(value);
  } catch {
    const none = jobRecord({
      job: `x.${"0".repeat(64)}`,
      container: null,
      life: { state: DAMAGED, problem: "This record is damaged: its job id cannot be read." },
    });
    // Identified by its content, so that the same record is the same row when it is read again.
    return { ...none, job: `damaged ${JSON.stringify(value)}` };
  }
};

/** A batch as on the wire; `body` stays base64 until it is needed. */
const batchFacts = object({
  first: whole(1),
  count: whole(1, MAX_BATCH_ENTRIES),
  start: whole(),
  end: whole(),
  raw: whole(),
  body: text,
} satisfies Fields<Wire.BatchFacts>);
/** The same from history, where a retry brings nothing better. What cannot be decoded is shown as unreadable. */
const keptFacts = object({
  first: whole(1),
  count: whole(1, MAX_BATCH_ENTRIES),
  // Never ordered before anything else.
  start: readable(otherwise(whole(), MAX_SEQUENCE)),
  end: readable(otherwise(whole(), MAX_SEQUENCE)),
  raw: readable(otherwise(whole(), 0)),
  body: readable(otherwise(text, "")),
} satisfies Fields<Wire.BatchFacts>);
export type BatchFacts = Of<typeof batchFacts>;

const subscribed = object({
  id: text,
  job: maybe(jobId),
  tip: maybe(whole()),
  record: maybe(jobRecord),
} satisfies Fields<Wire.Subscribed>);
const some: Shape<BatchFacts[]> = (value, path = "") => {
  const batches = those(batchFacts)(value, path);
  if (batches.length === 0) throw new WireError(path, "a list of at least one");
  return batches;
};
const batch = object({ job: jobId, batches: some } satisfies Fields<Wire.BatchMessage>);
const job = object({ record: jobRecord, deleted: otherwise(flag, false) } satisfies Fields<Wire.JobMessage>);
const pong = object({ id: text, tips: otherwise(table(whole()), {}) } satisfies Fields<Wire.ViewerPong>);
const expired = object({ job: maybe(jobId), message: otherwise(text, "") } satisfies Fields<Wire.Expired>);
const error = object({
  id: maybe(text),
  code: text,
  message: otherwise(text, ""),
  retry: otherwise(flag, false),
} satisfies Fields<Wire.Error>);

export type ToViewer =
  | ({ type: "subscribed" } & Of<typeof subscribed>)
  | ({ type: "batch" } & Of<typeof batch>)
  | ({ type: "job" } & Of<typeof job>)
  | ({ type: "pong" } & Of<typeof pong>)
  | ({ type: "expired" } & Of<typeof expired>)
  | ({ type: "error" } & Of<typeof error>)
  | { type: "unsubscribed" };

/** Every message of the contract that a viewer receives. */
type WireToViewer =
  | Wire.Subscribed
  | Wire.BatchMessage
  | Wire.JobMessage
  | Wire.ViewerPong
  | Wire.Expired
  | Wire.Error
  | Wire.Unsubscribed;

const kinds: { readonly [T in WireToViewer["type"]]: (value: unknown) => ToViewer } = {
  subscribed: (value) => ({ type: "subscribed", ...subscribed(value) }),
  batch: (value) => ({ type: "batch", ...batch(value) }),
  job: (value) => ({ type: "job", ...job(value) }),
  pong: (value) => ({ type: "pong", ...pong(value) }),
  expired: (value) => ({ type: "expired", ...expired(value) }),
  error: (value) => ({ type: "error", ...error(value) }),
  unsubscribed: () => ({ type: "unsubscribed" }),
};

/**
 * Decode one frame.
 *
 * API Gateway answers for a crashed function with a message of its own, without a type: `{"message": "Internal server
 * error"}`. It is returned as an error without a request, so that the request's own timeout decides.
 *
 * Throws WireError for what is not a message of this version.
 */
export function decodeMessage(raw: string): ToViewer {
  let document: unknown;
  try {
    document = JSON.parse(raw);
  } catch {
    throw new WireError("", "JSON");
  }
  const given = fields(document);
  if (given["type"] === undefined && typeof given["message"] === "string") {
    return { type: "error", id: null, code: "internal", message: given["message"], retry: true };
  }
  const type = given["type"];
  const read = typeof type === "string" && Object.hasOwn(kinds, type) ? kinds[type as WireToViewer["type"]] : undefined;
  if (read === undefined) throw new WireError("type", "a message type of this version");
  return read(document);
}

/** `kept` is where the kept entries begin, if the request asked for older ones. */
export const historyPage = object({
  tip: whole(),
  batches: those(keptFacts),
  more: otherwise(flag, false),
  kept: maybe(whole()),
});
export type HistoryPage = Of<typeof historyPage>;

export const jobsPage = object({ jobs: list(listed), next: maybe(text) });
export const ticketAnswer = object({ ticket: text });
export const me = object({
  principal: otherwise(text, ""),
  subject: otherwise(text, ""),
  groups: otherwise(list(text), []),
  admin: otherwise(flag, false),
  /** For a share link: the one job that it may read. */
  job: maybe(jobId),
});
export type Me = Of<typeof me>;

/** RFC 9457 problem details; any of it may be missing. */
export const problem = object({ title: maybe(text), detail: maybe(text), status: maybe(integer), type: maybe(text) });

const auth = object({
  kind: oneOf("key", "oidc"),
  issuer: maybe(text),
  client_id: maybe(text),
  scope: maybe(text),
  /** Which of the issuer's tokens the HTTP API takes; absent means the access token. */
  token: maybe(oneOf("access", "id")),
  /** Where to go for a logout, for issuers without an end_session_endpoint. */
  logout: maybe(text),
});
export const viewerConfig = object({ api: text, live: text, auth });
export type ViewerConfig = Of<typeof viewerConfig>;
