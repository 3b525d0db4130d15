import { type Infer, s } from "#lang/schema";
import { labelSetter } from "../label-cache.ts";
import { isLabelName, type Stage, type StageContext } from "../stage.ts";
import { sourceReader } from "./source.ts";

export const regexBody = s
  .object({
    expression: s.regex().doc("RE2 expression whose named groups become extracted values."),
    source: s.string().nonEmpty().optional().doc("Extracted value to match instead of the line."),
    labels_from_groups: s.bool().default(false).doc("Whether named groups also become labels."),
  })
  .rule("expression", (args) => args.expression.source !== "", "must not be empty")
  .doc("Extracts values with a regular expression.");

/** Alloy's stages/regex.go: groups that took no part in the match are extracted as empty strings. */
export function buildRegex(args: Infer<typeof regexBody>, context: StageContext): Stage {
  const { expression } = args;
  // Of groups with the same name the last one counts, as when Go fills its map.
  const groups = new Map<string, number>();
  for (const [index, name] of expression.groupNames.entries()) if (index > 0 && name !== "") groups.set(name, index);
  const slots = [...groups].map(([name, index]) => ({ index, slot: context.slots.of(name) }));
  const labels = [...groups].filter(([name]) => args.labels_from_groups && isLabelName(name)).sort(byName);
  const setter = labelSetter(labels.map(([name]) => name));
  const values: (string | undefined)[] = labels.map(() => undefined);
  const read = sourceReader(args.source, context);
  const unmatched = context.unmatched("do not match the regular expression", "the regular expression does not match");
  return {
    process(entry) {
      const text = read(entry);
      if (text === undefined) return true;
      const match = expression.exec(text);
      if (match === null) {
        unmatched.add();
        return true;
      }
      for (let i = 0; i < slots.length; i++) entry.setText(slots[i]!.slot, match[slots[i]!.index] ?? "");
      if (labels.length > 0) {
        for (let i = 0; i < labels.length; i++) values[i] = match[labels[i]![1]] ?? "";
        entry.labels = setter.get(entry.labels, values);
      }
      return true;
    },
  };
}

export function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
