import type { Labels } from "#base/labels";
import { NoTargets } from "#kits/no-targets";
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
    const noTargets = new NoTargets(ctx);
    let enricher = new Enricher(args);
    noTargets.update(args.targets.length);
    ctx.rule("no_targets", () => noTargets.judge());
    ctx.rule("targets_without_label", () => {
      const { targets, target_match_label } = enricher.args;
      if (targets.length === 0 || enricher.size > 0) return undefined;
      const cause = `none of ${targets.length} targets has the label ${target_match_label}, so nothing is added: correct \`target_match_label\``;
      return { state: "degraded", cause };
    });
    ctx.rule("nothing_matches", () => {
      if (enricher.size === 0 || enricher.matched > 0 || enricher.example === undefined) return undefined;
      const cause = `no entry has met a target by its label ${enricher.label}, such as one with the labels ${enricher.example}`;
      return { state: "degraded", cause };
    });
    ctx.export({ receiver: ctx.receiver("logs", consume) });

    return {
      update(next) {
        enricher = new Enricher(next);
        noTargets.update(next.targets.length);
        out.set(next.forward_to);
        ctx.flow.judge();
      },
    };

    function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      batch.streams = batch.streams.map((labels) => enricher.enrich(labels));
      return out.consume(batch, signal);
    }
  },
});

interface EnricherArguments {
  readonly targets: readonly Labels[];
  readonly target_match_label: string;
  readonly logs_match_label: string;
  readonly labels_to_copy?: readonly string[] | undefined;
}

/** What the arguments say about label sets: Alloy's internal/component/loki/enrich/enrich.go. */
class Enricher {
  readonly args: EnricherArguments;
  /** Label of the entries that is looked at. */
  readonly label: string;
  /** What is added, by the value of the label. */
  readonly #additions = new Map<string, Labels>();
  readonly #known = new Map<Labels, Labels>();
  /** Label sets that met a target. */
  matched = 0;
  /** A label set that met none. */
  example: Labels | undefined;

  constructor(args: EnricherArguments) {
    this.args = args;
    const { targets, target_match_label, logs_match_label, labels_to_copy = [] } = args;
    this.label = logs_match_label === "" ? target_match_label : logs_match_label;
    const wanted = new Set(labels_to_copy);
    for (const target of targets) {
      const value = target.get(target_match_label) ?? "";
      if (value === "") continue;
      // An empty value is copied with all others, but is none for those that are named.
      const additions = target.filter((name, text) => wanted.size === 0 || (wanted.has(name) && text !== ""));
      this.#additions.set(value, additions);
    }
  }

  /** The number of different values that targets have. */
  get size(): number {
    return this.#additions.size;
  }

  enrich(labels: Labels): Labels {
    let enriched = this.#known.get(labels);
    if (enriched !== undefined) return enriched;
    const additions = this.#additions.get(labels.get(this.label) ?? "");
    if (additions === undefined) this.example ??= labels;
    else this.matched += 1;
    enriched = additions === undefined ? labels : labels.merge(additions);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(labels, enriched);
    return enriched;
  }
}
