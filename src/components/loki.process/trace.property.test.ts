import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { createLogger } from "#base/log";
import { ManualClock } from "#base/manual-clock.testing";
import { MetricRegistry } from "#base/metrics";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { logBatch } from "#pipeline/log-batch";
import { type EntryTrace, Tap } from "#pipeline/tap";
import { decodeArguments } from "#pipeline/testing";
import process from "./loki.process.ts";
import { Pipeline } from "./pipeline.ts";
import { PROCESS_METRICS } from "./stage.ts";
import { stageBodies } from "./stages.ts";
import { Tracer } from "./trace.ts";

/** A stage of each kind, or several; those that use what others extract use the same few names. */
const STAGES = [
  "stage.cri {}",
  "stage.decolorize {}",
  "stage.docker {}",
  'stage.drop { expression = "er+or" }',
  `stage.drop {
     source = "level"
     value  = "debug"
   }`,
  'stage.json { expressions = { level = "", msg = "", n = "", inner = "a.b || c" } }',
  `stage.json {
     regex          = ".*"
     expressions    = { msg = "" }
     drop_malformed = true
   }`,
  'stage.label_drop { values = ["app"] }',
  'stage.label_keep { values = ["app", "level"] }',
  'stage.labels { values = { level = "", msg = "" } }',
  `stage.limit {
     rate  = 1
     burst = 4
     drop  = true
   }`,
  'stage.logfmt { mapping = { level = "", msg = "" } }',
  'stage.logfmt { regex = "." }',
  "stage.luhn {}",
  `stage.metrics {
     metric.counter {
       name   = "n"
       action = "inc"
       source = "level"
     }
   }`,
  `stage.multiline {
     firstline = "^\\\\S"
     max_lines = 3
   }`,
  'stage.output { source = "msg" }',
  `stage.pack {
     labels           = ["app", "level"]
     ingest_timestamp = false
   }`,
  'stage.pattern { pattern = "<level> <msg>" }',
  'stage.regex { expression = "(?P<level>\\\\w+)=(?P<msg>.*)" }',
  `stage.regex {
     expression        = "(?P<n>\\\\d+)"
     source            = "msg"
     labels_from_groups = true
   }`,
  `stage.replace {
     expression = "(o)"
     replace    = "{{ .Value | ToUpper }}{{ .level }}"
   }`,
  "stage.sampling { rate = 0.5 }",
  "stage.split_json {}",
  'stage.static_labels { values = { app = "new", s = "1" } }',
  'stage.structured_metadata { values = { level = "", m = "app" } }',
  'stage.structured_metadata { regex = "l" }',
  'stage.structured_metadata_drop { values = ["level"] }',
  `stage.template {
     source   = "msg"
     template = "{{ .level }}-{{ .Entry }}"
   }`,
  'stage.tenant { source = "level" }',
  `stage.timestamp {
     source = "n"
     format = "Unix"
   }`,
  `stage.truncate {
     rule {
       limit       = "6B"
       source_type = "extracted"
     }
     rule { limit = "12B" }
   }`,
] as const;

const stageText = fc.letrec<{ list: string; one: string }>((tie) => ({
  one: fc.oneof(
    { depthSize: "small" },
    { weight: 12, arbitrary: fc.constantFrom(...STAGES) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('{app=\\"web\\"}', '{none=\\"\\"} |~ \\"o\\"'), tie("list"))
        .map(([selector, inner]) => `stage.match {\nselector = "${selector}"\n${inner}\n}`),
    },
    {
      weight: 1,
      arbitrary: fc.constant('stage.match {\nselector = "{app=\\"db\\"}"\naction = "drop"\n}'),
    },
  ),
  list: fc.array(tie("one"), { minLength: 1, maxLength: 6 }).map((each) => each.join("\n")),
})).list;

const CRI = "2026-11-20T00:00:00.000000001Z stdout";
const LINES = [
  '{"level":"debug","msg":"a\\u00e9b","n":12,"a":{"b":"deep"}}',
  '{"level":"info","msg":"error 7","n":"3"}',
  '{"log":"from docker\\n","stream":"stderr","time":"2026-11-20T00:00:00Z"}',
  '[1, "two", {"level": "warn"}]',
  'level=debug msg="hello you" n=4',
  "level=info msg=plain",
  `${CRI} P first `,
  `${CRI} F level=debug msg=whole`,
  "START",
  "  at somewhere",
  "4111 1111 1111 1111 4111111111111111",
  "\u001b[31mred\u001b[0m",
  "",
];
/** Also bytes that are no UTF-8, which must come out as they went in wherever they do without a trace. */
const lineBytes = fc.oneof(
  fc.constantFrom(...LINES).map((text) => Buffer.from(text)),
  fc.constantFrom(...LINES).map((text) => Buffer.from(text.replace("e", "\u00ff"), "latin1")),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
);
const entry = fc.record({
  line: lineBytes,
  app: fc.constantFrom("web", "db", ""),
  metadata: fc.constantFrom(undefined, ["level", "meta"], ["x", "1"]),
});
const batches = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 4 });

type Entries = readonly (readonly { line: Uint8Array; app: string; metadata: readonly string[] | undefined }[])[];

/** Everything that a pipeline does with some batches; what is emitted between and after them included. */
async function outcome(config: string, input: Entries, wants: (() => boolean) | undefined) {
  const args = decodeArguments(process, `forward_to = []\n${config}`);
  const clock = new ManualClock();
  const registry = new MetricRegistry();
  const dropped: string[] = [];
  let seed = 7;
  const traces: EntryTrace[] = [];
  const tap = new Tap();
  if (wants !== undefined) tap.watchTraces({ wants, show: (trace) => void traces.push(trace) });
  const tracer = wants === undefined ? undefined : new Tracer(tap);
  const pipeline = new Pipeline(args.stage, {
    clock,
    log: createLogger({ enabled: () => false, write: () => {} }),
    metrics: registry.register(PROCESS_METRICS).instruments,
    registry,
    metricLabels: [],
    dropped: (reason, count) => void dropped.push(`${reason} ${count}`),
    random: () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647,
  });
  const out: string[][] = [];
  const lines: string[] = [];
  let safe = 0;
  const take = (batch: LogBatch | undefined) => {
    if (batch === undefined) return;
    const entries: string[] = [];
    for (let i = 0; i < batch.count; i++) {
      const bytes = Buffer.from(batch.data.subarray(batch.start[i], batch.end[i]));
      lines.push(bytes.toString("utf8"));
      const labels = batch.streams[batch.stream[i]!]!;
      entries.push(`${bytes.toString("hex")} ${labels} ${batch.ms[i]} ${batch.ns[i]} ${batch.metadata?.[i]}`);
    }
    out.push(entries);
    batch.acknowledgement.release();
  };
  for (const entries of input) {
    const given = entries.map(({ line, app, metadata }, i) => ({
      line,
      labels: app === "" ? Labels.empty : Labels.from([["app", app]]),
      ms: 1_000 + i,
      ns: i,
      ...(metadata !== undefined && { metadata }),
    }));
    const batch = logBatch(given, new Acknowledgement(() => void (safe += 1)));
    const applied = pipeline.apply(batch, tracer);
    take(applied);
    pipeline.recycle(applied, batch);
    await clock.advance(1_600);
    take(pipeline.flush(false, tracer));
  }
  take(pipeline.flush(true, tracer));
  const metrics = registry.collect().map(({ name, samples }) => [name, samples]);
  pipeline.close();
  return { result: { out, dropped, metrics, safe }, lines, traces };
}

test("tracing all, some or no entries gives the same output", async () => {
  await fc.assert(
    fc.asyncProperty(stageText, batches, async (config, input) => {
      const plain = await outcome(config, input, undefined);
      assert.equal(plain.result.safe, input.length);
      let asked = 0;
      const some = await outcome(config, input, () => ++asked % 3 !== 0);
      assert.deepEqual(some.result, plain.result);
      const all = await outcome(config, input, () => true);
      assert.deepEqual(all.result, plain.result);
      const arrived = all.traces.filter((trace) => trace.outcome === "passed");
      assert.deepEqual(
        arrived.map(({ before, steps }) => (steps.at(-1)?.after ?? before).line),
        all.lines,
        "each entry that comes out has a trace that ends with it",
      );
      for (const { steps } of all.traces) {
        assert.ok(steps.slice(0, -1).every((step) => step.outcome === "passed"));
        assert.equal(new Set(steps.map(({ stage }) => stage)).size, steps.length);
      }
    }),
    { numRuns: 300 },
  );
});

test("a trace that is dropped says so with the reason under which the drop is counted", async () => {
  await fc.assert(
    fc.asyncProperty(stageText, batches, async (config, input) => {
      const { result, traces } = await outcome(config, input, () => true);
      const counted = new Map<string, number>();
      for (const each of result.dropped) {
        const [reason, count] = each.split(" ");
        counted.set(reason!, (counted.get(reason!) ?? 0) + Number(count));
      }
      const traced = new Map<string, number>();
      for (const { steps } of traces) {
        const last = steps.at(-1);
        if (last?.outcome !== "dropped") continue;
        const [reason] = last.reason!.split(":");
        traced.set(reason!, (traced.get(reason!) ?? 0) + 1);
      }
      assert.deepEqual(new Map([...traced].toSorted()), new Map([...counted].toSorted()));
    }),
    { numRuns: 100 },
  );
});

test("the property covers every stage that is supported", () => {
  const unsupported = new Set(["eventlogmessage", "geoip", "windowsevent"]);
  const text = `${STAGES.join("\n")} stage.match {}`;
  for (const kind of Object.keys(stageBodies)) {
    if (!unsupported.has(kind)) assert.match(text, new RegExp(`stage\\.${kind} \\{`));
  }
});
