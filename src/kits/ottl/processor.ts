import type { OtlpKind } from "#formats/otlp/schema";
import { faultsOf } from "#lang/faults";
import type { Fault } from "#lang/schema";
import type { OtlpClient } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { type EditedPart, KINDS, outputsOf, type PartEdit, processingInput } from "../otelcol/processor.ts";
import type { OutputArguments } from "../otelcol/schema.ts";
import { StatementFailures } from "./failures.ts";
import type { OnFailure } from "./transform.ts";

/** What processors whose arguments are statements or conditions have in common. */

/** Compiles one group of statements or conditions after the other. Each step throws ArgumentError. */
export type Groups<G> = readonly (() => G)[];

/** What runs the groups of one signal. */
export interface GroupRunner {
  /** Throws ProtobufError for what is no request, and OttlError for a failure that is not passed over. */
  run(part: Uint8Array, client: OtlpClient): EditedPart;
}

/** What is wrong with the groups of all signals. */
export function groupFaults(groupsOf: (kind: OtlpKind) => Groups<unknown>): Fault[] {
  return KINDS.flatMap((kind) => faultsOf(groupsOf(kind)));
}

/**
 * The input that runs groups over the signals that have some; the status tells of failures that are passed over. `onRemoved`
 * is that of `processingInput`.
 */
export function groupsInput<G>(
  ctx: Pick<ComponentContext, "clock" | "fanout" | "flow" | "log" | "receiver" | "rule">,
  output: OutputArguments,
  groupsOf: (kind: OtlpKind) => Groups<G>,
  runnerOf: (kind: OtlpKind, groups: readonly G[], onFailure: OnFailure) => GroupRunner,
  onRemoved?: (kind: OtlpKind, items: number) => void,
): Consumer<"otlp"> {
  const failures = new StatementFailures(ctx);
  ctx.rule("statements_fail", () => failures.judge());
  const edits: Partial<Record<OtlpKind, PartEdit>> = {};
  for (const kind of KINDS) {
    const groups = groupsOf(kind).map((compile) => compile());
    if (groups.length === 0) continue;
    const runner = runnerOf(kind, groups, (text, error) => failures.add(text, error));
    edits[kind] = (part, batch) => runner.run(part, batch);
  }
  return processingInput(ctx, outputsOf(ctx, output), edits, onRemoved);
}
