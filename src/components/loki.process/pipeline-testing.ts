import type { Clock } from "#base/clock";
import { Labels } from "#base/labels";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { logBatch } from "#pipeline/log-batch";
import { type RecordedEntry, recordLogs, startComponent, type TestComponent } from "#pipeline/testing";
import process from "./loki.process.ts";

/** Runs entries through stages, for tests. */

export interface Line {
  readonly line: string | Uint8Array;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ms?: number;
  readonly ns?: number;
  readonly metadata?: readonly string[];
}

export interface StageRun extends AsyncDisposable {
  readonly component: TestComponent<unknown, { receiver: { consume(batch: never, signal: AbortSignal): unknown } }>;
  readonly items: RecordedEntry[];
  send(lines: readonly (string | Line)[], acknowledgement?: Acknowledgement): Promise<void>;
}

const { signal } = new AbortController();

export async function startStages(config: string, options: { clock?: Clock } = {}): Promise<StageRun> {
  const recorder = recordLogs();
  const component = await startComponent(process, `forward_to = [sink]\n${config}`, {
    scope: { sink: recorder.value },
    ...options,
  });
  return {
    component: component as never,
    items: recorder.items,
    async send(lines, acknowledgement) {
      const entries = lines.map((each) => {
        const { labels = {}, ...entry } = typeof each === "string" ? { line: each } : each;
        return { ...entry, labels: Labels.from(Object.entries(labels)) };
      });
      await component.exports.receiver.consume(logBatch(entries, acknowledgement), signal);
    },
    [Symbol.asyncDispose]: () => component.stop(),
  };
}

/** What comes out of stages for some lines, in short: `{labels} line`. */
export async function runStages(
  config: string,
  lines: readonly (string | Line)[],
  options: { clock?: Clock } = {},
): Promise<string[]> {
  await using run = await startStages(config, options);
  await run.send(lines);
  return run.items.map(({ labels, line }) => `${labels} ${line}`);
}
