import { formatDuration } from "#base/duration";
import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import type { Stage, StageContext } from "../stage.ts";

export const dropBody = s
  .object({
    drop_counter_reason: s.string().default("drop_stage").doc("Reason under which dropped lines are counted."),
    source: s.string().default("").doc("Extracted values to look at, separated by commas."),
    value: s.string().default("").doc("Drop if the source has exactly this value."),
    separator: s.string().default(";").doc("Put between the values of several sources."),
    expression: s.regex().default("").doc("Drop if the source, or the line, matches this RE2 expression."),
    older_than: s.duration().default("0s").doc("Drop if the entry is older than this."),
    longer_than: s.byteSize().default("0B").doc("Drop if the line is longer than this."),
  })
  .rule(
    "source",
    (args) => args.source !== "" || args.expression.source !== "" || args.older_than !== 0 || args.longer_than !== 0,
    "or one of `expression`, `older_than` and `longer_than` is required",
  )
  .rule("value", (args) => args.value === "" || args.expression.source === "", "and `expression` exclude each other")
  .rule("value", (args) => args.value === "" || args.source !== "", "needs `source`")
  .doc("Drops entries that meet all of some conditions.");

/** What is true of an entry that is dropped, in words. */
function conditionText(args: Infer<typeof dropBody>): string {
  const { source, value, expression } = args;
  const from = source === "" ? "the line" : `\`${source}\``;
  const met: string[] = [];
  if (value !== "") met.push(`${from} is "${value}"`);
  else if (expression.source !== "") met.push(`${from} matches \`${expression.source}\``);
  else if (source !== "") met.push(`${from} was extracted`);
  if (args.longer_than > 0) met.push(`the line is longer than ${args.longer_than} bytes`);
  if (args.older_than !== 0) met.push(`the entry is older than ${formatDuration(args.older_than)}`);
  return met.join(" and ");
}

/** Alloy's stages/drop.go: all conditions that are given must hold. */
export function buildDrop(args: Infer<typeof dropBody>, context: StageContext): Stage {
  const { older_than: olderThanMs, longer_than: longerThan } = args;
  const sources = args.source === "" ? [] : args.source.split(",").map((name) => context.slots.of(name));
  const { value } = args;
  const regex = value === "" && args.expression.source !== "" ? args.expression : undefined;
  const separator = args.separator === "" ? ";" : args.separator;
  const reason = context.drop(
    args.drop_counter_reason === "" ? "drop_stage" : args.drop_counter_reason,
    conditionText(args),
  );

  function joined(entry: Entry): string | undefined {
    let text: string | undefined;
    for (const slot of sources) {
      if (!entry.has(slot)) continue;
      const part = entry.text(slot);
      if (part === undefined) return undefined; // null: Alloy cannot make it a string and keeps the line
      text = text === undefined ? part : text + separator + part;
    }
    return text ?? "";
  }

  function shouldDrop(entry: Entry): boolean {
    if (longerThan > 0 && entry.lineBytes <= longerThan) return false;
    if (olderThanMs !== 0 && entry.ms >= context.clock.now() - olderThanMs) return false;
    if (sources.length === 0) return regex === undefined || regex.test(entry.line);
    if (regex === undefined && value === "") return sources.every((slot) => entry.has(slot));
    const text = joined(entry);
    return text !== undefined && (regex === undefined ? text === value : regex.test(text));
  }

  return {
    process(entry) {
      if (!shouldDrop(entry)) return true;
      reason.add();
      return false;
    },
  };
}
