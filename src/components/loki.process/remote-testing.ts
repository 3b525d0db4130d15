import { Worker } from "node:worker_threads";
import { WorkerPool } from "#pipeline/worker-pool";

import { type PipelineSetup, PROCESS_CHANNEL } from "./remote-protocol.ts";

/** Worker threads as the agent has them, used from the first batch on. `workers` are those that were started. */
export function testPool(size = 2): { readonly pool: WorkerPool; readonly workers: Worker[] } {
  const workers: Worker[] = [];
  const spawn = () => {
    const worker = new Worker(new URL("../../app/worker.ts", import.meta.url));
    workers.push(worker);
    return worker;
  };
  const pool = new WorkerPool(size, spawn, { isEager: true });
  return { pool, workers };
}

/** Keeps the threads of a pool from ending with each test. */
export function keepRunning(pool: WorkerPool): void {
  const nothing: PipelineSetup = { stages: [], keepsEntries: false };
  for (let i = 0; i < pool.size; i++) pool.open(i, PROCESS_CHANNEL, nothing, { received() {}, died() {} });
}
