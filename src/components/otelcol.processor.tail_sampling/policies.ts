import { OttlContext } from "#kits/ottl/context";
import { compileConditions } from "#kits/ottl/programs";
import type { OnFailure } from "#kits/ottl/transform";
import { regexArgument } from "#kits/regex-argument";
import {
  type AttributeTest,
  boolTest,
  type Condition,
  equalsAnyTest,
  matchesAnyTest,
  rangeTest,
} from "#kits/tail-sampling/conditions";
import { spanProgram } from "#kits/tail-sampling/ottl";
import {
  always,
  composite,
  condition,
  type Decide,
  DROPPED,
  every,
  limited,
  not,
  probabilistic,
  spanCount,
} from "#kits/tail-sampling/policies";
import { PolicySet } from "#kits/tail-sampling/policy-set";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import type { Fault } from "#lang/schema";
import type { AndArguments, CompositeArguments, PolicyArguments, SimplePolicyArguments } from "./schema.ts";

const STATUS_BITS = { UNSET: 1, OK: 2, ERROR: 4 } as const;
const SAMPLED_FLAG = 1;
/** A member of `tracestate` with its key and `=` is no longer than this. */
const MAX_STATE_MEMBER = 256;

/**
 * From arguments to what runs. Matches getPolicyEvaluator of processor/tailsamplingprocessor/processor.go. Throws
 * ArgumentError.
 */
export function compilePolicies(
  policies: readonly PolicyArguments[],
  context: OttlContext,
  onFailure: OnFailure,
): PolicySet {
  const compiler = new PolicyCompiler(context, onFailure);
  const compiled = policies.map((policy) => {
    return { name: policy.name, isDrop: policy.type === "drop", decide: compiler.policy(policy) };
  });
  return new PolicySet(compiled, compiler.conditions, context);
}
/** What is wrong with policies, one thing of each. */
export function policyFaults(policies: readonly PolicyArguments[]): Fault[] {
  const compiler = new PolicyCompiler(new OttlContext(), () => {});
  return faultsOf(policies.map((policy, i) => () => within(`policy[${i}]`, () => compiler.policy(policy))));
}

class PolicyCompiler {
  readonly conditions: Condition[] = [];
  readonly #context: OttlContext;
  readonly #onFailure: OnFailure;

  constructor(context: OttlContext, onFailure: OnFailure) {
    this.#context = context;
    this.#onFailure = onFailure;
  }

  policy(policy: PolicyArguments): Decide {
    switch (policy.type) {
      case "composite":
        return this.#composite(policy.composite);
      case "and":
        return this.#and(policy.and);
      case "drop":
        return every(this.#parts("drop", "drop_sub_policy", policy.drop.drop_sub_policy), DROPPED);
      case "not": {
        const { not_sub_policy } = policy.not;
        if (not_sub_policy === undefined) throw missing("not");
        return not(within("not.not_sub_policy", () => this.#simple(not_sub_policy)));
      }
      default:
        return this.#simple({ ...policy, type: policy.type });
    }
  }

  #and({ and_sub_policy }: AndArguments): Decide {
    return every(this.#parts("and", "and_sub_policy", and_sub_policy));
  }
  #parts(type: string, block: string, policies: readonly SimplePolicyArguments[]): Decide[] {
    if (policies.length === 0) throw missing(type);
    return policies.map((policy, i) => within(`${type}.${block}[${i}]`, () => this.#simple(policy)));
  }

  #composite(given: CompositeArguments): Decide {
    const { composite_sub_policy: parts, rate_allocation, max_total_spans_per_second: total } = given;
    if (total === undefined) throw missing("composite");
    const names = parts.map((part) => part.name);
    const refer = (field: string, name: string) => {
      if (names.includes(name)) return;
      const known = names.length === 0 ? "there is none" : `there is ${names.map(quoted).join(", ")}`;
      throw new ArgumentError(
        `names the sub-policy ${quoted(name)}, which is not there; ${known}`,
        `composite.${field}`,
      );
    };
    for (const [i, name] of given.policy_order.entries()) refer(`policy_order[${i}]`, name);
    for (const [i, { policy }] of rate_allocation.entries()) refer(`rate_allocation[${i}].policy`, policy);
    const compiled = parts.map((part, i) => ({
      name: part.name,
      decide: within(`composite.composite_sub_policy[${i}]`, () =>
        part.type === "and" ? this.#and(part.and) : this.#simple({ ...part, type: part.type }),
      ),
      spansPerSecond: allocation(part.name, given),
    }));
    // Those that the order leaves out come last, as they were written.
    const rank = new Map([...new Set(given.policy_order)].map((each, i) => [each, i]));
    compiled.sort((a, b) => (rank.get(a.name) ?? Infinity) - (rank.get(b.name) ?? Infinity) || 0);
    return composite(compiled, total);
  }

  #condition(found: Condition, isInverted = false): Decide {
    this.conditions.push(found);
    return condition(this.conditions.length - 1, isInverted);
  }
  #attribute(test: AttributeTest, isInverted: boolean): Decide {
    return this.#condition({ kind: "attribute", test }, isInverted);
  }

  #simple(policy: SimplePolicyArguments): Decide {
    switch (policy.type) {
      case "always_sample":
        return always;
      case "trace_flags":
        return this.#condition({ kind: "flags", mask: SAMPLED_FLAG });
      case "latency": {
        const { threshold_ms: aboveMs, upper_threshold_ms: atMostMs } = given(policy, "latency", "threshold_ms");
        return this.#condition({ kind: "latency", aboveMs, atMostMs });
      }
      case "numeric_attribute": {
        const { key, min_value, max_value, invert_match } = given(policy, "numeric_attribute", "key");
        if (min_value === 0 && max_value === 0) {
          throw new ArgumentError(
            "needs a `min_value` or a `max_value` other than 0, which means none",
            "numeric_attribute",
          );
        }
        const [minimum, maximum] = [min_value === 0 ? -Infinity : min_value, max_value === 0 ? Infinity : max_value];
        return this.#attribute(rangeTest(key, minimum, maximum), invert_match);
      }
      case "probabilistic": {
        const { sampling_percentage, hash_salt } = given(policy, "probabilistic", "sampling_percentage");
        return probabilistic(sampling_percentage, hash_salt);
      }
      case "status_code": {
        const { status_codes } = given(policy, "status_code", "status_codes");
        if (status_codes.length === 0) {
          throw new ArgumentError("needs at least one status code", "status_code.status_codes");
        }
        return this.#condition({
          kind: "status",
          codes: status_codes.reduce((bits, code) => bits | STATUS_BITS[code], 0),
        });
      }
      case "string_attribute": {
        const block = given(policy, "string_attribute", "key");
        const test = block.enabled_regex_matching
          ? matchesAnyTest(
              block.key,
              block.values.map((value, i) => within(`string_attribute.values[${i}]`, () => regexArgument(value))),
              block.cache_max_size,
            )
          : equalsAnyTest(block.key, block.values);
        return this.#attribute(test, block.invert_match);
      }
      case "boolean_attribute": {
        const { key, value, invert_match } = given(policy, "boolean_attribute", "key");
        return this.#attribute(boolTest(key, value), invert_match);
      }
      case "rate_limiting": {
        const { spans_per_second: rate, burst_capacity } = given(policy, "rate_limiting", "spans_per_second");
        return limited(rate, burst_capacity > 0 ? burst_capacity : rate * 2, ({ spans }) => spans);
      }
      case "bytes_limiting": {
        const { bytes_per_second: rate, burst_capacity } = given(policy, "bytes_limiting", "bytes_per_second");
        return limited(rate, burst_capacity > 0 ? burst_capacity : rate * 2, ({ bytes }) => bytes);
      }
      case "span_count": {
        const { min_spans, max_spans } = given(policy, "span_count", "min_spans");
        return spanCount(min_spans, max_spans);
      }
      case "trace_state": {
        const { key, values } = given(policy, "trace_state", "key");
        const possible = values.filter((value) => value !== "" && key.length + value.length < MAX_STATE_MEMBER);
        return this.#condition({ kind: "trace_state", key, values: new Set(possible) });
      }
      case "ottl_condition":
        return this.#ottl(policy);
    }
  }

  #ottl(policy: SimplePolicyArguments): Decide {
    const { span, spanevent, error_mode } = given(policy, "ottl_condition", "error_mode");
    if (span.length + spanevent.length === 0) {
      throw new ArgumentError("needs at least one condition in `span` or `spanevent`", "ottl_condition");
    }
    const compile = (context: "span" | "spanevent", texts: readonly string[]) =>
      within(`ottl_condition.${context}`, () => compileConditions(context, texts));
    const conditions = { span: compile("span", span), spanevent: compile("spanevent", spanevent) };
    return this.#condition({
      kind: "ottl",
      program: spanProgram(this.#context, conditions, error_mode, this.#onFailure),
    });
  }
}

/** The block with the arguments of the policy's type. Without it, arguments that are required are undefined. */
function given<B extends Exclude<keyof SimplePolicyArguments, "name" | "type">>(
  policy: SimplePolicyArguments,
  block: B,
  required: keyof SimplePolicyArguments[B],
): SimplePolicyArguments[B] {
  const found = policy[block];
  if (found[required] === undefined) throw missing(block);
  return found;
}
function missing(block: string): ArgumentError {
  return new ArgumentError(`is ${quoted(block)} and needs the block \`${block}\``, "type");
}

/** What a part of a composite policy may let through, cut to whole spans. The last of several allocations counts. */
function allocation(
  name: string,
  { rate_allocation, composite_sub_policy, max_total_spans_per_second }: CompositeArguments,
) {
  const own = rate_allocation.findLast(({ policy }) => policy === name);
  if (own === undefined) return 0;
  const share = own.percent > 0 ? own.percent / 100 : 1 / composite_sub_policy.length;
  return Math.trunc(share * max_total_spans_per_second);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
