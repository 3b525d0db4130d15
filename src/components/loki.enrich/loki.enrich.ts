import type { Labels } from "#base/labels";
import { enricherRules, TargetEnricher } from "#kits/target-enricher";
import { s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

/** Label sets whose enriched form is remembered. */
const MAX_KNOWN = 10_000;

export default defineComponent({
  name: "loki.enrich",
  stability: "experimental",
  summary: "Adds labels of discovered targets to log entries of the same host, container or the like.",
  example: `loki.enrich "example" {
  targets            = [{ __address__ = "10.0.0.7:22", hostname = "web-1", rack = "r7" }]
  target_match_label = "hostname"
  logs_match_label   = "host"
  labels_to_copy     = ["rack"]
  forward_to         = []
}`,
  args: s.object({
    targets: s.targets().doc("Targets whose labels are copied."),
    target_match_label: s.string().doc("Label of the targets whose value must be that of the entry's."),
    logs_match_label: s.string().default("").doc("Label of the entries to compare; `target_match_label` when empty."),
    labels_to_copy: s.list(s.string()).optional().doc("Labels to copy from the target; all when left out or empty."),
    forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  }),
  exports: s.object({ receiver: s.consumer("logs").doc("Takes entries to enrich.") }),

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    let enricher = enricherFrom(args);
    let known = new Map<Labels, Labels>();
    const updated = enricherRules(ctx, () => enricher, "entry", "target_match_label");
    ctx.export({ receiver: ctx.receiver("logs", consume) });

    return {
      update(next) {
        enricher = enricherFrom(next);
        known = new Map();
        out.set(next.forward_to);
        updated();
      },
    };

    function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      batch.streams = batch.streams.map(enrich);
      return out.consume(batch, signal);
    }

    function enrich(labels: Labels): Labels {
      let enriched = known.get(labels);
      if (enriched !== undefined) return enriched;
      enriched = enricher.enrich(labels);
      if (known.size >= MAX_KNOWN) known.clear();
      known.set(labels, enriched);
      return enriched;
    }
  },
});

interface EnricherArguments {
  readonly targets: readonly Labels[];
  readonly target_match_label: string;
  readonly logs_match_label: string;
  readonly labels_to_copy?: readonly string[] | undefined;
}

function enricherFrom(args: EnricherArguments): TargetEnricher {
  const { targets, target_match_label: own, logs_match_label: theirs, labels_to_copy: copy = [] } = args;
  const match = new Map([[own, theirs === "" ? own : theirs]]);
  return new TargetEnricher({ targets, match, copy, emptyRemoves: false });
}
