import { quoteString } from "#lang/literal";
import { copyFields, field } from "./fields.ts";
import { Body } from "./output.ts";
import type { Section } from "./settings.ts";

const ACTIONS = "replace keep drop hashmod labelmap labeldrop labelkeep lowercase uppercase keepequal dropequal".split(
  " ",
);

/** One of `relabel_configs` as a block of this name; with an error, which would make it another rule, only a comment. */
export function relabelRule(section: Section, body: Body, block = "rule"): void {
  const errors = section.report.count("Error");
  const rule = new Body();
  copyFields(section, rule, [
    field("source_labels", "texts"),
    field("separator", "text", ";"),
    field("regex", "text", "(.*)"),
    field("modulus", "number", 0),
    field("target_label", "text", ""),
    field("replacement", "text", "$1"),
  ]);
  const action = section.rawText("action");
  const name = action?.fixed?.toLowerCase();
  if (name !== undefined && !ACTIONS.includes(name)) {
    section.add("Error", "action", `must be one of ${ACTIONS.join(", ")}`);
  } else if (action !== undefined && name !== "replace") {
    rule.attribute("action", name === undefined ? action.expression : quoteString(name));
  }
  section.rest();
  if (section.report.count("Error") === errors) {
    body.attach(block, rule);
    return;
  }
  section.report.add("Error", section.place, "this rule is left out, since it cannot be converted whole");
  body.comment(`${section.place} is left out, since it cannot be converted whole.`);
}

/** A rule that sets a label, whatever the others are. */
export function setLabelRule(body: Body, label: string, expression: string): void {
  const rule = body.block("rule");
  rule.attribute("target_label", quoteString(label));
  rule.attribute("replacement", expression);
}

/** A text as a replacement in which `$` has no meaning. */
export function literalReplacement(text: string): string {
  return text.replaceAll("$", "$$$$");
}
