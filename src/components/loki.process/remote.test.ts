import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import type { MetricSample } from "#base/metrics";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { logBatch } from "#pipeline/log-batch";
import { type RecordedEntry, recordLogs, startComponent } from "#pipeline/testing";
import type { WorkerPool } from "#pipeline/worker-pool";
import process from "./loki.process.ts";
import { keepRunning, testPool } from "./remote-testing.ts";

const { pool } = testPool();
keepRunning(pool);
after(() => pool.close());
const { signal } = new AbortController();

interface Item {
  readonly stream: number;
  readonly line: string;
  readonly metadata: readonly string[];
}

/** What each stage of a random pipeline may be. Those with a memory of their streams are among them. */
const STAGES = [
  `stage.regex { expression = "(?P<word>\\\\w+)=(?P<value>\\\\w*)" }`,
  `stage.json { expressions = { level = "level", n = "n" } }`,
  `stage.labels { values = { level = "", word = "" } }`,
  `stage.label_drop { values = ["stream"] }`,
  `stage.static_labels { values = { fixed = "x" } }`,
  `stage.template {
    source   = "text"
    template = "{{ .Value }}{{ .level }}!{{ .Entry }}"
  }
  stage.output { source = "text" }`,
  `stage.match {
    selector = "{level=\\"debug\\"}"
    action   = "drop"
  }`,
  `stage.match {
    selector = "{app=\\"a\\"} |= \\"n\\""
    stage.structured_metadata { values = { n = "" } }
    stage.drop { expression = "7" }
  }`,
  `stage.drop {
    source = "n"
    value  = "3"
    drop_counter_reason = "three"
  }`,
  `stage.timestamp {
    source = "n"
    format = "Unix"
  }`,
  `stage.multiline {
    firstline     = "^(\\\\{|start)"
    max_lines     = 4
    max_wait_time = "1h"
  }`,
  `stage.cri { }`,
  `stage.split_json { }`,
  `stage.pack {
    labels           = ["app"]
    ingest_timestamp = false
  }`,
  `stage.truncate {
    rule {
      limit  = "20B"
      suffix = "…"
    }
    rule {
      limit       = "3B"
      source_type = "label"
    }
  }`,
  `stage.replace {
    expression = "(\\\\d+)"
    replace    = "<number {{ .Value }}>"
  }`,
  `stage.decolorize { }`,
  `stage.sampling { rate = 1 }`,
  `stage.tenant { label = "app" }`,
  `stage.label_keep { values = ["app", "level"] }`,
];

const line = fc.oneof(
  fc.nat(12).map((n) => `{"level":"debug","n":${n}}`),
  fc.nat(12).map((n) => `{"level":"info","n":"${n}"}`),
  fc.nat(9).map((n) => `start word=v${n}`),
  fc.nat(9).map((n) => `  at ${n}`),
  fc.nat(9).map((n) => `2026-01-01T00:00:0${n}.5Z stdout P part ${n} `),
  fc.nat(9).map((n) => `2026-01-01T00:00:0${n}.5Z stderr F end ${n}`),
  fc.nat(9).map((n) => `[${n}, {"n":${n}}, "x"]`),
  fc.string({ maxLength: 30 }).map((text) => text.replaceAll("\n", " ")),
  fc.constant("ünïcode ✓ \u001b[31mred\u001b[0m"),
);
const item = fc.record({
  stream: fc.nat(3),
  line,
  metadata: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.constant(["id", "m1"]) }),
});
const batches = fc.array(fc.array(item, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 8 });
const pipelines = fc.array(fc.constantFrom(...STAGES), { minLength: 1, maxLength: 5 });

const STREAMS = [0, 1, 2, 3].map((i) =>
  Labels.from([
    ["app", i < 2 ? "a" : "b"],
    ["stream", String(i)],
  ]),
);

async function outcome(config: string, input: readonly (readonly Item[])[], workers: WorkerPool | undefined) {
  const recorder = recordLogs();
  const component = await startComponent(process, `forward_to = [sink]\n${config}`, {
    scope: { sink: recorder.value },
    services: { workers },
  });
  const acknowledged: number[] = [];
  let at = 0;
  for (const [i, items] of input.entries()) {
    const entries = items.map((each) => {
      at += 1;
      const { line: text } = each;
      const metadata = [...each.metadata, "source", String(each.stream)];
      return { line: text, labels: STREAMS[each.stream]!, metadata, ms: 1_700_000_000_000 + at, ns: at };
    });
    const batch = logBatch(entries, i % 3 === 2 ? undefined : new Acknowledgement(() => void acknowledged.push(i)));
    await component.exports.receiver.consume(batch, signal);
    batch.data.fill(0); // lent until here
  }
  await component.instance.drain!(signal);
  const metrics = component.services.metrics.collect().flatMap(({ samples }) => samples.map(sampleText));
  await component.stop();
  return {
    items: recorder.items,
    acknowledged: acknowledged.toSorted(),
    dropped: [...(component.flow.dropped.get("logs") ?? [])].sort(),
    droppedItems: component.flow.droppedItems,
    metrics: metrics.sort(),
    logs: component.logs
      .filter(({ message }) => !/worker threads|stays in/.test(message))
      // How many lines the first batch had of a kind depends on who got which of its lines.
      .map(({ level, message, fields }) => `${level} ${message} ${fields.filter(([key]) => key !== "lines")}`)
      .sort(),
  };
}

function sampleText({ name, labels, value }: MetricSample): string {
  return `${name}{${labels}} ${value}`;
}

/** Entries by the stream that they came in with, which their metadata tells: within it order counts. */
function byStream(items: readonly RecordedEntry[]): Map<string, RecordedEntry[]> {
  const streams = new Map<string, RecordedEntry[]>();
  for (const each of items.toSorted((a, b) => (sourceOf(a) < sourceOf(b) ? -1 : 1))) {
    const known = streams.get(sourceOf(each));
    if (known === undefined) streams.set(sourceOf(each), [each]);
    else known.push(each);
  }
  return streams;
}

function sourceOf({ metadata = [] }: RecordedEntry): string {
  return metadata[metadata.indexOf("source") + 1]!;
}

test("workers give what the main thread gives: entries in order, metadata, drops, metrics, logs, acknowledgements", async () => {
  await fc.assert(
    fc.asyncProperty(pipelines, batches, async (stages, input) => {
      const config = stages.join("\n");
      const here = await outcome(config, input, undefined);
      const there = await outcome(config, input, pool);
      // What is flushed at the end comes in another order of streams.
      assert.deepEqual(byStream(there.items), byStream(here.items));
      assert.deepEqual({ ...there, items: [] }, { ...here, items: [] });
    }),
    { numRuns: Number(globalThis.process.env.RUNS ?? 60) },
  );
});
