/** Messages from the cloud to a viewer, over WebSocket and HTTP, decoded. protocol/PROTOCOL.md is the contract. */
import { MAX_BATCH_ENTRIES, MAX_SEQUENCE } from "../limits";
import type * as Wire from "../protocol";
import {
  asObject,
  flag,
  integer,
  lenientObject,
  list,
  matching,
  nullable,
  type Of,
  object,
  oneOf,
  readable,
  readableItems,
  type Shape,
  table,
  text,
  WireError,
  wholeNumber,
  withDamage,
  withDefault,
} from "./shape";

export const JOB = /^[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{64}$/;
export const jobId = matching(JOB, "a job id");

/** Fields of a wire type to decode: one that the contract does not have fails `npm run typecheck`. */
type Fields<W> = { readonly [K in keyof W]?: Shape<unknown> };

const container = lenientObject({
  name: withDefault(text, ""),
  image: withDefault(text, ""),
  host: withDefault(text, ""),
  labels: withDefault(table(text), {}),
  tty: withDefault(flag, false),
  project: nullable(text),
  service: nullable(text),
} satisfies Fields<Wire.Container>);

const life = lenientObject({
  state: withDefault(text, "created"),
  created: nullable(wholeNumber()),
  started: nullable(wholeNumber()),
  ended: nullable(wholeNumber()),
  exit_code: nullable(integer),
  oom: withDefault(flag, false),
  restarts: withDefault(wholeNumber(), 0),
  source: nullable(text),
  problem: nullable(text),
} satisfies Fields<Wire.LifeCycle>);

const record = object({
  job: jobId,
  owner: readable(withDefault(text, "")),
  principal: readable(withDefault(text, "")),
  container: readable(container),
  life: readable(life),
  tip: readable(withDefault(wholeNumber(), 0)),
  bytes: readable(withDefault(wholeNumber(), 0)),
  gaps: readable(withDefault(wholeNumber(), 0)),
  last: readable(nullable(wholeNumber())),
  seen: readable(withDefault(wholeNumber(), 0)),
} satisfies Fields<Wire.JobRecord>);
export type JobRecord = Of<typeof record>;

const DAMAGED = "damaged record";

/**
 * Decode a record. One that is partly unreadable says so, and keeps its other fields. Throws WireError without a job
 * id.
 */
export const jobRecord: Shape<JobRecord> = (value) => {
  const [found, damage] = withDamage(() => record(value));
  return damage === null
    ? found
    : { ...found, life: { ...found.life, state: DAMAGED, problem: `This record is damaged: ${damage}.` } };
};

/** Decode a record of a list, where even one without a readable id has a row. */
const listedRecord: Shape<JobRecord> = (value) => {
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
  first: wholeNumber(1),
  count: wholeNumber(1, MAX_BATCH_ENTRIES),
  start: wholeNumber(),
  end: wholeNumber(),
  raw: wholeNumber(),
  body: text,
} satisfies Fields<Wire.BatchFacts>);
/** The same from history, where a retry brings nothing better. What cannot be decoded is shown as unreadable. */
const historyFacts = object({
  first: wholeNumber(1),
  count: wholeNumber(1, MAX_BATCH_ENTRIES),
  // Never ordered before anything else.
  start: readable(withDefault(wholeNumber(), MAX_SEQUENCE)),
  end: readable(withDefault(wholeNumber(), MAX_SEQUENCE)),
  raw: readable(withDefault(wholeNumber(), 0)),
  body: readable(withDefault(text, "")),
} satisfies Fields<Wire.BatchFacts>);
export type BatchFacts = Of<typeof batchFacts>;

const subscribed = object({
  id: text,
  job: nullable(jobId),
  tip: nullable(wholeNumber()),
  record: nullable(jobRecord),
} satisfies Fields<Wire.Subscribed>);
const batchList: Shape<BatchFacts[]> = (value, path = "") => {
  const batches = readableItems(batchFacts)(value, path);
  if (batches.length === 0) throw new WireError(path, "a list of at least one");
  return batches;
};
const batch = object({ job: jobId, batches: batchList } satisfies Fields<Wire.BatchMessage>);
const job = object({ record: jobRecord, deleted: withDefault(flag, false) } satisfies Fields<Wire.JobMessage>);
const pong = object({ id: text, tips: withDefault(table(wholeNumber()), {}) } satisfies Fields<Wire.ViewerPong>);
const expired = object({ job: nullable(jobId), message: withDefault(text, "") } satisfies Fields<Wire.Expired>);
const error = object({
  id: nullable(text),
  code: text,
  message: withDefault(text, ""),
  retry: withDefault(flag, false),
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

const decoders: { readonly [T in WireToViewer["type"]]: (value: unknown) => ToViewer } = {
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
  const given = asObject(document);
  if (given["type"] === undefined && typeof given["message"] === "string") {
    return { type: "error", id: null, code: "internal", message: given["message"], retry: true };
  }
  const type = given["type"];
  const read =
    typeof type === "string" && Object.hasOwn(decoders, type) ? decoders[type as WireToViewer["type"]] : undefined;
  if (read === undefined) throw new WireError("type", "a message type of this version");
  return read(document);
}

/** `kept` is where the kept entries begin, if the request asked for older ones. */
export const historyPage = object({
  tip: wholeNumber(),
  batches: readableItems(historyFacts),
  more: withDefault(flag, false),
  kept: nullable(wholeNumber()),
});
export type HistoryPage = Of<typeof historyPage>;

export const jobsPage = object({ jobs: list(listedRecord), next: nullable(text) });
export const ticketAnswer = object({ ticket: text });
export const me = object({
  principal: withDefault(text, ""),
  subject: withDefault(text, ""),
  groups: withDefault(list(text), []),
  admin: withDefault(flag, false),
  /** For a share link: the one job that it may read. */
  job: nullable(jobId),
});
export type Me = Of<typeof me>;

/** RFC 9457 problem details; any of it may be missing. */
export const problem = object({
  title: nullable(text),
  detail: nullable(text),
  status: nullable(integer),
  type: nullable(text),
});

const auth = object({
  kind: oneOf("key", "oidc"),
  issuer: nullable(text),
  client_id: nullable(text),
  scope: nullable(text),
  /** Which of the issuer's tokens the HTTP API takes; absent means the access token. */
  token: nullable(oneOf("access", "id")),
  /** Where to go for a logout, for issuers without an end_session_endpoint. */
  logout: nullable(text),
});
export const viewerConfig = object({ api: text, live: text, auth });
export type ViewerConfig = Of<typeof viewerConfig>;
