import type { Labels } from "#base/labels";
import {
  Counter,
  DEFAULT_BUCKETS,
  Gauge,
  Histogram,
  type Instrument,
  type MetricFamily,
  type MetricSample,
} from "#base/metrics";
import { parseGoFloat, parseGoSeconds } from "#formats/go-number";
import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import { isLabelName, type Stage, type StageContext } from "../stage.ts";

const shared = {
  name: s.string().doc("Name of the metric, behind the prefix."),
  description: s.string().default("").doc("Help text."),
  source: s.string().default("").doc("Extracted value; the metric's name if left out."),
  prefix: s.string().default("loki_process_custom_").doc("Put before the name."),
  max_idle_duration: s.duration().default("5m").doc("How long a series stays after its last change."),
  value: s.string().default("").doc("Count only if the source has this value."),
};

const counterBody = s
  .object({
    ...shared,
    action: s.oneOf(["inc", "add"]).doc("Count entries, or add the source's number."),
    match_all: s.bool().default(false).doc("Whether every entry counts, with or without the source."),
    count_entry_bytes: s.bool().default(false).doc("Whether to add the length of the line; needs `match_all`."),
  })
  .rule("max_idle_duration", (args) => args.max_idle_duration >= 1_000, "must be at least 1s")
  .rule("match_all", (args) => !args.match_all || args.value === "", "and `value` exclude each other")
  .rule(
    "count_entry_bytes",
    (args) => !args.count_entry_bytes || (args.match_all && args.action === "add"),
    'needs `match_all = true` and `action = "add"`',
  )
  .doc("A counter.");

const gaugeBody = s
  .object({ ...shared, action: s.oneOf(["set", "inc", "dec", "add", "sub"]).doc("What to do with the gauge.") })
  .rule("max_idle_duration", (args) => args.max_idle_duration >= 1_000, "must be at least 1s")
  .doc("A gauge.");

const histogramBody = s
  .object({ ...shared, buckets: s.list(s.float()).doc("Upper bounds of the buckets.") })
  .rule("max_idle_duration", (args) => args.max_idle_duration >= 1_000, "must be at least 1s")
  .doc("A histogram.");

export const metricsBody = s
  .object({
    metric: s
      .enumBlocks({ counter: counterBody, gauge: gaugeBody, histogram: histogramBody })
      .doc("Metrics to make from entries."),
  })
  .doc("Makes metrics of entries; they appear among the agent's own.");

type MetricConfig = Infer<typeof metricsBody>["metric"][number];

interface Series<I extends Instrument> {
  readonly labels: readonly string[];
  readonly instrument: I;
  changed: number;
}

/** A metric with one series for each label set, which vanishes after its idle time (Alloy's metric/metricvec.go). */
class MetricVector<I extends Instrument> {
  readonly #name: string;
  readonly #config: MetricConfig;
  readonly #create: () => I;
  readonly #now: () => number;
  readonly #series = new Map<string, Series<I>>();
  #lastLabels: Labels | undefined;
  #last: Series<I> | undefined;

  constructor(config: MetricConfig, create: () => I, now: () => number) {
    this.#config = config;
    this.#name = (config.args.prefix === "" ? "loki_process_custom_" : config.args.prefix) + config.args.name;
    this.#create = create;
    this.#now = now;
  }

  with(labels: Labels): I {
    let series = this.#last;
    if (series === undefined || labels !== this.#lastLabels) {
      const key = labels.toString();
      series = this.#series.get(key);
      if (series === undefined) {
        const clean = labels.filter((name) => isLabelName(name) && !name.startsWith("__"));
        series = { labels: clean.flat, instrument: this.#create(), changed: 0 };
        this.#series.set(key, series);
      }
      this.#lastLabels = labels;
      this.#last = series;
    }
    series.changed = this.#now();
    return series.instrument;
  }

  collect(constant: readonly string[]): MetricFamily {
    const samples: MetricSample[] = [];
    for (const { instrument, labels } of this.#series.values()) {
      instrument.collect(this.#name, [...constant, ...labels], samples);
    }
    const expired = this.#now() - this.#config.args.max_idle_duration;
    for (const [key, series] of this.#series) if (series.changed <= expired) this.#series.delete(key);
    this.#last = undefined;
    return { name: this.#name, help: this.#config.args.description, type: this.#config.kind, samples };
  }
}

/** Alloy's stages/metric.go. */
export function buildMetrics(args: Infer<typeof metricsBody>, context: StageContext): Stage {
  const { clock, registry, metricLabels } = context;
  const now = () => clock.monotonic();
  const vectors: MetricVector<Instrument>[] = [];
  const recorders = args.metric.map((config) => {
    const slot = context.slots.of(config.args.source === "" ? config.args.name : config.args.source);
    const recorder = recorderOf(config, now);
    vectors.push(recorder.vector);
    const { value } = config.args;
    return (entry: Entry) => {
      if (config.kind === "counter" && config.args.match_all) {
        recorder.record(entry.labels, config.args.count_entry_bytes ? entry.lineBytes : undefined);
        return;
      }
      if (!entry.has(slot)) return;
      if (value !== "" && entry.text(slot) !== value) return;
      recorder.record(entry.labels, entry.value(slot));
    };
  });
  const dispose = registry.registerCollector(() => vectors.map((vector) => vector.collect(metricLabels)));
  return {
    process(entry) {
      for (let i = 0; i < recorders.length; i++) recorders[i]!(entry);
      return true;
    },
    close: dispose,
  };
}

interface Recorder {
  readonly vector: MetricVector<Instrument>;
  record(labels: Labels, value: unknown): void;
}

function recorderOf(config: MetricConfig, now: () => number): Recorder {
  switch (config.kind) {
    case "counter": {
      const vector = new MetricVector(config, () => new Counter(), now);
      const record = (labels: Labels, value: unknown) => {
        const by = config.args.action === "inc" ? 1 : toNumber(value);
        // A counter never falls: where Go's client would panic on a negative number, it is left out.
        if (by !== undefined && by >= 0) vector.with(labels).inc(by);
      };
      return { vector, record };
    }
    case "gauge": {
      const vector = new MetricVector(config, () => new Gauge(), now);
      const { action } = config.args;
      const record = (labels: Labels, value: unknown) => {
        const by = action === "inc" || action === "dec" ? 1 : toNumber(value);
        if (by === undefined) return;
        const gauge = vector.with(labels);
        if (action === "set") gauge.set(by);
        else gauge.inc(action === "sub" || action === "dec" ? -by : by);
      };
      return { vector, record };
    }
    case "histogram": {
      // As in Go's client, none means the usual ones.
      const buckets = config.args.buckets.length > 0 ? config.args.buckets : DEFAULT_BUCKETS;
      const vector = new MetricVector(config, () => new Histogram(buckets), now);
      const record = (labels: Labels, value: unknown) => {
        const number = toNumber(value);
        if (number !== undefined) vector.with(labels).observe(number);
      };
      return { vector, record };
    }
  }
}

/** Numbers, booleans, numbers in text, and Go durations in text as seconds; undefined for anything else. */
function toNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return typeof value === "string" ? (parseGoFloat(value) ?? parseGoSeconds(value)) : undefined;
}
