/** What several jobs wrote at one time. Loaded when it is wanted. */
import { sequenceAt } from "../search/api";
import type { Api } from "../wire/api";
import type { OpenJob } from "./job";

/** Fetches what each of the jobs wrote around a time, µs. What cannot be had of one leaves the others. */
export async function fetchAround(jobs: readonly OpenJob[], api: Api, time: number): Promise<void> {
  await Promise.allSettled(jobs.map(async (job) => job.fetchAround(await sequenceAt(api, job.id, time))));
}
