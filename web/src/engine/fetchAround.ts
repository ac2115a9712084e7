/** Fetch what several jobs wrote at one time. Loaded on first use. */
import { sequenceAt } from "../search/api";
import type { Api } from "../wire/api";
import type { OpenJob } from "./job";

/** Fetch what each job wrote around a time, µs. A job whose lines cannot be fetched does not affect the others. */
export async function fetchAround(jobs: readonly OpenJob[], api: Api, time: number): Promise<void> {
  await Promise.allSettled(jobs.map(async (job) => job.fetchAround(await sequenceAt(api, job.id, time))));
}
