import { type Counter, counter } from "#base/metrics";
import { OtlpRecord } from "#formats/otlp/record";
import { members, removeIf, resourceGroups } from "#formats/otlp/walk";
import { outputsOf, type PartEdit, processingInput, restOf } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { type Infer, s } from "#lang/schema";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { type Decision, Sampler, type SamplingReason } from "./sampler.ts";

const LEAST_PERCENTAGE = 100 * 2 ** -56;

const args = s
  .object({
    sampling_percentage: s.float().default(0).doc("Part of the traces or log records to keep; 100 and more keeps all."),
    hash_seed: s
      .int(0, 2 ** 32 - 1)
      .default(0)
      .doc("Seed of the hash of trace ids; collectors one after the other need different ones."),
    mode: s
      .oneOf(["", "hash_seed", "equalizing", "proportional"])
      .default("")
      .doc(
        "How to decide: `hash_seed` (also if empty) by a hash of the trace id, `equalizing` and `proportional` by OpenTelemetry's consistent sampling, to one rate for all or by that part of what comes.",
      ),
    fail_closed: s.bool().default(true).doc("Whether items that cannot be sampled as the mode wants are dropped."),
    sampling_precision: s.int(1, 14).default(4).doc("Hexadecimal digits of thresholds."),
    attribute_source: s
      .oneOf(["traceID", "record"])
      .default("traceID")
      .doc("What log records are sampled by: their trace id, or `from_attribute`. Only for `hash_seed`."),
    from_attribute: s
      .string()
      .default("")
      .doc("Attribute of log records that is hashed if there is no trace id, or instead of it. Only for `hash_seed`."),
    sampling_priority: s
      .string()
      .default("")
      .doc("Attribute of log records that holds the percentage at which to keep the record."),
    output: s.block(outputSchema).required().doc("Where the data goes that is kept."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("sampling_percentage", (a) => a.sampling_percentage >= 0, "must not be negative")
  .rule(
    "sampling_percentage",
    (a) => a.sampling_percentage <= 0 || a.sampling_percentage >= LEAST_PERCENTAGE,
    "is too small: less than one in 2^56",
  )
  .rule("sampling_percentage", (a) => a.sampling_percentage < Infinity, "must be a number")
  .suspect((a) => {
    if (a.sampling_percentage > 0 || a.sampling_priority !== "") return [];
    const message = "is 0: all is dropped but spans whose `sampling.priority` says otherwise";
    return [{ field: "sampling_percentage", message, hint: "set the percentage that is to be kept" }];
  })
  .suspect((a) => {
    if (a.mode === "" || a.mode === "hash_seed") return [];
    const message = `has no effect with \`mode = "${a.mode}"\`, which goes by trace ids only`;
    return a.from_attribute === ""
      ? []
      : [{ field: "from_attribute", message, hint: 'use `mode = "hash_seed"`, or leave it out' }];
  });
type Arguments = Infer<typeof args>;

/** Metrics pass upstream's processor by as well: it does not know them. */
const SAMPLED = ["traces", "logs"] as const;
const ITEMS = { traces: "spans", logs: "log records" } as const;

const METRICS = {
  traces: counter(
    "otelcol_processor_probabilistic_sampler_count_traces_sampled_total",
    "Count of traces that were sampled or not.",
    ["policy", "sampled"],
  ),
  logs: counter(
    "otelcol_processor_probabilistic_sampler_count_logs_sampled_total",
    "Count of logs that were sampled or not.",
    ["policy", "sampled"],
  ),
};

/** What is wrong with items that cannot be sampled as the mode wants, and what to do. */
const EXPLANATIONS: Readonly<Record<SamplingReason, string>> = {
  inconsistent_threshold:
    "their threshold says that they should not be here: something before changed their trace id or `ot=rv`",
  malformed_sampling_state:
    "their trace state, or `sampling.threshold` and `sampling.randomness` of log records, cannot be read",
  missing_randomness:
    "they have no trace id, and nothing else to sample by: see `from_attribute` and `attribute_source`",
  randomness_in_use:
    'they carry randomness of OpenTelemetry\'s sampling (`ot=rv`) already: use `mode = "equalizing"` or "proportional"',
  threshold_in_use:
    'they carry a threshold of OpenTelemetry\'s sampling (`ot=th`) already: use `mode = "equalizing"` or "proportional"',
};

export default defineComponent({
  name: "otelcol.processor.probabilistic_sampler",
  stability: "generally-available",
  summary: "Keeps a part of the traces or log records, chosen by their trace ids.",
  example: `otelcol.processor.probabilistic_sampler "default" {
  sampling_percentage = 15
  mode                = "proportional"

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: METRICS,

  start(ctx, first) {
    const edits = {
      traces: samplingEdit(ctx, "traces", first),
      logs: samplingEdit(ctx, "logs", first),
    };
    ctx.export({ input: processingInput(ctx, outputsOf(ctx, first.output), edits) });
  },
});

type Context = ComponentContext<Infer<typeof inputExports>, typeof METRICS>;

/** Removes what is not sampled, and groups that are empty then. */
function samplingEdit(ctx: Context, kind: (typeof SAMPLED)[number], given: Arguments): PartEdit {
  const sampler = new Sampler(kind, {
    percentage: given.sampling_percentage,
    hashSeed: given.hash_seed,
    mode: given.mode === "" ? "hash_seed" : given.mode,
    failClosed: given.fail_closed,
    precision: given.sampling_precision,
    logsByTraceId: given.attribute_source === "traceID",
    fromAttribute: given.from_attribute,
    priority: given.sampling_priority,
  });
  const counts = policyCounts(ctx.metrics[kind]);
  const drops = new Drops(ctx, kind);
  const request = new OtlpRecord();
  const lent = new OtlpRecord();
  return (part) => {
    const resources = resourceGroups(request.reset(part));
    removeIf(resources, (r) => {
      const scopes = members(resources.at(r));
      removeIf(scopes, (i) => {
        const items = members(scopes.at(i));
        removeIf(items, (k) => {
          const item = items.borrow(k, lent);
          const decision = sampler.decide(item);
          counts(decision);
          if (decision.isSampled) items.giveBack(k, item);
          else drops.add(decision.error);
          return !decision.isSampled;
        });
        return items.length === 0;
      });
      return scopes.length === 0;
    });
    return restOf(request, part, drops.flush());
  };
}

/** Counts decisions; children of the metric are kept by policy. */
function policyCounts(family: Counter): (decision: Decision) => void {
  const children = new Map<string, { readonly yes: Counter; readonly no: Counter }>();
  return ({ policy, isSampled }) => {
    let found = children.get(policy);
    if (found === undefined) {
      found = { yes: family.labels(policy, "true"), no: family.labels(policy, "false") };
      children.set(policy, found);
    }
    (isSampled ? found.yes : found.no).inc();
  };
}

/** What was dropped from a request, counted once for all of it. */
class Drops {
  readonly #ctx: Context;
  readonly #item: string;
  readonly #counts = new Map<SamplingReason | "not_sampled", number>();
  readonly #recent = new RecentDrops();

  constructor(ctx: Context, kind: (typeof SAMPLED)[number]) {
    this.#ctx = ctx;
    this.#item = ITEMS[kind];
    ctx.rule(`${kind}_without_decision`, () => {
      const recent = this.#recent.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      return {
        state: "degraded",
        cause: `dropped, since \`fail_closed\` is true: ${describeDrops(recent, this.#item)}: ${recent[0]!.text}; with \`fail_closed = false\` they are kept`,
      };
    });
  }

  add(error: SamplingReason | undefined): void {
    const reason = error ?? "not_sampled";
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }
  /** Tells of what was dropped since the last time, and how many items it was. */
  flush(): number {
    let all = 0;
    for (const [reason, items] of this.#counts) {
      all += items;
      this.#ctx.flow.drop("otlp", reason, items);
      if (reason === "not_sampled") continue;
      const text = EXPLANATIONS[reason];
      const unlogged = this.#recent.add(reason, items, text, this.#ctx.clock.now());
      if (unlogged !== undefined)
        this.#ctx.log.warn(`${this.#item} were dropped that cannot be sampled`, { reason, items: unlogged, text });
    }
    this.#counts.clear();
    return all;
  }
}
