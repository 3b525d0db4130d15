import { type Infer, s } from "#lang/schema";
import { LabelCache } from "../label-cache.ts";
import type { Stage } from "../stage.ts";

const NONE: readonly string[] = [];

export const labelDropBody = s
  .object({ values: s.list(s.string()).min(1).doc("Names of labels to remove.") })
  .doc("Removes labels.");

/** Alloy's stages/label_drop.go. */
export function buildLabelDrop(args: Infer<typeof labelDropBody>): Stage {
  const names = new Set(args.values);
  const cache = new LabelCache((parent) => parent.filter((name) => !names.has(name)));
  return {
    process(entry) {
      entry.labels = cache.get(entry.labels, NONE);
      return true;
    },
  };
}

export const labelKeepBody = s
  .object({ values: s.list(s.string()).min(1).doc("Names of labels to keep.") })
  .doc("Removes all labels but some.");

/** Alloy's stages/label_keep.go. */
export function buildLabelKeep(args: Infer<typeof labelKeepBody>): Stage {
  const names = new Set(args.values);
  const cache = new LabelCache((parent) => parent.filter((name) => names.has(name)));
  return {
    process(entry) {
      entry.labels = cache.get(entry.labels, NONE);
      return true;
    },
  };
}
