import { getAsset, isSea } from "node:sea";
import { Worker } from "node:worker_threads";
import { WorkerPool } from "#pipeline/worker-pool";

/** The name under which the single executable carries the program of its worker threads. */
export const WORKER_ASSET = "worker.cjs";

/** Threads for heavy work, none of which runs yet. */
export function createWorkers(count: number): WorkerPool {
  return new WorkerPool(count, spawnWorker);
}

/** As `--max-semi-space-size` does it for the main thread, whose flags do not count here: three semi-spaces of 16 MiB. */
const resourceLimits = { maxYoungGenerationSizeMb: 48 };

/** Starts a thread with `worker.ts`. */
function spawnWorker(): Worker {
  if (isSea()) return new Worker(getAsset(WORKER_ASSET, "utf8"), { eval: true, resourceLimits });
  // The npm package has the built worker beside this module's chunk.
  const { url } = import.meta;
  return new Worker(new URL(url.endsWith(".ts") ? "./worker.ts" : "./worker.js", url), { resourceLimits });
}
