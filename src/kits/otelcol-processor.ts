import type { OtlpKind } from "#formats/otlp";
import { ProtobufError } from "#formats/protobuf";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError } from "#pipeline/errors";
import type { Fanout } from "#pipeline/fanout";
import type { OutputArguments } from "./otelcol-schema.ts";
import { OttlError } from "./ottl-value.ts";

/** What processors that work batch by batch have in common. */

export const KINDS: readonly OtlpKind[] = ["traces", "metrics", "logs"];

/** The consumers of each signal. */
export function outputsOf(
  ctx: Pick<ComponentContext, "fanout">,
  output: OutputArguments,
): Readonly<Record<OtlpKind, Fanout<"otlp">>> {
  return {
    traces: ctx.fanout("otlp", output.traces),
    metrics: ctx.fanout("otlp", output.metrics),
    logs: ctx.fanout("otlp", output.logs),
  };
}

/** A batch with other parts, which takes the acknowledgement along. */
export function withParts(batch: OtlpBatch, parts: readonly Uint8Array[], items: number): OtlpBatch {
  return { ...batch, parts, items, bytes: parts.reduce((sum, part) => sum + part.length, 0) };
}

/** Runs a step on a batch; what the step cannot work on is refused for good. */
export function attempt<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof OttlError) throw new PermanentError("statement_error", error.message);
    if (error instanceof ProtobufError) throw new PermanentError("malformed", error.message);
    throw error;
  }
}
