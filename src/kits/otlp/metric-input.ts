import { DATA, type PointKind } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { asBuffer } from "#formats/protobuf";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import type { Fanout } from "#pipeline/fanout";
import { outputsOf, type PartEdit, processingInput, restOf } from "../otelcol/processor.ts";
import type { OutputArguments } from "../otelcol/schema.ts";
import type { SeriesLimit } from "./metric-limit.ts";
import type { MetricWalk, NumberStep, VisitedMetric } from "./metric-walk.ts";

/** What a processor does to the points of metrics; `R` are its reasons to drop one. */
export interface PointEdit<R extends string> {
  readonly walk: MetricWalk<object>;
  /** The short way, … */
  readonly step: NumberStep;
  /** … and the long one: changes a point of the walk's present metric; returns why it must go, undefined if it stays. */
  edit(point: OtlpRecord, metric: VisitedMetric): R | undefined;
  /** Hears of points that are dropped for `too_many_series`. */
  readonly limit: SeriesLimit;
  /** Whether metrics that came without points stay, of those that the step concerns. */
  keepsEmpty(metric: VisitedMetric): boolean;
  /** Runs before each request is worked on, which may not be edited then. */
  begin?(request: OtlpRecord): void;
  /** For metrics of the processor's own: points that stay, … */
  edited?(points: number, kind: PointKind): void;
  /** … and one that is dropped. */
  dropped?(reason: R, kind: PointKind): void;
}

/**
 * The input of a processor that edits points and holds nothing back; other signals pass. A request that was not changed
 * passes as it is.
 */
export function pointEditingInput<R extends string>(
  ctx: Pick<ComponentContext, "fanout" | "flow" | "receiver">,
  output: OutputArguments,
  plan: PointEdit<R>,
): Consumer<"otlp"> {
  const { walk, step } = plan;
  const request = new OtlpRecord();

  function isKept(metric: VisitedMetric): boolean {
    if (!step.concerns(metric)) return true;
    const { kind } = metric;
    if (metric.points.length === 0) return plan.keepsEmpty(metric);
    let edited = 0;
    const left = walk.keepPoints((point) => {
      const reason = plan.edit(point, metric);
      if (reason === undefined) {
        edited += 1;
        return true;
      }
      ctx.flow.drop("otlp", reason, 1);
      if (reason === "too_many_series") plan.limit.refused();
      plan.dropped?.(reason, kind);
      return false;
    });
    if (edited > 0) plan.edited?.(edited, kind);
    if (step.temporality !== undefined) metric.data.setVarint(DATA.temporality, step.temporality, 32);
    return left > 0;
  }

  const edit: PartEdit = (part) => {
    plan.begin?.(request.reset(part));
    // Others may have the part too, so the fields are overwritten in a copy. It is what goes out, if no length changes.
    const copy = Buffer.allocUnsafeSlow(part.length);
    asBuffer(part).copy(copy);
    walk.run(request, copy, step, isKept);
    if (walk.stepped > 0) plan.edited?.(walk.stepped, "number");
    const rest = restOf(request, copy, walk.removed);
    return rest.bytes === copy && !walk.hasEdited ? { bytes: part, removed: 0 } : rest;
  };
  const outputs = outputsOf(ctx, output);
  // What is known of the series has gone on: points that came a second time would be dropped as old.
  const metrics: Pick<Fanout<"otlp">, "consume"> = {
    consume: (batch, signal) =>
      outputs.metrics.consume(batch.waiting === undefined ? batch : { ...batch, waiting: undefined }, signal),
  };
  return processingInput(ctx, { ...outputs, metrics }, { metrics: edit });
}
