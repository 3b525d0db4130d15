import { Labels } from "#base/labels";
import { ManualClock } from "#base/manual-clock.testing";
import { logBatch } from "#pipeline/log-batch";
import { consumerValue, startComponent } from "#pipeline/testing";
import process from "../../src/components/loki.process/loki.process.ts";
import { type Case, type CaseEntry, formatEntry } from "./case-file.ts";

/** What a case came to, as its file would have it. */
export interface Outcome {
  /** The diagnostic if the configuration was refused. */
  readonly refused?: string;
  readonly entries: readonly string[];
  readonly counts: readonly string[];
}

/** Entries in batches as large as possible, or each in a batch of its own. */
export type Batching = "at once" | "one by one";

const { signal } = new AbortController();
/** Our own metrics, which Alloy does not have. */
const OWN = new Set(["loki_process_unmatched_lines_total", "loki_process_stage_lines_total"]);

/** Runs a case through the real component. */
export async function runCase(given: Pick<Case, "config" | "clock" | "steps">, batching: Batching): Promise<Outcome> {
  const clock = new ManualClock(Number(given.clock / 1_000_000n));
  const entries: CaseEntry[] = [];
  const recorder = consumerValue<"logs">({
    signal: "logs",
    componentId: "test.recorder",
    mutates: false,
    consume(batch) {
      for (let i = 0; i < batch.count; i++) {
        const flat = batch.metadata?.[i] ?? [];
        entries.push({
          labels: new Map(batch.streams[batch.stream[i]!]!),
          time: BigInt(batch.ms[i]!) * 1_000_000n + BigInt(batch.ns[i]!),
          metadata: flat.flatMap((name, k) => (k % 2 === 0 ? [[name, flat[k + 1]!] as const] : [])),
          line: Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])),
        });
      }
      batch.acknowledgement.release();
    },
  });
  let component: Awaited<ReturnType<typeof startProcess>>;
  const startProcess = () =>
    startComponent(process, `forward_to = [sink]\n${given.config}`, { scope: { sink: recorder }, clock });
  try {
    component = await startProcess();
  } catch (error) {
    return { refused: (error as Error).message, entries: [], counts: [] };
  }
  const { receiver } = component.exports as {
    receiver: { consume(batch: ReturnType<typeof logBatch>, signal: AbortSignal): unknown };
  };
  let waiting: CaseEntry[] = [];
  const send = async () => {
    if (waiting.length === 0) return;
    const batch = logBatch(
      waiting.map((entry) => ({
        labels: Labels.from(entry.labels),
        ms: Number(entry.time / 1_000_000n),
        ns: Number(entry.time % 1_000_000n),
        line: entry.line,
        ...(entry.metadata.length > 0 && { metadata: entry.metadata.flat() }),
      })),
    );
    waiting = [];
    await clock.until(Promise.resolve(receiver.consume(batch, signal)));
  };
  for (const step of given.steps) {
    if ("waitMs" in step) {
      await send();
      await clock.advance(step.waitMs);
      continue;
    }
    waiting.push(step);
    if (batching === "one by one") await send();
  }
  await send();
  await component.instance.drain?.(signal); // what stages keep counts too, and the counts go with the component
  const counts = countsOf(component.services.metrics.collect());
  await component.stop();
  if (component.failures.length > 0) throw component.failures[0];
  return { entries: entries.map((entry) => formatEntry(entry, given.clock)), counts };
}

type Families = ReturnType<Awaited<ReturnType<typeof startComponent>>["services"]["metrics"]["collect"]>;

/** Samples that Alloy would have too: those of counters that are still zero appear there only once they count. */
function countsOf(families: Families): string[] {
  const lines: string[] = [];
  for (const { name, samples } of families) {
    if (OWN.has(name)) continue;
    for (const sample of samples) {
      if (sample.value === 0 && name.startsWith("loki_process_") && !name.startsWith("loki_process_custom_")) continue;
      const labels: string[] = [];
      for (let i = 0; i < sample.labels.length; i += 2) {
        const label = sample.labels[i]!;
        if (!label.startsWith("component_")) labels.push(`${label}="${escaped(sample.labels[i + 1]!)}"`);
      }
      lines.push(`${sample.name}${labels.length === 0 ? "" : `{${labels.sort().join(",")}}`} ${sample.value}`);
    }
  }
  return lines.sort();
}

/** As in Prometheus's text format; a case's line has no room for other control characters. */
function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}
