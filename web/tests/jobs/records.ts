import type { JobRecord } from "../../src/wire/messages";

type Overrides = { [K in keyof JobRecord]?: JobRecord[K] extends object ? Partial<JobRecord[K]> : JobRecord[K] };

let next = 0;

/** Return a running job with every field of a record; `container` and `life` are merged. */
export function record(overrides: Overrides = {}): JobRecord {
  const number = ++next;
  return {
    job: `local.${number.toString(16).padStart(64, "0")}`,
    owner: "local",
    principal: "local",
    tip: 10,
    bytes: 1_000,
    gaps: 0,
    last: 1_000_000,
    seen: 1_000_000,
    ...overrides,
    container: {
      name: `web-${number}`,
      image: "nginx:1.27",
      host: "host-a",
      labels: {},
      tty: false,
      project: null,
      service: null,
      ...overrides.container,
    },
    life: {
      state: "running",
      created: 900_000 + number,
      started: 900_000,
      ended: null,
      exit_code: null,
      oom: false,
      restarts: 0,
      source: "file",
      problem: null,
      ...overrides.life,
    },
  } as JobRecord;
}
