import { totalmem } from "node:os";
import { roughByteSize } from "#base/bytesize";
import { counter } from "#base/metrics";
import { releaseMemory } from "#kits/memory-release";
import { outputsOf } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { RetryableError } from "#pipeline/errors";
import { type Limits, UsageCheck } from "./usage-check.ts";

const MEBIBYTE = 1 << 20;
/** Whoever was refused is asked to come again after the next look, within these bounds. */
const SHORTEST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

const percentage = () => s.int(0, 100).default(0);
const args = s
  .object({
    check_interval: s.duration().doc("Time between two looks at the memory in use."),
    limit: s
      .byteSize()
      .default("0MiB")
      .doc(
        "Memory that the agent shall not exceed: all that it has in memory (RSS), buffers outside of its heap included.",
      ),
    spike_limit: s
      .byteSize()
      .default("0B")
      .doc(
        "What may come between two looks: data is refused from `limit` less this on. A fifth of `limit` by default.",
      ),
    limit_percentage: percentage().doc("The limit as a part of the memory of the control group, or of the machine."),
    spike_limit_percentage: percentage().doc("The spike limit as a part of the same memory."),
    output: s.block(outputSchema).required().doc("Where the data goes."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("check_interval", (a) => a.check_interval > 0, "must be greater than zero")
  .rule(
    "limit",
    (a) => a.limit === 0 || a.limit_percentage === 0,
    "cannot be used together with `limit_percentage`: give one of them",
  )
  .rule(
    "limit",
    (a) => a.limit > 0 || a.limit_percentage > 0,
    "or `limit_percentage` must be greater than zero: say how much memory the agent may use",
  )
  .rule("limit", (a) => a.limit === 0 || a.limit >= MEBIBYTE, "must be at least 1MiB")
  .rule("spike_limit", (a) => a.limit === 0 || a.spike_limit < a.limit, "must be less than `limit`")
  .rule(
    "spike_limit_percentage",
    (a) => a.limit_percentage === 0 || a.spike_limit_percentage > 0,
    "must be greater than zero when `limit_percentage` is given, such as a fifth of it",
  )
  .rule(
    "spike_limit_percentage",
    (a) => a.limit_percentage === 0 || a.spike_limit_percentage < a.limit_percentage,
    "must be less than `limit_percentage`",
  )
  .suspect((a) => {
    const [field, other] =
      a.limit > 0 ? (["spike_limit_percentage", "limit_percentage"] as const) : (["spike_limit", "limit"] as const);
    if (a[field] === 0) return [];
    return [{ field, message: `has no effect without \`${other}\``, hint: `leave it out, or give \`${other}\`` }];
  });
type Arguments = Infer<typeof args>;

const items = (fate: "accepted" | "refused", item: string, text: string) =>
  counter(
    `otelcol_processor_memory_limiter_${fate}_${item}_total`,
    fate === "accepted"
      ? `Number of ${text} successfully pushed into the next component in the pipeline.`
      : `Number of ${text} that were rejected by the next component in the pipeline.`,
    ["processor"],
  );
const METRICS = {
  acceptedTraces: items("accepted", "spans", "spans"),
  acceptedMetrics: items("accepted", "metric_points", "metric points"),
  acceptedLogs: items("accepted", "log_records", "log records"),
  refusedTraces: items("refused", "spans", "spans"),
  refusedMetrics: items("refused", "metric_points", "metric points"),
  refusedLogs: items("refused", "log_records", "log records"),
};

export default defineComponent({
  name: "otelcol.processor.memory_limiter",
  stability: "generally-available",
  summary: "Refuses data while the agent uses too much memory, so that clients send it again later.",
  example: `otelcol.processor.memory_limiter "default" {
  check_interval = "1s"
  limit          = "1GiB"

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
    const outputs = outputsOf(ctx, first.output);
    const limits = limitsOf(first);
    const check = new UsageCheck(limits, { used: () => process.memoryUsage.rss(), release: releaseMemory }, ctx);
    const id = `memory_limiter/${ctx.id}`;
    const { acceptedTraces, acceptedMetrics, acceptedLogs, refusedTraces, refusedMetrics, refusedLogs } = ctx.metrics;
    const accepted = {
      traces: acceptedTraces.labels(id),
      metrics: acceptedMetrics.labels(id),
      logs: acceptedLogs.labels(id),
    };
    const refused = {
      traces: refusedTraces.labels(id),
      metrics: refusedMetrics.labels(id),
      logs: refusedLogs.labels(id),
    };
    // A batch without a client that waits is offered again until it is taken, and counts as refused once.
    const known = new WeakSet<OtlpBatch>();
    const retryAfterMs = Math.max(SHORTEST_RETRY_MS, Math.min(LONGEST_RETRY_MS, first.check_interval));

    ctx.log.info("memory limits", { limit: roughByteSize(limits.hard), refuse_from: roughByteSize(limits.soft) });
    ctx.rule("memory_limit", () => {
      const cause = check.problem;
      return cause === undefined ? undefined : { state: "failing", cause };
    });
    ctx.every(first.check_interval, () => {
      const before = check.mustRefuse;
      check.look();
      if (check.mustRefuse !== before) ctx.flow.judge();
    });
    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          if (check.mustRefuse) {
            if (!known.has(batch)) refused[batch.kind].inc(batch.items);
            known.add(batch);
            const refusal = new RetryableError("data refused due to high memory usage", { retryAfterMs });
            // What waits needs memory too.
            batch.waiting?.sendAway(refusal);
            throw refusal;
          }
          accepted[batch.kind].inc(batch.items);
          return outputs[batch.kind].consume(batch, signal);
        },
        { mutates: false },
      ),
    });
    return {
      debugInfo: () => ({
        used_bytes: check.used,
        limit_bytes: limits.hard,
        refuse_from_bytes: limits.soft,
        refuses: check.mustRefuse,
      }),
    };
  },
});

/** Upstream counts percentages of what the control group allows, or of the machine's memory where it allows more. */
function limitsOf(a: Arguments): Limits {
  const total = Math.min(process.constrainedMemory() || Infinity, totalmem());
  const hard = a.limit > 0 ? a.limit : (a.limit_percentage * total) / 100;
  const spike = a.limit > 0 ? a.spike_limit || a.limit / 5 : (a.spike_limit_percentage * total) / 100;
  return { hard: Math.trunc(hard), soft: Math.trunc(hard - spike) };
}
