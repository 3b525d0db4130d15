import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Consumer } from "#pipeline/consumer";
import { consumerValue, startComponent } from "#pipeline/testing";
import component from "./loki.source.file.ts";

/**
 * Lines read and split per CPU-second, from a file in the page cache to a consumer that drops them:
 * `node loki.source.file.bench.ts [MEGABYTES]`.
 */
const megabytes = Number(process.argv[2] ?? 512);
const line = `${"abcdefghi ".repeat(20).slice(0, 199)}\n`;
const total = Math.floor((megabytes * 1024 * 1024) / line.length);
const root = await mkdtemp(join(tmpdir(), "tail-bench-"));
const path = join(root, "a.log");
await writeFile(path, line.repeat(total));
let read = 0;
let done = () => {};
const finished = new Promise<void>((resolve) => (done = resolve));
const sink: Consumer<"logs"> = {
  signal: "logs",
  componentId: "bench.sink",
  mutates: false,
  consume(batch) {
    read += batch.count;
    batch.acknowledgement.release();
    if (read >= total) done();
  },
};
const before = process.cpuUsage();
const config = `forward_to = [out]\ntargets = [{ __path__ = "${path}" }]`;
const source = await startComponent(component, config, {
  dataPath: join(root, "data"),
  scope: { out: consumerValue(sink) },
});
await finished;
const used = process.cpuUsage(before);
await source.stop();
const seconds = (used.user + used.system) / 1e6;
console.log(
  `${read} lines, ${seconds.toFixed(2)} CPU-s, ${(read / seconds / 1e6).toFixed(1)} M lines/CPU-s, ${(megabytes / seconds).toFixed(0)} MB/CPU-s, RSS ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`,
);
await rm(root, { recursive: true });
