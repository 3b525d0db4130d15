import type { Suspicion } from "#lang/schema";
import type { Judgement } from "#pipeline/flow";
import type { RelabelRule } from "./relabel-schema.ts";

/** What rules are applied to: targets before they are scraped, or samples after that. */
export type RelabelSubject = "targets" | "samples";

/** Labels that only targets have; those of samples never begin so. */
const OF_TARGETS = /^__(meta_\w*|param_\w*|address__|scheme__|metrics_path__|scrape_interval__|scrape_timeout__)$/;
const OF_TARGETS_IN_REGEX = /__meta_|__address__|__scheme__|__metrics_path__/;
const OF_SAMPLES = /^__name__$/;

interface Misplaced {
  readonly index: number;
  readonly field: "source_labels" | "target_label" | "regex";
  readonly label: string;
}

/** Rules that look at labels which do not exist where the rules are applied: they see an empty value, always. */
function misplaced(rules: readonly RelabelRule[], subject: RelabelSubject): Misplaced[] {
  const [foreign, foreignInRegex] =
    subject === "targets" ? [OF_SAMPLES, /__name__/] : [OF_TARGETS, OF_TARGETS_IN_REGEX];
  const found: Misplaced[] = [];
  const written = new Set<string>();
  for (const [index, { action, source_labels, target_label, regex }] of rules.entries()) {
    const add = (field: Misplaced["field"], label: string) => void found.push({ index, field, label });
    const source = source_labels?.find((name) => foreign.test(name) && !written.has(name));
    const compares = action === "keepequal" || action === "dropequal";
    const byName = action === "labelmap" || action === "labelkeep" || action === "labeldrop";
    if (source !== undefined) add("source_labels", source);
    else if (compares && foreign.test(target_label) && !written.has(target_label)) add("target_label", target_label);
    else if (byName && foreignInRegex.test(regex.source)) add("regex", regex.source);
    if (!compares) written.add(target_label);
  }
  return found;
}

function why(subject: RelabelSubject): string {
  return subject === "targets"
    ? "which no target has: it comes into being with the scrape"
    : "which no sample has: labels of targets that begin with __ end with the scrape";
}

function remedy(subject: RelabelSubject): string {
  return subject === "targets"
    ? "move the rule to a prometheus.relabel behind the scrape"
    : "move the rule to a discovery.relabel before the scrape";
}

/** For the schema of a component: `field` is the name of its rules' blocks. */
export function misplacedLabels(
  rules: readonly RelabelRule[],
  subject: RelabelSubject,
  field: string,
): readonly Suspicion[] {
  return misplaced(rules, subject).map((each) => ({
    field: `${field}[${each.index}].${each.field}`,
    message: `uses \`${each.label}\`, ${why(subject)}`,
    hint: remedy(subject),
  }));
}

/** The flow rule for the same. `block` is what messages call the rules' blocks. */
export function judgeMisplacedLabels(
  rules: readonly RelabelRule[],
  subject: RelabelSubject,
  block = "rule",
): Judgement {
  const found = misplaced(rules, subject);
  if (found.length === 0) return undefined;
  const named = found.map(({ index, label }) => `${block} ${index + 1} uses ${label}`).join(", ");
  return { state: "degraded", cause: `${named}, ${why(subject)}; ${remedy(subject)}` };
}
