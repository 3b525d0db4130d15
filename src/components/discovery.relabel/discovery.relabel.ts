import type { Labels } from "#base/labels";
import { NoTargets } from "#kits/no-targets";
import { RelabelRules } from "#kits/relabel";
import { RELABEL_RULES_CAPSULE, type RelabelRule, targetRuleSchema } from "#kits/relabel-schema";
import { judgeMisplacedLabels, misplacedLabels } from "#kits/relabel-suspects";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

export default defineComponent({
  name: "discovery.relabel",
  stability: "generally-available",
  summary: "Rewrites the labels of targets and drops targets by rules.",
  example: `discovery.relabel "example" {
  targets = [{ __address__ = "127.0.0.1:9100", __meta_role = "db" }]
  rule {
    source_labels = ["__meta_role"]
    target_label  = "role"
  }
}`,
  args: s
    .object({
      targets: s.targets().doc("Targets to relabel."),
      rule: s.blocks(targetRuleSchema).doc("Rules, applied in order."),
    })
    .suspect((args) => misplacedLabels(args.rule, "targets", "rule")),
  exports: s.object({
    output: s.targets().doc("The targets that the rules keep, with their new labels."),
    rules: s.capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE).doc("The rules, for use by other components."),
  }),

  start(ctx, args) {
    const noTargets = new NoTargets(ctx);
    let current = args;
    let droppedBy = 0;
    ctx.rule("misplaced_label", () => judgeMisplacedLabels(current.rule, "targets"));
    ctx.rule("no_targets", () => noTargets.judge());
    ctx.rule("all_targets_dropped", () => {
      if (droppedBy === 0) return undefined;
      const { length } = current.targets;
      const cause = `the rules drop all of ${length} targets; rule ${droppedBy} drops the last of them`;
      return { state: "idle", cause };
    });
    apply(args);
    return { update: apply };

    function apply(next: typeof args) {
      const rules = new RelabelRules(next.rule, "utf8");
      const output = next.targets.map((each) => rules.apply(each)).filter((each): each is Labels => each !== undefined);
      current = next;
      droppedBy = next.targets.length > 0 && output.length === 0 ? nothingLeftAfter(next) : 0;
      noTargets.update(next.targets.length);
      ctx.flow.ok();
      ctx.flow.judge();
      ctx.export({ output, rules: next.rule });
    }
  },
});

/** The number, from 1, of the rule after which no target is left. */
function nothingLeftAfter({
  targets,
  rule,
}: {
  readonly targets: readonly Labels[];
  readonly rule: readonly RelabelRule[];
}) {
  for (let count = 1; count < rule.length; count++) {
    const rules = new RelabelRules(rule.slice(0, count), "utf8");
    if (targets.every((each) => rules.apply(each) === undefined)) return count;
  }
  return rule.length;
}
