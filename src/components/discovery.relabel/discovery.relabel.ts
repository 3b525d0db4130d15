import type { Labels } from "#base/labels";
import { RelabelRules } from "#kits/relabel";
import { RELABEL_RULES_CAPSULE, type RelabelRule, targetRuleSchema } from "#kits/relabel-schema";
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
  args: s.object({
    targets: s.targets().doc("Targets to relabel."),
    rule: s.blocks(targetRuleSchema).doc("Rules, applied in order."),
  }),
  exports: s.object({
    output: s.targets().doc("The targets that the rules keep, with their new labels."),
    rules: s.capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE).doc("The rules, for use by other components."),
  }),

  start(ctx, args) {
    apply(args);
    return { update: apply };

    function apply(next: typeof args) {
      const rules = new RelabelRules(next.rule, "utf8");
      const output = next.targets.map((each) => rules.apply(each)).filter((each): each is Labels => each !== undefined);
      const dropped = next.targets.length - output.length;
      if (next.targets.length === 0) ctx.flow.idle("`targets` is empty");
      else if (output.length === 0) ctx.flow.idle(`the rules drop all of ${dropped} targets`);
      else ctx.flow.ok();
      ctx.export({ output, rules: next.rule });
    }
  },
});
