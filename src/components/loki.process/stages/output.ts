import { type Infer, s } from "#lang/schema";
import type { Stage, StageContext } from "../stage.ts";

export const outputBody = s
  .object({ source: s.string().nonEmpty().doc("Extracted value that becomes the line.") })
  .doc("Replaces the line with an extracted value.");

/** Alloy's stages/output.go: without a value the line stays as it is. */
export function buildOutput(args: Infer<typeof outputBody>, context: StageContext): Stage {
  const slot = context.slots.of(args.source);
  const unmatched = context.unmatched(
    `have no extracted value \`${args.source}\``,
    `there is no extracted value \`${args.source}\``,
  );
  return {
    process(entry) {
      if (!entry.setLineFrom(slot)) unmatched.add();
      return true;
    },
  };
}
