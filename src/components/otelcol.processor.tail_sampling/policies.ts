import { compileRegex, type Regex, RegexError } from "#base/regex";
import type { OttlContext } from "#kits/ottl/context";
import { type CompiledCondition, compileConditions, OttlProgramError } from "#kits/ottl/programs";
import type { OnFailure } from "#kits/ottl/transform";
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
import type { AndArguments, CompositeArguments, PolicyArguments, SimplePolicyArguments } from "./schema.ts";

/** A policy that cannot be: the message says which and why. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
}

const STATUS_BITS = { UNSET: 1, OK: 2, ERROR: 4 } as const;
const SAMPLED_FLAG = 1;
/** A member of `tracestate` with its key and `=` is no longer than this. */
const MAX_STATE_MEMBER = 256;

/**
 * From arguments to what runs. Matches getPolicyEvaluator of processor/tailsamplingprocessor/processor.go. Throws
 * PolicyError.
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
        return this.#composite(policy.name, policy.composite);
      case "and":
        return this.#and(policy.name, policy.and);
      case "drop":
        return every(this.#parts(policy.name, "drop", policy.drop.drop_sub_policy), DROPPED);
      case "not": {
        const { not_sub_policy } = policy.not;
        if (not_sub_policy === undefined) throw missing(policy.name, "not");
        return not(this.#simple(not_sub_policy));
      }
      default:
        return this.#simple({ ...policy, type: policy.type });
    }
  }

  #and(name: string, { and_sub_policy }: AndArguments): Decide {
    return every(this.#parts(name, "and", and_sub_policy));
  }
  #parts(name: string, block: string, policies: readonly SimplePolicyArguments[]): Decide[] {
    if (policies.length === 0) throw missing(name, block);
    return policies.map((policy) => this.#simple(policy));
  }

  #composite(name: string, given: CompositeArguments): Decide {
    const { composite_sub_policy: parts, rate_allocation, max_total_spans_per_second: total } = given;
    if (total === undefined) throw missing(name, "composite");
    const names = parts.map((part) => part.name);
    const unknown = [...given.policy_order, ...rate_allocation.map(({ policy }) => policy)].find(
      (each) => !names.includes(each),
    );
    if (unknown !== undefined) {
      const known = names.length === 0 ? "it has none" : `it has ${names.map(quoted).join(", ")}`;
      throw new PolicyError(
        `policy ${quoted(name)} names the sub-policy ${quoted(unknown)}, which is not there; ${known}`,
      );
    }
    const compiled = parts.map((part) => ({
      name: part.name,
      decide: part.type === "and" ? this.#and(part.name, part.and) : this.#simple({ ...part, type: part.type }),
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
    const { name, type } = policy;
    switch (type) {
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
          throw new PolicyError(
            `policy ${quoted(name)} needs a \`min_value\` or a \`max_value\` other than 0, which means none`,
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
        if (status_codes.length === 0) throw new PolicyError(`policy ${quoted(name)} needs at least one status code`);
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
              block.values.map((value) => regex(name, value)),
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
      throw new PolicyError(`policy ${quoted(policy.name)} needs at least one condition in \`span\` or \`spanevent\``);
    }
    const compile = (context: "span" | "spanevent", texts: readonly string[]): CompiledCondition[] => {
      try {
        return compileConditions(context, texts);
      } catch (error) {
        if (!(error instanceof OttlProgramError)) throw error;
        throw new PolicyError(`policy ${quoted(policy.name)}: ${error.message}`);
      }
    };
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
  if (found[required] === undefined) throw missing(policy.name, block);
  return found;
}
function missing(name: string, block: string): PolicyError {
  return new PolicyError(`policy ${quoted(name)} has the type ${quoted(block)} and needs the block \`${block}\``);
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

function regex(name: string, source: string): Regex {
  try {
    return compileRegex(source);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new PolicyError(`policy ${quoted(name)} has an invalid expression ${quoted(source)}: ${error.message}`);
  }
}
function quoted(text: string): string {
  return JSON.stringify(text);
}
