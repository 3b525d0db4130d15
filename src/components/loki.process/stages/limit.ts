import { type Infer, s } from "#lang/schema";
import type { Stage, StageContext } from "../stage.ts";

export const limitBody = s
  .object({
    rate: s.float().doc("Lines per second."),
    burst: s.int().doc("Lines that may pass at once."),
    drop: s.bool().default(false).doc("Whether to drop what is too much, rather than wait."),
    by_label_name: s.string().default("").doc("Label whose values are limited each on its own."),
    max_distinct_labels: s.int().default(10_000).doc("How many values to keep apart; at least 10000."),
  })
  .rule("rate", (args) => args.rate > 0, "must be greater than 0")
  .rule("burst", (args) => args.burst > 0, "must be greater than 0")
  .rule("by_label_name", (args) => args.by_label_name === "" || args.drop, "needs `drop = true`")
  .doc("Limits the rate of lines.");

const LEAST_DISTINCT_LABELS = 10_000;

/**
 * Alloy's stages/limit.go. Without `drop`, the wait is taken once for each batch: the rate over time is the same, but the
 * lines of a batch go on together.
 */
export function buildLimit(args: Infer<typeof limitBody>, context: StageContext): Stage {
  const { clock, metrics } = context;
  const bucket = () => new TokenBucket(args.rate, args.burst, clock.monotonic());
  const same = args.by_label_name === "" ? "" : ` with the same \`${args.by_label_name}\``;
  const reason = context.drop("ratelimit_drop_stage", `more than ${args.rate} lines per second${same}`);
  if (args.by_label_name !== "") {
    const size = Math.max(args.max_distinct_labels, LEAST_DISTINCT_LABELS);
    const forget = (value: string) => metrics.droppedByLabel.remove(args.by_label_name, value);
    const buckets = new GenerationalMap(size, bucket, forget);
    return {
      process(entry) {
        const value = entry.labels.get(args.by_label_name);
        if (value === undefined || buckets.get(value).take(clock.monotonic())) return true;
        reason.add();
        metrics.droppedByLabel.labels(args.by_label_name, value).inc();
        return false;
      },
    };
  }
  const only = bucket();
  return {
    process() {
      if (!args.drop) {
        context.delay(only.reserve(clock.monotonic()));
        return true;
      }
      if (only.take(clock.monotonic())) return true;
      reason.add();
      return false;
    },
  };
}

/** Tokens that come at a rate and pile up to a burst. Times are in milliseconds. */
class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #last: number;

  constructor(ratePerSecond: number, burst: number, now: number) {
    this.#perMs = ratePerSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#last = now;
  }

  /** Takes a token if there is one. */
  take(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes a token in any case; how long it takes until it is there. */
  reserve(now: number): number {
    this.#refill(now);
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#last) * this.#perMs);
    this.#last = now;
  }
}

/** Keeps at least the last `size` keys used and at most twice as many; those it lets go are told. */
class GenerationalMap<T> {
  readonly #size: number;
  readonly #create: () => T;
  readonly #forgotten: (key: string) => void;
  #old = new Map<string, T>();
  #new = new Map<string, T>();

  constructor(size: number, create: () => T, forgotten: (key: string) => void) {
    this.#size = size;
    this.#create = create;
    this.#forgotten = forgotten;
  }

  get(key: string): T {
    let value = this.#new.get(key);
    if (value !== undefined) return value;
    value = this.#old.get(key) ?? this.#create();
    this.#new.set(key, value);
    if (this.#new.size >= this.#size) {
      for (const each of this.#old.keys()) if (!this.#new.has(each)) this.#forgotten(each);
      this.#old = this.#new;
      this.#new = new Map();
    }
    return value;
  }
}
