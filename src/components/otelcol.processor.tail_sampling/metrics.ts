import { counter, gauge, histogram, type InstrumentsOf } from "#base/metrics";
import type { Tally } from "#kits/tail-sampling/decide";
import { DROPPED, NOT_SAMPLED, SAMPLED } from "#kits/tail-sampling/policies";

/** The Collector's self metrics, with the names that Alloy's exporter for Prometheus makes of them. */

const DECISIONS = [
  [SAMPLED, "true", "sampled"],
  [NOT_SAMPLED, "false", "not_sampled"],
  [DROPPED, "false", "dropped"],
] as const;
const PREFIX = "otelcol_processor_tail_sampling";
const LATENCY_BUCKETS = [
  1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2000, 3000, 4000, 5000,
].concat([10_000, 20_000, 30_000, 50_000]);
const AGE_BUCKETS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];

export const metrics = {
  byPolicy: counter(
    `${PREFIX}_count_traces_sampled_total`,
    "Count of traces that were sampled or not per sampling policy.",
    ["policy", "sampled", "decision"],
  ),
  all: counter(
    `${PREFIX}_global_count_traces_sampled_total`,
    "Global count of traces that were sampled or not by at least one policy.",
    ["sampled", "decision"],
  ),
  fromCache: counter(
    `${PREFIX}_early_releases_from_cache_decision_total`,
    "Number of spans that were able to be immediately released due to a decision cache hit.",
    ["sampled"],
  ),
  newTraces: counter(`${PREFIX}_new_trace_id_received_total`, "Counts the arrival of new traces."),
  decisionLatency: histogram(
    `${PREFIX}_sampling_decision_timer_latency_milliseconds`,
    "Latency (in milliseconds) of each run of the sampling decision timer.",
    LATENCY_BUCKETS,
  ),
  lateAge: histogram(
    `${PREFIX}_sampling_late_span_age_seconds`,
    "Time (in seconds) from the sampling decision was taken and the arrival of a late span.",
    AGE_BUCKETS,
  ),
  errors: counter(`${PREFIX}_sampling_policy_evaluation_error_total`, "Count of sampling policy evaluation errors."),
  executions: counter(
    `${PREFIX}_sampling_policy_execution_count_total`,
    "Total number of executions of a specific sampling policy.",
    ["policy"],
  ),
  executionTime: counter(
    `${PREFIX}_sampling_policy_execution_time_sum_microseconds_total`,
    "Total time spent (in microseconds) deciding by a specific sampling policy; conditions are looked at before.",
    ["policy"],
  ),
  droppedEarly: counter(
    `${PREFIX}_sampling_trace_dropped_too_early_total`,
    "Count of traces that needed to be dropped before the configured wait time.",
  ),
  removalAge: histogram(
    `${PREFIX}_sampling_trace_removal_age_seconds`,
    "Time (in seconds) from arrival of a new trace until its removal from memory.",
    AGE_BUCKETS,
  ),
  onMemory: gauge(`${PREFIX}_sampling_traces_on_memory`, "Tracks the number of traces current on memory."),
  tooLarge: counter(
    `${PREFIX}_traces_dropped_too_large_total`,
    "Count of traces that were dropped because they were too large.",
  ),
};
export type Instruments = InstrumentsOf<typeof metrics>;

/** Counts what came of one tick. `id` is the component's, which the Collector puts in front of the names of policies. */
export function countTally(
  { byPolicy, all, executions, executionTime, errors, decisionLatency }: Instruments,
  id: string,
  tally: Tally,
) {
  decisionLatency.observe(Math.floor(tally.ms));
  errors.inc(tally.failures);
  for (const [decision, sampled, name] of DECISIONS) {
    const count = tally.decisions[decision]!;
    if (count > 0) all.labels(sampled, name).inc(count);
  }
  for (const { policy, decisions, executions: runs, ms } of tally.policies) {
    const label = `${id}.${policy.name}`;
    executions.labels(label).inc(runs);
    executionTime.labels(label).inc(Math.round(ms * 1000));
    for (const [decision, sampled, name] of DECISIONS) {
      const count = decisions[decision]!;
      if (count > 0) byPolicy.labels(label, sampled, name).inc(count);
    }
  }
}
