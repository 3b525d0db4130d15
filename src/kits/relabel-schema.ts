import { type Infer, s } from "#lang/schema";

/** The capsule under which components export their rules, and what other components take as `relabel_rules`. */
export const RELABEL_RULES_CAPSULE = "RelabelRules";

const ACTIONS = [
  "replace",
  "keep",
  "drop",
  "hashmod",
  "labelmap",
  "labeldrop",
  "labelkeep",
  "lowercase",
  "uppercase",
  "keepequal",
  "dropequal",
] as const;

export type RelabelAction = (typeof ACTIONS)[number];

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** A label name with references to groups in it: Prometheus's relabelTarget. */
const LABEL_TEMPLATE = /^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$/;
const DEFAULT_SEPARATOR = ";";
const DEFAULT_REGEX = "(.*)";
const DEFAULT_REPLACEMENT = "$1";

const NEEDS_TARGET: ReadonlySet<RelabelAction> = new Set([
  "replace",
  "hashmod",
  "lowercase",
  "uppercase",
  "keepequal",
  "dropequal",
]);
const NO_REPLACEMENT: ReadonlySet<RelabelAction> = new Set(["lowercase", "uppercase", "keepequal", "dropequal"]);
const REGEX_ONLY: ReadonlySet<RelabelAction> = new Set(["labeldrop", "labelkeep"]);
const LABELS_ONLY: ReadonlySet<RelabelAction> = new Set(["keepequal", "dropequal"]);

/**
 * Which label names rules may write. Alloy's `discovery.relabel` takes any in UTF-8; elsewhere its `replace` passes over
 * names outside of Prometheus's old rule.
 */
export type LabelNames = "legacy" | "utf8";

/** The body of a `rule` or `write_relabel_config` block; rules as in Alloy's internal/component/common/relabel/relabel.go. */
export const relabelRuleSchema = ruleSchema("legacy");

/** The body of a `rule` block for labels of targets. */
export const targetRuleSchema = ruleSchema("utf8");

function ruleSchema(names: LabelNames) {
  return s
    .object({
      source_labels: s
        .list(s.string())
        .optional()
        .doc("Labels whose values, joined by `separator`, the rule looks at."),
      separator: s.string().default(DEFAULT_SEPARATOR).doc("What stands between the values of `source_labels`."),
      regex: s.regex().default(DEFAULT_REGEX).doc("RE2 expression that must match the whole of the joined values."),
      modulus: s.int(0).default(0).doc("What the hash of the joined values is divided by, for `hashmod`."),
      target_label: s.string().default("").doc("Label to which the result is written."),
      replacement: s
        .string()
        .default(DEFAULT_REPLACEMENT)
        .doc("What is written, with `$1` or `${name}` for groups of `regex`."),
      action: s
        .oneOf(ACTIONS)
        .default("replace")
        .doc(
          "`replace` writes a label, `lowercase` and `uppercase` its source in that case, `hashmod` a hash; `keep` and `drop` decide by `regex`, `keepequal` and `dropequal` by whether the joined values equal `target_label`'s; `labelmap` copies labels, `labeldrop` and `labelkeep` remove them, by names that `regex` matches.",
        ),
    })
    .rule(
      "modulus",
      (rule) => rule.action !== "hashmod" || rule.modulus > 0,
      'must not be 0 when `action` is "hashmod"',
    )
    .rule(
      "target_label",
      (rule) => !NEEDS_TARGET.has(rule.action) || rule.target_label !== "",
      (rule) => `is required when \`action\` is "${rule.action}"`,
    )
    .rule(
      "target_label",
      (rule) => rule.target_label === "" || validTarget(rule.action, rule.target_label, names),
      (rule) => {
        return `is not a valid label name for the action "${rule.action}", which would never write it: "${rule.target_label}"; use letters, digits and underscores`;
      },
    )
    .rule(
      "replacement",
      (rule) => !NO_REPLACEMENT.has(rule.action) || rule.replacement === DEFAULT_REPLACEMENT,
      (rule) => `cannot be set when \`action\` is "${rule.action}"`,
    )
    .rule(
      "replacement",
      (rule) => rule.action !== "labelmap" || LABEL_TEMPLATE.test(rule.replacement),
      (rule) => `is not a valid label name for the action "labelmap": "${rule.replacement}"`,
    )
    .rule(
      "action",
      (rule) => {
        if (!REGEX_ONLY.has(rule.action)) return true;
        const { source_labels, target_label, modulus, separator, replacement } = rule;
        return (
          source_labels === undefined &&
          target_label === "" &&
          modulus === 0 &&
          separator === DEFAULT_SEPARATOR &&
          replacement === DEFAULT_REPLACEMENT
        );
      },
      (rule) => `"${rule.action}" takes only \`regex\`, and no other arguments`,
    )
    .rule(
      "action",
      (rule) =>
        !LABELS_ONLY.has(rule.action) ||
        (rule.regex.source === DEFAULT_REGEX && rule.modulus === 0 && rule.separator === DEFAULT_SEPARATOR),
      (rule) => `"${rule.action}" takes only \`source_labels\` and \`target_label\`, and no other arguments`,
    );
}

/** One rule as configured: data, to be compiled with `RelabelRules`. */
export type RelabelRule = Infer<typeof relabelRuleSchema>;

function validTarget(action: RelabelAction, target: string, names: LabelNames): boolean {
  if (action === "replace" && target.includes("$")) return LABEL_TEMPLATE.test(target);
  return action !== "replace" || isLabelName(target, names);
}

export function isLabelName(text: string, names: LabelNames): boolean {
  return names === "utf8" ? text !== "" && text.isWellFormed() : LABEL_NAME.test(text);
}
