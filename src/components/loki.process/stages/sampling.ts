import { type Infer, s } from "#lang/schema";
import type { Stage, StageContext } from "../stage.ts";

export const samplingBody = s
  .object({
    drop_counter_reason: s.string().default("sampling_stage").doc("Reason under which dropped lines are counted."),
    rate: s.float(0, 1).doc("The share of lines to keep, from 0 to 1."),
  })
  .doc("Keeps a random share of the lines.");

/** Alloy's stages/sampling.go. */
export function buildSampling(args: Infer<typeof samplingBody>, context: StageContext): Stage {
  const reason = context.drop(args.drop_counter_reason, `not in the sample (rate ${args.rate})`);
  return {
    process() {
      if (context.random() < args.rate) return true;
      reason.add();
      return false;
    },
  };
}
