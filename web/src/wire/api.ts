/** The HTTP API as the viewer uses it: bearer token in the header, decoded answers, problem details as errors. */
import {
  type HistoryPage,
  historyPage,
  type JobRecord,
  jobRecord,
  jobsPage,
  type Me,
  me,
  problem,
  ticketAnswer,
} from "./messages";
import { Refusal } from "./refusal";
import type { Shape } from "./shape";

/** An answer other than 2xx; `message` is a sentence for a person. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  constructor(
    private readonly base: string,
    private token: string,
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  authorize(token: string): void {
    this.token = token;
  }

  me(): Promise<Me> {
    return this.get("/me", me);
  }

  jobs(next: string | null): Promise<{ jobs: JobRecord[]; next: string | null }> {
    return this.get(`/jobs?limit=100${next === null ? "" : `&next=${encodeURIComponent(next)}`}`, jobsPage);
  }

  job(job: string): Promise<JobRecord> {
    return this.get(`/jobs/${encodeURIComponent(job)}`, jobRecord);
  }

  /**
   * Return batches that hold entries before (the last ones) or after (the first ones) a sequence, ascending either way.
   */
  history(job: string, side: "before" | "after", sequence: number, limit: number): Promise<HistoryPage> {
    return this.get(`/jobs/${encodeURIComponent(job)}/batches?${side}=${sequence}&limit=${limit}`, historyPage);
  }

  /** Return a one-time ticket for a WebSocket. Throws Refusal when the credential itself is refused. */
  async ticket(): Promise<string> {
    try {
      return (await this.request("POST", "/tickets", ticketAnswer)).ticket;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        throw new Refusal(error.status, error.message);
      }
      throw error;
    }
  }

  get<T>(path: string, shape: Shape<T>, signal?: AbortSignal): Promise<T> {
    return this.request("GET", path, shape, undefined, signal);
  }

  async request<T>(method: string, path: string, shape: Shape<T>, body?: unknown, signal?: AbortSignal): Promise<T> {
    let response: Response;
    try {
      response = await this.fetcher(this.base + path, {
        method,
        headers: {
          Authorization: `Bearer ${this.token}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal && { signal }),
        cache: "no-store",
        redirect: "error",
        credentials: "omit",
      });
    } catch {
      throw new ApiError(0, "The service cannot be reached.");
    }
    if (!response.ok) throw await errorOf(response);
    return shape(await response.json());
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  let sentence = "";
  try {
    const said = problem(await response.json());
    sentence = said.detail ?? said.title ?? "";
  } catch {
    // API Gateway's own answers are not problem details: only the status is known.
  }
  const after = Number(response.headers.get("retry-after"));
  return new ApiError(response.status, sentence || standardMessage(response.status), after > 0 ? after * 1000 : null);
}

function standardMessage(status: number): string {
  // API Gateway itself refuses a wrong credential, with 401 or 403 and no details; a job that may not be read is a 404.
  if (status === 401 || status === 403) return "The key is wrong, has expired, or was revoked.";
  if (status === 404) return "There is no such job, or it belongs to another owner.";
  if (status === 429) return "Too many requests. Try again in a moment.";
  return `The service answered with status ${status}.`;
}
