import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { consumerValue, recordLogs, startComponent } from "#pipeline/testing";
import component from "./loki.source.file.ts";

/** Pauses pass fifty times as fast, so that tests need not wait for them; the time of day is real. */
export const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
};

/** A folder for files and one for the component's data, removed at the end. */
export async function scratch(): Promise<AsyncDisposable & { logs: string; data: string; path(name: string): string }> {
  const root = await mkdtemp(join(tmpdir(), "source-file-"));
  const logs = join(root, "logs");
  const { mkdir } = await import("node:fs/promises");
  await mkdir(logs);
  return {
    logs,
    data: join(root, "data"),
    path: (name) => join(logs, name),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** A consumer that records lines and holds their acknowledgements until it is told to give them. */
export function holdingConsumer() {
  const held: Acknowledgement[] = [];
  const lines: string[] = [];
  const consumer: Consumer<"logs"> = {
    signal: "logs",
    componentId: "test.holding",
    mutates: false,
    consume(batch: LogBatch) {
      for (let i = 0; i < batch.count; i++) {
        lines.push(Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString("utf8"));
      }
      held.push(batch.acknowledgement);
    },
  };
  return { lines, held, value: consumerValue(consumer) };
}

export type Scratch = Awaited<ReturnType<typeof scratch>>;

/** Starts the component on `config`, a recorder being `out`. */
export async function startSource(place: Scratch, config: string, options: { out?: unknown; clock?: Clock } = {}) {
  const recorder = recordLogs();
  const source = await startComponent(component, `forward_to = [out]\n${config}`, {
    dataPath: place.data,
    clock: options.clock ?? fastClock,
    scope: { out: (options.out as typeof recorder.value) ?? recorder.value },
  });
  return { source, recorder, lines: () => recorder.items.map((each) => each.line) };
}

/** Resolves once `check` holds; rejects with what it last said after fifteen seconds. */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  what: () => unknown = () => "",
): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`it did not come about: ${String(await what())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** bzip2's own program compresses, since the agent only decompresses. */
export async function bzip2(text: string): Promise<Buffer> {
  const { spawnSync } = await import("node:child_process");
  const result = spawnSync("bzip2", ["-c"], { input: text, maxBuffer: 1 << 30 });
  if (result.status !== 0) throw new Error(`bzip2 failed: ${result.error ?? result.stderr}`);
  return result.stdout;
}
