import { Worker } from "node:worker_threads";
import { Labels } from "#base/labels";
import { configureRegexEngine } from "#base/regex";
import process from "#components/loki.process/loki.process";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { consumerValue, startComponent } from "#pipeline/testing";
import { WorkerPool } from "#pipeline/worker-pool";
import { PROMTAIL_PIPELINE, promtailLine } from "./scenarios/promtail.ts";

/**
 * CPU time of each thread with and without workers: `node --no-maglev-osr bench/workers-in-process.ts`. Other work on the machine does
 * not change it much, unlike wall time. What two free CPUs would give is the longer of the main thread's time and half of all.
 */

configureRegexEngine({ linear: true });
const BATCH_BYTES = 256 * 1024;
const FILES = 4;
const ROUNDS = Number(globalThis.process.env.ROUNDS ?? 60);
const { signal } = new AbortController();

const config = /\{([\s\S]*)\}\s*$/.exec(PROMTAIL_PIPELINE)![1]!.replace("loki.write.bench.receiver", "sink");

interface Load {
  readonly data: Buffer;
  readonly batch: LogBatch;
}
const loads = Array.from({ length: FILES }, (_, file): Load => {
  const builder = new LogBatchBuilder();
  const stream = builder.streamId(
    Labels.from([
      ["filename", `/var/log/${file}.log`],
      ["job", "bench"],
    ]),
  );
  for (let i = 0; builder.bytes < BATCH_BYTES; i++)
    builder.addText(stream, 1_700_000_000_000, i, promtailLine(i, file));
  const batch = builder.take();
  return { data: Buffer.from(batch.data), batch };
});
const lines = loads[0]!.batch.count;

/** Columns as a source fills them: anew for each batch. */
function lent({ batch }: Load, acknowledgement: Acknowledgement): LogBatch {
  const { count, start, end, ms, ns, stream } = batch;
  return {
    ...batch,
    start: start.slice(0, count),
    end: end.slice(0, count),
    ms: ms.slice(0, count),
    ns: ns.slice(0, count),
    stream: stream.slice(0, count),
    acknowledgement,
  };
}

async function run(threads: number): Promise<void> {
  const workers: Worker[] = [];
  const pool = new WorkerPool(
    threads,
    () => {
      const worker = new Worker(new URL("../src/app/worker.ts", import.meta.url));
      workers.push(worker);
      return worker;
    },
    { isEager: true },
  );
  let got = 0;
  const sink = consumerValue({
    signal: "logs",
    componentId: "sink",
    mutates: false,
    consume(batch) {
      got += batch.count;
      batch.acknowledgement.release();
    },
  });
  const component = await startComponent(process, config, {
    scope: { sink },
    services: { workers: threads === 0 ? undefined : pool },
  });
  const { receiver } = component.exports;
  const round = async (count: number) => {
    let open = 0;
    for (let i = 0; i < count; i++) {
      for (const load of loads) {
        open += 1;
        await receiver.consume(lent(load, new Acknowledgement(() => (open -= 1))), signal);
      }
    }
    while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  await round(ROUNDS / 3);
  const cpuOf = async () => {
    const all = await Promise.all(workers.map((worker) => worker.cpuUsage()));
    const here = globalThis.process.threadCpuUsage();
    return [here, ...all].map(({ user, system }) => (user + system) / 1e6);
  };
  const total = globalThis.process.cpuUsage();
  const from = await cpuOf();
  const began = performance.now();
  await round(ROUNDS);
  const wall = (performance.now() - began) / 1000;
  const to = await cpuOf();
  const { user, system } = globalThis.process.cpuUsage(total);
  const spent = to.map((each, i) => each - from[i]!);
  const all = (user + system) / 1e6;
  const count = lines * FILES * ROUNDS;
  const [main = 0, ...others] = spent;
  const ideal = threads === 0 ? main : Math.max(main, ...others, (main + others.reduce((a, b) => a + b, 0)) / 2);
  console.log(
    `${threads} workers: ${((main / count) * 1e6).toFixed(2)} µs a line in the main thread, ${others.map((each) => ((each / count) * 1e6).toFixed(2)).join(" and ")} in workers, process ${((all / count) * 1e6).toFixed(2)}; wall ${wall.toFixed(2)} s, on two free CPUs ${ideal.toFixed(2)} s; got ${got}`,
  );
  await component.stop();
  await pool.close();
}

for (const threads of [0, 2, 0, 2]) await run(threads);
