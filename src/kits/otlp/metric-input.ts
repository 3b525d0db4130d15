import { OtlpRecord } from "#formats/otlp/record";
import { encodeRequest, resourceGroups } from "#formats/otlp/walk";
import { asBuffer } from "#formats/protobuf";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { attempt, outputsOf, withParts } from "../otelcol/processor.ts";
import type { OutputArguments } from "../otelcol/schema.ts";
import type { MetricWalk, NumberStep, VisitedMetric } from "./metric-walk.ts";

/** What a processor does to metrics: `step` the short way, `isKept` the long one. */
export interface MetricEdit {
  readonly walk: MetricWalk<object>;
  readonly step: NumberStep;
  isKept(metric: VisitedMetric): boolean;
  /** Runs before each request is worked on, which may not be edited then … */
  begin?(request: OtlpRecord): void;
  /** … and after it. */
  end?(): void;
}

/**
 * The input of a processor that edits metrics and holds nothing back; other signals pass. A request that was not changed
 * passes as it is. A batch of which nothing is left is acknowledged.
 */
export function metricEditingInput(
  ctx: Pick<ComponentContext, "receiver" | "fanout">,
  output: OutputArguments,
  edit: MetricEdit,
): Consumer<"otlp"> {
  const { walk, step } = edit;
  const outputs = outputsOf(ctx, output);
  const request = new OtlpRecord();
  const isKept = (metric: VisitedMetric) => edit.isKept(metric);

  function editBatch(batch: OtlpBatch): OtlpBatch | undefined {
    const parts: Uint8Array[] = [];
    let { items } = batch;
    for (const part of batch.parts) {
      edit.begin?.(request.reset(part));
      // Others may have the part too, so the fields are overwritten in a copy. It is what goes out, if no length changes.
      const copy = Buffer.allocUnsafeSlow(part.length);
      asBuffer(part).copy(copy);
      walk.run(request, copy, step, isKept);
      edit.end?.();
      items -= walk.removed;
      if (resourceGroups(request).length === 0) continue;
      const edited = encodeRequest(request, copy);
      parts.push(edited === copy && !walk.hasEdited ? part : edited);
    }
    if (parts.length === 0) return undefined;
    const isSame = parts.length === batch.parts.length && parts.every((part, i) => part === batch.parts[i]);
    return isSame ? batch : withParts(batch, parts, items);
  }

  return ctx.receiver(
    "otlp",
    (batch, signal) => {
      const left = batch.kind === "metrics" ? attempt(() => editBatch(batch)) : batch;
      if (left !== undefined) return outputs[batch.kind].consume(left, signal);
      batch.acknowledgement.release();
    },
    { mutates: false },
  );
}
