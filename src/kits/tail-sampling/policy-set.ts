import type { OttlContext } from "../ottl/context.ts";
import { type Condition, ConditionReader } from "./conditions.ts";
import type { Decide } from "./policies.ts";

export interface Policy {
  readonly name: string;
  /** Its word comes before that of all others. */
  readonly isDrop: boolean;
  readonly decide: Decide;
}

interface Latency {
  readonly bit: number;
  readonly aboveMs: number;
  readonly atMostMs: number;
}
type Program = Extract<Condition, { kind: "ottl" }>["program"];

/** The policies of one configuration, and all that has to be found out for them. */
export class PolicySet {
  /** Those that drop come first. */
  readonly policies: readonly Policy[];
  readonly reader: ConditionReader;
  /** Numbers of 32 bits that hold a bit for each condition. */
  readonly words: number;
  readonly latencies: readonly Latency[];
  readonly programs: readonly { readonly bit: number; readonly program: Program }[];
  /** Where conditions of OTTL look: to be pointed at each span that is observed, if there are any. */
  readonly context: OttlContext;
  /** Traces that are to be decided by this set. */
  traces = 0;

  /** `policies` go by the numbers of `conditions`. */
  constructor(policies: readonly Policy[], conditions: readonly Condition[], context: OttlContext) {
    this.context = context;
    this.policies = [...policies.filter(({ isDrop }) => isDrop), ...policies.filter(({ isDrop }) => !isDrop)];
    this.reader = new ConditionReader(conditions);
    this.words = this.reader.hits.length;
    const numbered = [...conditions.entries()];
    this.latencies = numbered.flatMap(([bit, each]) => (each.kind === "latency" ? [{ ...each, bit }] : []));
    this.programs = numbered.flatMap(([bit, each]) => (each.kind === "ottl" ? [{ bit, program: each.program }] : []));
  }
}
