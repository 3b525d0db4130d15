import { debugMetricsSchema, outputSchema } from "#kits/otelcol/schema";
import { repeated } from "#lang/faults";
import { type Infer, s } from "#lang/schema";
import { policyFaults } from "./policies.ts";

/** Policies that need no others. */
const SIMPLE_TYPES = [
  "always_sample",
  "latency",
  "numeric_attribute",
  "probabilistic",
  "status_code",
  "string_attribute",
  "rate_limiting",
  "bytes_limiting",
  "span_count",
  "trace_state",
  "trace_flags",
  "boolean_attribute",
  "ottl_condition",
] as const;

const key = s.string().doc("Key of the attribute, of spans or of their resource.");
const isInverted = s.bool().default(false).doc("Sample traces in which no span and no resource has such an attribute.");

/** The blocks of simple policies. One that is left out has `undefined` in the place of its required arguments. */
const simpleBlocks = {
  latency: s
    .block(
      s.object({
        threshold_ms: s.int().doc("Traces that take longer than this are sampled, in milliseconds."),
        upper_threshold_ms: s.int().default(0).doc("… and not longer than this; 0 for no bound."),
      }),
    )
    .presentByDefault()
    .doc("From the first start to the last end of the trace's spans."),
  numeric_attribute: s
    .block(
      s.object({
        key,
        min_value: s.int().doc("Least value of the attribute, a whole number; 0 for no bound."),
        max_value: s.int().doc("Largest value of the attribute; 0 for no bound."),
        invert_match: isInverted,
      }),
    )
    .presentByDefault()
    .doc("Traces with an attribute whose value is in a range."),
  probabilistic: s
    .block(
      s.object({
        hash_salt: s.string().default("").doc("Agents with the same salt sample the same traces."),
        sampling_percentage: s.float().doc("How many of 100 traces are sampled."),
      }),
    )
    .presentByDefault()
    .doc("A part of all traces, chosen by their ids."),
  status_code: s
    .block(s.object({ status_codes: s.list(s.oneOf(["OK", "ERROR", "UNSET"])).doc("Codes, one of which a span has.") }))
    .presentByDefault()
    .doc("Traces with a span of some status."),
  string_attribute: s
    .block(
      s.object({
        key,
        values: s.list(s.string()).doc("Values of the attribute, or expressions that find a match in it."),
        enabled_regex_matching: s.bool().default(false).doc("Whether `values` are regular expressions."),
        cache_max_size: s.int().default(0).doc("Values of which it is kept whether expressions match; 0 means 128."),
        invert_match: isInverted,
      }),
    )
    .presentByDefault()
    .doc("Traces with an attribute of some value."),
  rate_limiting: s
    .block(
      s.object({
        spans_per_second: s.int().doc("Spans a second that are sampled."),
        burst_capacity: s.int().default(0).doc("Most spans at once; 0 means twice the spans of a second."),
      }),
    )
    .presentByDefault()
    .doc("Traces as long as their spans are within a rate."),
  bytes_limiting: s
    .block(
      s.object({
        bytes_per_second: s.int().doc("Bytes a second that are sampled."),
        burst_capacity: s.int().default(0).doc("Most bytes at once; 0 means twice the bytes of a second."),
      }),
    )
    .presentByDefault()
    .doc("Traces as long as their size is within a rate."),
  span_count: s
    .block(
      s.object({
        min_spans: s.int().doc("Least number of spans in the trace."),
        max_spans: s.int().default(0).doc("Largest number of spans in the trace; 0 for no bound."),
      }),
    )
    .presentByDefault()
    .doc("Traces of some size."),
  boolean_attribute: s
    .block(s.object({ key, value: s.bool().doc("Value of the attribute."), invert_match: isInverted }))
    .presentByDefault()
    .doc("Traces with an attribute that is true, or false."),
  ottl_condition: s
    .block(
      s.object({
        error_mode: s
          .oneOf(["ignore", "silent", "propagate"], { ignoreCase: true })
          .doc(
            "What happens when a condition fails: log it and go on, go on in silence, or let the policy say nothing.",
          ),
        span: s.list(s.string()).default([]).doc("Conditions of OTTL, one of which holds for a span."),
        spanevent: s.list(s.string()).default([]).doc("Conditions of OTTL, one of which holds for an event of a span."),
      }),
    )
    .presentByDefault()
    .doc("Traces with a span for which a condition holds."),
  trace_state: s
    .block(
      s.object({
        key: s.string().doc("Key in the W3C `tracestate` of a span."),
        values: s.list(s.string()).doc("Values of it."),
      }),
    )
    .presentByDefault()
    .doc("Traces with a span whose `tracestate` has some value."),
};

const name = s.string().doc("Name of the policy, for metrics and messages.");
const simplePolicy = s.object({
  name,
  type: s.oneOf(SIMPLE_TYPES).doc("What kind of policy it is; the block of the same name has its arguments."),
  ...simpleBlocks,
});

const andSchema = s.object({
  and_sub_policy: s.blocks(simplePolicy).required().doc("Policies that must all sample."),
});
const compositeSchema = s.object({
  max_total_spans_per_second: s.int().doc("Spans a second that each policy may let through at most."),
  policy_order: s.list(s.string()).doc("Names of the policies in the order in which they are asked."),
  composite_sub_policy: s
    .blocks(
      s.object({
        name,
        type: s.oneOf([...SIMPLE_TYPES, "and"]).doc("As of other policies, or `and`."),
        ...simpleBlocks,
        and: s.block(andSchema).presentByDefault().doc("Policies that must all sample."),
      }),
    )
    .doc("Policies, the first of which that samples decides."),
  rate_allocation: s
    .blocks(
      s.object({
        policy: s.string().doc("Name of the policy."),
        percent: s.int().doc("How much of `max_total_spans_per_second` it may let through; 0 for an equal share."),
      }),
    )
    .doc("What a policy may let through; one without such a block lets nothing through."),
});
const policyBlock = s.object({
  name,
  type: s
    .oneOf([...SIMPLE_TYPES, "composite", "and", "not", "drop"])
    .doc("What kind of policy it is; the block of the same name has its arguments."),
  ...simpleBlocks,
  composite: s.block(compositeSchema).presentByDefault().doc("Several policies, each with a rate."),
  and: s.block(andSchema).presentByDefault().doc("Several policies that must all sample."),
  not: s
    .block(s.object({ not_sub_policy: s.block(simplePolicy).required().doc("The policy that must not sample.") }))
    .presentByDefault()
    .doc("The contrary of a policy."),
  drop: s
    .block(s.object({ drop_sub_policy: s.blocks(simplePolicy).required().doc("Policies that must all sample.") }))
    .presentByDefault()
    .doc("Traces that are not sampled whatever other policies say."),
});

const policySchema = policyBlock.rule("name", (a) => a.name !== "", "must not be empty");

export type SimplePolicyArguments = Infer<typeof simplePolicy>;
export type CompositeArguments = Infer<typeof compositeSchema>;
export type AndArguments = Infer<typeof andSchema>;
export type PolicyArguments = Infer<typeof policyBlock>;

const withoutRules = s.object({
  policy: s.blocks(policySchema).required().doc("Policies; a trace is sampled if one of them samples it."),
  decision_wait: s
    .duration()
    .default("30s")
    .doc("How long after its first span a trace is decided, in tenths of a second."),
  decision_wait_after_root_received: s
    .duration()
    .default("0s")
    .doc("The same after its span without a parent, if that is sooner; 0 for no difference."),
  num_traces: s.int().default(50000).doc("Traces that are remembered, decided ones without a cache included."),
  block_on_overflow: s
    .bool()
    .default(false)
    .doc("Let senders wait while there is no room for another trace, instead of dropping the oldest."),
  expected_new_traces_per_sec: s.int(0).default(0).doc("New traces a second, for which room is made at the start."),
  sample_on_first_match: s.bool().default(false).doc("Ask no further policy once one samples."),
  drop_pending_traces_on_shutdown: s
    .bool()
    .default(false)
    .doc("Drop traces that wait at the stop, instead of deciding by what is there."),
  maximum_trace_size_bytes: s
    .int(0)
    .default(0)
    .doc("Traces of more bytes are dropped before their decision; 0 for no limit."),
  decision_cache: s
    .record({
      sampled_cache_size: s.int(0).default(0).doc("Ids of sampled traces that are kept; 0 for none."),
      non_sampled_cache_size: s.int(0).default(0).doc("Ids of traces that were not sampled; 0 for none."),
    })
    .default({})
    .doc("How many decisions are kept for late spans, beyond `num_traces`."),
  output: s.block(outputSchema).required().doc("Where sampled traces go; metrics and logs pass as they are."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
export type Arguments = Infer<typeof withoutRules>;

export const args = withoutRules
  .rule("decision_wait", (a) => a.decision_wait >= 1, "must be greater than zero")
  .rule("num_traces", (a) => a.num_traces > 0, "must be greater than zero")
  .refuse(({ policy }) =>
    repeated(
      policy.map((each) => each.name),
      (i, text) => ({ field: `policy[${i}].name`, message: `is that of another policy: ${JSON.stringify(text)}` }),
    ),
  )
  .refuse(({ policy }) => policyFaults(policy))
  .suspect(({ policy }) =>
    policy.flatMap((each, i) =>
      unusedBlocks(each).map((block) => ({
        field: `policy[${i}]`,
        message: `has a block \`${block}\`, which means nothing to the type ${JSON.stringify(each.type)}`,
        hint: `set \`type = "${block}"\`, or remove the block`,
      })),
    ),
  );

/** Blocks that were written although the policy's type has no use for them: only those have what is required in them. */
function unusedBlocks(policy: PolicyArguments): string[] {
  return Object.entries(policy).flatMap(([block, value]) => {
    const field = policySchema.fields.get(block);
    if (field?.node !== "block" || block === policy.type) return [];
    const inner = new Map<string, unknown>(Object.entries(value));
    const isWritten = [...field.body.fields].some(([each, { isRequired }]) => {
      const set = inner.get(each);
      return isRequired && set !== undefined && !(Array.isArray(set) && set.length === 0);
    });
    return isWritten ? [block] : [];
  });
}
