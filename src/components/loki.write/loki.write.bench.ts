import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Labels } from "#base/labels";
import { countPushEntries } from "#formats/loki-push/loki-push";
import { uncompress } from "#formats/snappy";
import type { LogBatch } from "#pipeline/batch";
import { logBatch } from "#pipeline/log-batch";
import { startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";

/**
 * Lines per CPU-second through loki.write (encoding, snappy, HTTP): `node loki.write.bench.ts [seconds]`. The server runs
 * in a worker, whose CPU time is not counted, and counts the entries that it decodes.
 */

const SECONDS = Number(process.argv[2] ?? 1);
const BATCH = 4_096;

async function serve(): Promise<void> {
  const { parentPort } = await import("node:worker_threads");
  let entries = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === "/count") return void response.end(String(entries));
    entries += countPushEntries(uncompress(Buffer.concat(chunks), 1 << 28));
    response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1", () => parentPort!.postMessage((server.address() as AddressInfo).port));
}

async function main(): Promise<void> {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: ["serve"] });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const line = (i: number) =>
    `{"ts":"2026-11-20T00:00:00Z","level":"info","service":"svc-${i % 23}","msg":"handled request path=/api/v1/users/${i} status=${200 + (i % 5) * 75}","dur_ms":${(i % 997) / 10},"trace_id":"${(i * 7919).toString(16).padStart(32, "0")}"}`;
  const one = Labels.from([
    ["job", "bench"],
    ["filename", "/var/log/app.log"],
  ]);
  const many = Array.from({ length: 92 }, (_, i) => one.with("stream", String(i)));
  for (const [name, labels] of [
    ["one stream", () => one],
    ["92 streams, interleaved", (i: number) => many[i % many.length]!],
    ["a stream for each line", (i: number) => one.with("seq", String(i))],
  ] as const) {
    await using component = await startComponent(
      write,
      `endpoint {\n url = "http://127.0.0.1:${port}/loki/api/v1/push"\n batch_wait = "50ms"\n}`,
    );
    const batches: LogBatch[] = Array.from({ length: 16 }, (_, k) =>
      logBatch(
        Array.from({ length: BATCH }, (_, i) => ({
          labels: labels(k * BATCH + i),
          line: line(k * BATCH + i),
          ms: 1.7e12 + i,
        })),
      ),
    );
    const { signal } = new AbortController();
    const count = async () => Number(await (await fetch(`http://127.0.0.1:${port}/count`)).text());
    const already = await count();
    for (let k = 0; k < 8; k++) await component.exports.receiver.consume(batches[k]!, signal);
    let lines = 8 * BATCH;
    let bytes = 0;
    const cpu = () => process.threadCpuUsage();
    const from = cpu();
    const until = performance.now() + SECONDS * 1000;
    for (let k = 0; performance.now() < until; k++) {
      const batch = batches[k % batches.length]!;
      await component.exports.receiver.consume(batch, signal);
      lines += BATCH;
      bytes += batch.data.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { user, system } = cpu();
    const seconds = (user - from.user + system - from.system) / 1e6;
    const rate = `${((lines - 8 * BATCH) / seconds / 1000).toFixed(0)} k lines/CPU-s, ${(bytes / seconds / 1e6).toFixed(0)} MB/CPU-s`;
    await component.stop(20_000);
    assert.equal((await count()) - already, lines, "entries got lost");
    console.log(`${name}: ${rate}, ${lines} delivered, RSS ${process.memoryUsage.rss() >> 20} MiB`);
  }
  await worker.terminate();
}

await (process.argv[2] === "serve" ? serve() : main());
