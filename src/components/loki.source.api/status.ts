import { describeDrops, RecentDrops } from "#kits/recent-drops";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import type { DropReason } from "./settings.ts";

/** Flow status of one loki.source.api: what clients send that is of no use, and whether they send anything. */
export class ApiStatus {
  readonly #ctx: Pick<ComponentContext, "clock" | "log" | "flow" | "rule">;
  readonly #refused = new RecentDrops();
  readonly #unlabelled = new RecentDrops();

  /** `address` is where the server listens, empty while it does not. */
  constructor(ctx: Pick<ComponentContext, "clock" | "log" | "flow" | "rule">, address: () => string) {
    this.#ctx = ctx;
    ctx.rule("no_labels", () => this.#judgeLabels());
    ctx.rule("requests_refused", () => this.#judgeRefused());
    ctx.rule("no_requests", () => {
      if (ctx.flow.lastSuccess > 0 || address() === "") return undefined;
      const cause = `no client has sent anything to http://${address()}/loki/api/v1/push since the start`;
      return { state: "idle", cause };
    });
  }

  dropped(reason: DropReason, entries: number): void {
    this.#ctx.flow.drop("logs", reason, entries);
    if (reason === "no_labels") this.#unlabelled.add("dropped", entries, "", this.#ctx.clock.now());
  }

  /** Plain lines that nobody gives labels are forwarded all the same, as in Alloy. */
  unlabelled(entries: number): void {
    this.#unlabelled.add("plain", entries, "", this.#ctx.clock.now());
  }

  refused(route: string, code: number, error: string): void {
    const { clock, flow, log } = this.#ctx;
    const requests = this.#refused.add(String(code), 1, error, clock.now());
    if (requests !== undefined) log.warn("refused a request", { route, status: code, error, requests });
    flow.failed(error);
  }

  #judgeLabels(): Judgement {
    const recent = this.#unlabelled.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const entries = recent.reduce((sum, each) => sum + each.items, 0);
    const fate = recent.some(({ reason }) => reason === "dropped") ? "were dropped" : "came";
    const cause = `${entries} entries without labels ${fate} in the last 5 min, and Loki takes none: let clients send labels, or set \`labels\``;
    return { state: "degraded", cause };
  }

  #judgeRefused(): Judgement {
    const recent = this.#refused.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const accepted = this.#ctx.flow.lastSuccess >= this.#refused.since;
    const cause = `clients were refused ${describeDrops(recent, "requests")}: ${recent[0]!.text}`;
    return { state: accepted ? "degraded" : "failing", cause };
  }
}
