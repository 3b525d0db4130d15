import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { RecentDrops } from "../recent-drops.ts";

/** What became of items that a connector could not count as it should, for the flow status, the log and the accounts. */
export interface LossKind {
  /** The rule of the flow status that tells of it. */
  readonly rule: string;
  /** Counted as dropped; what is not is counted in another place. */
  readonly isDrop: boolean;
  /** What happened, why, and what to do; it follows the number of items. */
  readonly text: string;
}

/** What every connector that makes metrics of spans may lose. */
export const commonLosses = {
  no_service_name: {
    rule: "spans_without_service",
    isDrop: true,
    text:
      "were not counted: their resource has no attribute service.name, without which the metrics would be nobody's; " +
      "set OTEL_SERVICE_NAME where they come from, or add the attribute on the way with otelcol.processor.transform",
  },
} as const satisfies Record<string, LossKind>;

export class SpanLosses {
  readonly #ctx: Pick<ComponentContext, "clock" | "flow" | "log" | "rule">;
  readonly #kinds: ReadonlyMap<string, LossKind>;
  readonly #recent = new RecentDrops();
  /** Items by reason since the start. */
  readonly totals = new Map<string, number>();

  constructor(
    ctx: Pick<ComponentContext, "clock" | "flow" | "log" | "rule">,
    kinds: Readonly<Record<string, LossKind>>,
  ) {
    this.#ctx = ctx;
    this.#kinds = new Map(Object.entries(kinds));
    for (const rule of new Set([...this.#kinds.values()].map((kind) => kind.rule))) {
      ctx.rule(rule, () => this.#judge(rule));
    }
  }

  /** Takes what was lost since the last time, items by reason, and empties it. */
  take(losses: Map<string, number>): void {
    if (losses.size === 0) return;
    for (const [reason, items] of losses) {
      const { isDrop, text } = this.#kinds.get(reason)!;
      this.totals.set(reason, (this.totals.get(reason) ?? 0) + items);
      if (isDrop) this.#ctx.flow.drop("otlp", reason, items);
      const untold = this.#recent.add(reason, items, text, this.#ctx.clock.now());
      if (untold !== undefined) this.#ctx.log.warn(`items ${text}`, { items: untold, reason });
    }
    losses.clear();
  }

  #judge(rule: string): Judgement {
    for (const { reason, items, text } of this.#recent.recent(this.#ctx.clock.now())) {
      if (this.#kinds.get(reason)!.rule !== rule) continue;
      return { state: "degraded", cause: `${items} items of the last minutes ${text}` };
    }
    return undefined;
  }
}
