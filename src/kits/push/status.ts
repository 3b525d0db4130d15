import type { Signal } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { describeDrops, RecentDrops } from "../recent-drops.ts";
import { RefusedRequests } from "../refused-requests.ts";

export interface PushStatusOptions {
  /** What clients send; left out: logs. */
  readonly signal?: Signal;
  /** Where entries are sent to, with a slash in front. */
  readonly path: string;
  /** Where the server listens, empty while it does not. */
  readonly address: () => string;
  /** What to do about entries without labels; left out where there cannot be any. */
  readonly labelHint?: string;
  /** For protocols with parts that may be damaged alone: the rule that tells of them, and what they are. */
  readonly unreadable?: { readonly rule: string; readonly noun: string };
  /** Whether entries that `relabel_rules` drop are forwarded all the same. */
  readonly rulesCannotDrop?: boolean;
}

type StatusContext = Pick<ComponentContext, "clock" | "log" | "flow" | "rule">;

/** Flow status of a source to which clients push: whether they send anything, and what of it is of no use. */
export class PushStatus {
  readonly #ctx: StatusContext;
  readonly #options: PushStatusOptions;
  readonly #refused: RefusedRequests;
  readonly #unlabelled = new RecentDrops();
  readonly #unreadable = new RecentDrops();
  readonly #ruledOut = new RecentDrops();
  #accepted = 0;

  constructor(ctx: StatusContext, options: PushStatusOptions) {
    this.#ctx = ctx;
    this.#options = options;
    const { unreadable, rulesCannotDrop, address, path } = options;
    if (options.labelHint !== undefined) ctx.rule("no_labels", () => this.#judgeLabels());
    this.#refused = new RefusedRequests(ctx, () => this.#lastAccepted);
    if (unreadable !== undefined) ctx.rule(unreadable.rule, () => this.#judgeUnreadable(unreadable.noun));
    if (rulesCannotDrop === true) ctx.rule("rules_cannot_drop", () => this.#judgeRules());
    ctx.rule("no_requests", () => {
      if (this.#accepted > 0 || ctx.flow.lastSuccess > 0 || address() === "") return undefined;
      return { state: "idle", cause: `no client has sent anything to http://${address()}${path} since the start` };
    });
  }

  /** A request was answered well, or at least some of it was forwarded. */
  accepted(): void {
    this.#accepted = this.#ctx.clock.now();
  }

  /** A request was sent away. */
  refused(path: string, code: number, error: string): void {
    this.#refused.add(path, code, error);
    this.#ctx.flow.failed(error);
  }

  /** Entries are dropped for what is in them. */
  dropped(reason: "relabel_rule" | "no_labels", entries: number): void {
    this.#ctx.flow.drop("logs", reason, entries);
    if (reason === "no_labels") this.#unlabelled.add("dropped", entries, "", this.#ctx.clock.now());
  }

  /** Entries without labels that are forwarded all the same, as in Alloy. */
  unlabelled(entries: number): void {
    if (entries > 0) this.#unlabelled.add("forwarded", entries, "", this.#ctx.clock.now());
  }

  /** Entries that rules drop and that are forwarded all the same, as in Alloy. */
  ruledOut(entries: number): void {
    if (entries > 0) this.#ruledOut.add("ruled_out", entries, "", this.#ctx.clock.now());
  }

  /** Parts of a request are dropped that cannot be read, while the others are forwarded. */
  unreadable(reason: string, items: number, why: string): void {
    const { clock, flow, log } = this.#ctx;
    flow.drop(this.#options.signal ?? "logs", reason, items);
    flow.failed(why);
    const told = this.#unreadable.add(reason, items, why, clock.now());
    const noun = this.#options.unreadable?.noun ?? "entries";
    if (told !== undefined) log.warn(`dropped ${noun}`, { reason, [noun]: told, cause: why });
  }

  #judgeLabels(): Judgement {
    const recent = this.#unlabelled.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const entries = recent.reduce((sum, each) => sum + each.items, 0);
    const fate = recent.some(({ reason }) => reason === "dropped") ? "were dropped" : "came";
    const cause = `${entries} entries without labels ${fate} in the last 5 min, and Loki takes none: ${this.#options.labelHint}`;
    return { state: "degraded", cause };
  }

  #judgeUnreadable(noun: string): Judgement {
    const recent = this.#unreadable.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const cause = `dropped ${describeDrops(recent, noun)}: ${recent[0]!.text}`;
    return { state: this.#lastAccepted >= this.#unreadable.since ? "degraded" : "failing", cause };
  }

  #judgeRules(): Judgement {
    const [first] = this.#ruledOut.recent(this.#ctx.clock.now());
    if (first === undefined) return undefined;
    const cause = `\`relabel_rules\` would drop ${first.items} entries of the last 5 min, but as with Alloy they are forwarded, without the rules' labels: send them through a loki.relabel that drops them`;
    return { state: "degraded", cause };
  }

  /** All of the work fails as long as nothing got through since the trouble began. */
  get #lastAccepted(): number {
    return Math.max(this.#accepted, this.#ctx.flow.lastSuccess);
  }
}
