import { totalmem } from "node:os";
import type { SamplerLimits } from "#kits/tail-sampling/sampler";
import type { Arguments } from "./schema.ts";

/** The Collector decides once a second; ten times less at once holds up the rest ten times less. */
export const TICK_MS = 100;
/** What waits for its decision may take, of the memory that there is. */
const MEMORY_SHARE = 0.5;

/** Whole ticks, at least one. The Collector cuts durations to whole seconds. */
function ticksOf(ms: number): number {
  return Math.max(1, Math.floor(ms / TICK_MS));
}

export function limitsOf(given: Arguments, bytes: number): SamplerLimits {
  const afterRoot = given.decision_wait_after_root_received;
  return {
    decisionTicks: ticksOf(given.decision_wait),
    rootTicks: afterRoot > 0 ? Math.floor(afterRoot / TICK_MS) : undefined,
    traces: given.num_traces,
    bytes,
    traceBytes: given.maximum_trace_size_bytes,
    isBlocking: given.block_on_overflow,
    isFirstMatchEnough: given.sample_on_first_match,
    sampledIds: given.decision_cache.sampled_cache_size,
    notSampledIds: given.decision_cache.non_sampled_cache_size,
  };
}

export function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  return Math.floor((constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()) * MEMORY_SHARE);
}
