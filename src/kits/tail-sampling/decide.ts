import { TRACE_ID_BYTES, type TraceIdTable } from "./ids.ts";
import { type Decision, DROPPED, FAILED, NOT_SAMPLED, SAMPLED, type TraceFacts } from "./policies.ts";
import type { Policy, PolicySet } from "./policy-set.ts";
import type { Traces } from "./traces.ts";

/** What one policy said at one tick. */
export interface PolicyTally {
  readonly policy: Policy;
  /** Traces by decision. */
  readonly decisions: Float64Array;
  /** Traces that it was asked about, and how long that took. */
  executions: number;
  ms: number;
}
/** What came of one tick. */
export interface Tally {
  /** Traces by final decision. */
  readonly decisions: Float64Array;
  readonly policies: PolicyTally[];
  /** Policies that failed on a trace. */
  failures: number;
  /** The time that the decisions took. */
  ms: number;
}

/** Decisions are numbers from 1 on. */
const KINDS = FAILED + 1;

/** What policies ask about, pointed at one trace after the other. */
class Facts implements TraceFacts {
  readonly #traces: Traces;
  readonly #ids: TraceIdTable;
  readonly now: number;
  readonly id = new Uint8Array(TRACE_ID_BYTES);
  #slot = 0;

  constructor(traces: Traces, ids: TraceIdTable, now: number) {
    this.#traces = traces;
    this.#ids = ids;
    this.now = now;
  }
  point(slot: number): this {
    this.#slot = slot;
    this.#ids.copyId(slot, this.id, 0);
    return this;
  }
  holds(condition: number): boolean {
    return this.#traces.holds(this.#slot, condition);
  }
  fails(condition: number): boolean {
    return this.#traces.fails(this.#slot, condition);
  }
  get spans(): number {
    return this.#traces.spans[this.#slot]!;
  }
  get bytes(): number {
    return this.#traces.size[this.#slot]!;
  }
}

/**
 * Asks the policies about traces: one policy about all of them, then the next, so that its time can be told. A trace that
 * a policy drops, or samples where the first match is enough, is not asked about again.
 */
export function decideAll(
  slots: readonly number[],
  traces: Traces,
  ids: TraceIdTable,
  sets: readonly (PolicySet | undefined)[],
  isFirstMatchEnough: boolean,
  epochMs: number,
): { readonly decisions: Uint8Array; readonly tally: Tally } {
  const decisions = new Uint8Array(slots.length).fill(NOT_SAMPLED);
  const tally: Tally = { decisions: new Float64Array(KINDS), policies: [], failures: 0, ms: 0 };
  const facts = new Facts(traces, ids, epochMs);
  const byGeneration = new Map<number, number[]>();
  for (const [i, slot] of slots.entries()) {
    const generation = traces.generation[slot]!;
    const known = byGeneration.get(generation);
    if (known === undefined) byGeneration.set(generation, [i]);
    else known.push(i);
  }
  for (const [generation, places] of byGeneration) {
    let open = places;
    for (const policy of sets[generation]!.policies) {
      const own: PolicyTally = { policy, decisions: new Float64Array(KINDS), executions: open.length, ms: 0 };
      const startedAt = performance.now();
      let isAnySettled = false;
      for (const i of open) {
        const decision: Decision = policy.decide(facts.point(slots[i]!));
        own.decisions[decision]! += 1;
        if (decision === SAMPLED || decision === DROPPED) {
          decisions[i] = decision;
          isAnySettled ||= decision === DROPPED || isFirstMatchEnough;
        }
      }
      own.ms = performance.now() - startedAt;
      tally.failures += own.decisions[FAILED]!;
      tally.policies.push(own);
      if (!isAnySettled) continue;
      open = open.filter((i) => decisions[i] === NOT_SAMPLED || (decisions[i] === SAMPLED && !isFirstMatchEnough));
    }
  }
  for (const decision of decisions) tally.decisions[decision]! += 1;
  return { decisions, tally };
}
