import { type Infer, s } from "#lang/schema";
import { LabelCache, setLabels } from "../label-cache.ts";
import { badLabelName, isLabelName, type Stage } from "../stage.ts";
import { byName } from "./regex.ts";

export const staticLabelsBody = s
  .object({ values: s.map(s.string()).doc("Labels to set; those with an empty value are left out.") })
  .rule("values", (args) => [...args.values.keys()].every(isLabelName), badLabelName)
  .doc("Sets labels to fixed values.");

/** Alloy's stages/static_labels.go. */
export function buildStaticLabels(args: Infer<typeof staticLabelsBody>): Stage {
  const pairs = [...args.values].filter(([, value]) => value !== "").sort(byName);
  const names = pairs.map(([name]) => name);
  const values = pairs.map(([, value]) => value);
  const cache = new LabelCache((parent) => setLabels(parent, names, values));
  return {
    process(entry) {
      entry.labels = cache.get(entry.labels, NONE);
      return true;
    },
  };
}

const NONE: readonly string[] = [];
