import type { OtlpKind } from "#formats/otlp/otlp";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { describeDrops, RecentDrops } from "../recent-drops.ts";

const REASON = "unsupported_signal";

/** The input of a component that can use one kind of data only. Others are dropped, counted and told of. */
export function oneKindInput(
  ctx: Pick<ComponentContext, "clock" | "flow" | "log" | "receiver" | "rule">,
  kind: OtlpKind,
  consume: (batch: OtlpBatch, signal: AbortSignal) => void | Promise<void>,
): Consumer<"otlp"> {
  const drops = new RecentDrops();
  ctx.rule(REASON, () => {
    const recent = drops.recent(ctx.clock.now());
    if (recent.length === 0) return undefined;
    return { state: "degraded", cause: `${describeDrops(recent, "items")}: ${recent[0]!.text}` };
  });

  function drop({ kind: other, items, acknowledgement }: OtlpBatch): void {
    ctx.flow.drop("otlp", REASON, items);
    acknowledgement.release();
    const text = `this component takes ${kind}, and ${other} came; take it out of \`output.${other}\` of what comes before`;
    const toLog = drops.add(REASON, items, text, ctx.clock.now());
    if (toLog !== undefined) ctx.log.warn("data of another signal dropped", { num_dropped: toLog, cause: text });
  }

  return ctx.receiver("otlp", (batch, signal) => (batch.kind === kind ? consume(batch, signal) : drop(batch)), {
    mutates: false,
  });
}
