/** fast-check with a fixed seed, so that a failure is the same on every machine. */
import * as fc from "fast-check";

fc.configureGlobal({ seed: 20_261_123, numRuns: 300 });

export { fc };
