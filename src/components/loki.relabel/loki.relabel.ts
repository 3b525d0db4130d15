import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import { counter, gauge } from "#base/metrics";
import { RelabelRules } from "#kits/relabel";
import { RELABEL_RULES_CAPSULE, type RelabelRule, relabelRuleSchema } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { RelabelCache } from "./relabel-cache.ts";

/** Rules that have dropped everything for this long are worth a word. */
const ALL_DROPPED_MS = 60_000;

export default defineComponent({
  name: "loki.relabel",
  stability: "generally-available",
  summary: "Rewrites the labels of log entries and drops entries by rules.",
  example: `loki.relabel "example" {
  forward_to = []
  rule {
    source_labels = ["__journal__systemd_unit"]
    target_label  = "unit"
  }
}`,
  args: s.object({
    forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
    max_cache_size: s.int(1).default(10_000).doc("Label sets whose relabelled form is remembered."),
    rule: s.blocks(relabelRuleSchema).doc("Rules, applied in order."),
  }),
  exports: s.object({
    receiver: s.consumer("logs").doc("Takes entries to relabel."),
    rules: s.capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE).doc("The rules, for use by other components."),
  }),
  metrics: {
    processed: counter("loki_relabel_entries_processed", "Total number of log entries processed"),
    written: counter("loki_relabel_entries_written", "Total number of log entries forwarded"),
    misses: counter("loki_relabel_cache_misses", "Total number of cache misses"),
    hits: counter("loki_relabel_cache_hits", "Total number of cache hits"),
    size: gauge("loki_relabel_cache_size", "Total size of relabel cache"),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    let cache = new RelabelCache(new RelabelRules(args.rule), args.max_cache_size);
    let rulesOnly = args.forward_to.length === 0;
    /** What was dropped since an entry last passed, and since when. */
    let allDropped: { readonly since: number; entries: number; labels: Labels } | undefined;
    ctx.metrics.size.read = () => cache.size;
    const receiver = ctx.receiver("logs", consume);
    ctx.export({ receiver, rules: args.rule });

    ctx.rule("all_entries_dropped", () => {
      if (allDropped === undefined) return undefined;
      const { since, entries, labels } = allDropped;
      const ms = ctx.clock.now() - since;
      if (ms < ALL_DROPPED_MS) return undefined;
      const cause = `the rules have dropped all ${entries} entries of the last ${roughDuration(ms)}, such as those with the labels ${labels}`;
      return { state: "degraded", cause };
    });
    ctx.rule("rules_only", () => {
      if (!rulesOnly) return undefined;
      return { state: "idle", cause: "`forward_to` is empty: only the exported `rules` are of use" };
    });

    return {
      update(next) {
        cache = new RelabelCache(new RelabelRules(next.rule), next.max_cache_size);
        rulesOnly = next.forward_to.length === 0;
        allDropped = undefined;
        out.set(next.forward_to);
        ctx.export({ receiver, rules: next.rule });
      },
    };

    function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      const { count, streams } = batch;
      const { misses, dropped } = cache.relabel(batch);
      ctx.metrics.processed.inc(count);
      ctx.metrics.misses.inc(misses);
      ctx.metrics.hits.inc(count - misses);
      ctx.metrics.written.inc(batch.count);
      if (dropped !== undefined) ctx.flow.drop("logs", "relabel_rule", count - batch.count);
      if (batch.count > 0) {
        allDropped = undefined;
        return out.consume(batch, signal);
      }
      if (dropped !== undefined) {
        allDropped ??= { since: ctx.clock.now(), entries: 0, labels: streams[dropped]! };
        allDropped.entries += count;
      }
      batch.acknowledgement.release();
      ctx.flow.ok();
    }
  },
});
