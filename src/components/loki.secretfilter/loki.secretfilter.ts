import { counter, summary } from "#base/metrics";
import { s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { EntryFilter } from "./entry-filter.ts";
import { loadDetector } from "./load-rules.ts";
import { TimeoutWatch } from "./timeout-watch.ts";

const DEFAULT_PERCENT = 80;

export default defineComponent({
  name: "loki.secretfilter",
  stability: "public-preview",
  summary: "Redacts secrets in log lines, such as API keys and passwords, by the rules of Gitleaks.",
  example: `loki.secretfilter "example" {
  forward_to  = []
  redact_with = "<REDACTED:$SECRET_NAME>"
}`,
  args: s
    .object({
      forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
      origin_label: s
        .string()
        .default("")
        .doc("The label whose value is `origin` in `loki_secretfilter_secrets_redacted_by_category_total`."),
      redact_with: s
        .string()
        .default("")
        .doc("What takes a secret's place: `$SECRET_NAME` is the rule that found it, `$SECRET_HASH` its SHA-1."),
      redact_percent: s
        .int(0, 100)
        .default(DEFAULT_PERCENT)
        .doc("Without `redact_with`: how much of a secret is redacted, its beginning stays; 0 means 80."),
      gitleaks_config: s
        .string()
        .default("")
        .doc("Path of a TOML file with rules in Gitleaks' form; the rules that Gitleaks has built in if empty."),
      rate: s.float(0, 1).default(1).doc("The share of entries that are looked at; the others pass unchanged."),
      processing_timeout: s.duration().default("0s").doc("Longest time for one entry; 0 for no limit."),
      drop_on_timeout: s
        .bool()
        .default(false)
        .doc("Drop entries that take longer, rather than redacting what was found by then."),
      label_timed_out: s
        .bool()
        .default(false)
        .doc('Add the label `secretfilter="timed-out"` to entries that take longer and are not dropped.'),
    })
    .rule(
      "drop_on_timeout",
      (args) => !args.drop_on_timeout || args.processing_timeout > 0,
      "has no effect without `processing_timeout`",
    )
    .rule(
      "label_timed_out",
      (args) => !args.label_timed_out || args.processing_timeout > 0,
      "has no effect without `processing_timeout`",
    ),
  exports: s.object({ receiver: s.consumer("logs").doc("Takes entries to redact.") }),
  metrics: {
    redacted: counter("loki_secretfilter_secrets_redacted_total", "Total number of secrets that have been redacted."),
    redactedByRule: counter(
      "loki_secretfilter_secrets_redacted_by_category_total",
      "Number of secrets redacted, partitioned by rule name and origin label value.",
      ["rule", "origin"],
    ),
    duration: summary(
      "loki_secretfilter_processing_duration_seconds",
      "Summary of the time taken to process and redact logs in seconds.",
      [0.5, 0.9, 0.99],
    ),
    bypassed: counter(
      "loki_secretfilter_entries_bypassed_total",
      "Total number of entries forwarded without processing due to sampling.",
    ),
    timedOut: counter(
      "loki_secretfilter_lines_timed_out_total",
      "Total number of log lines that exceeded the processing timeout, regardless of whether they were dropped or forwarded.",
    ),
    dropped: counter(
      "loki_secretfilter_lines_dropped_total",
      "Total number of log lines dropped due to processing timeout.",
    ),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const timeouts = new TimeoutWatch(ctx.clock);
    let filter = build(args);
    ctx.export({ receiver: ctx.receiver("logs", consume) });
    ctx.rule("lines_timed_out", () => timeouts.judge());

    return {
      update(next) {
        filter = build(next); // may throw: the old rules stay in force
        out.set(next.forward_to);
      },
    };

    // Here and not in a task: without its rules nothing may pass, and what is wrong with them must be known at once.
    function build({ redact_percent, redact_with, ...settings }: typeof args): EntryFilter {
      const detector = loadDetector(settings.gitleaks_config, (warning) => ctx.log.warn(warning));
      const percent = redact_percent === 0 ? DEFAULT_PERCENT : redact_percent;
      return new EntryFilter(detector, { ...settings, style: { redactWith: redact_with, percent } }, ctx.clock, {
        ...ctx.metrics,
        lineTimedOut(drops) {
          ctx.metrics.timedOut.inc();
          if (drops) ctx.metrics.dropped.inc();
          timeouts.add(drops, settings.processing_timeout);
        },
      });
    }

    function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      const { count } = batch;
      const current = filter;
      const before = ctx.clock.monotonic();
      const ownData = current.apply(batch);
      if (count > 0) ctx.metrics.duration.observe((ctx.clock.monotonic() - before) / 1000 / count, count);
      if (batch.count < count) ctx.flow.drop("logs", "processing_timeout", count - batch.count);
      if (batch.count === 0) {
        batch.acknowledgement.release();
        ctx.flow.ok();
        return;
      }
      const accepted = out.consume(batch, signal);
      if (ownData === undefined) return accepted;
      if (accepted !== undefined) return accepted.then(() => current.recycle(ownData));
      current.recycle(ownData);
    }
  },
});
