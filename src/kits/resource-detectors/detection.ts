import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { type AnyValue, AttributeKey, ValueList } from "#formats/otlp/values";
import type { Judgement } from "#pipeline/flow";
import { type AttributeValue, type Detector, MetadataUnavailable, SCHEMA_URL } from "./detector.ts";

/** A detector with its name, and which of its attributes are wanted. */
export interface NamedDetector {
  readonly name: string;
  readonly detector: Detector;
  readonly isWanted: (attribute: string) => boolean;
}

/** What was found, ready to be put into resources. */
export interface DetectedResource {
  readonly attributes: readonly (readonly [key: AttributeKey, value: AnyValue])[];
  readonly schemaUrl: string;
}

interface Found {
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  readonly schemaUrl: string;
}

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/**
 * Runs detectors at once, and those that fail again with growing pauses until they succeed. The first detector in the list
 * that knows an attribute has the say. Matches internal/resourcedetection.go, but that a failure holds nothing up for
 * longer than the first `timeoutMs` and is tried again for as long as the agent runs: the Collector does not start then.
 */
export class Detection {
  readonly #detectors: readonly NamedDetector[];
  readonly #failOnMissing: (name: string) => boolean;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #found: (Found | undefined)[];
  readonly #failures = new Map<string, string>();
  #resource: DetectedResource = { attributes: [], schemaUrl: "" };
  /** Whether each detector has succeeded, or had its time. */
  #isSettled = false;
  readonly #settled: Promise<void>;
  #settle: () => void = () => {};

  constructor(
    detectors: readonly NamedDetector[],
    options: { readonly failOnMissing: (name: string) => boolean; readonly timeoutMs: number },
    ctx: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#detectors = detectors;
    this.#failOnMissing = options.failOnMissing;
    this.#timeoutMs = options.timeoutMs;
    this.#clock = ctx.clock;
    this.#log = ctx.log;
    this.#found = detectors.map(() => undefined);
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** What is known now. Nothing before `settled`. */
  get resource(): DetectedResource {
    return this.#resource;
  }
  /** Resolves when data need wait no longer; undefined once that is so. */
  get settled(): Promise<void> | undefined {
    return this.#isSettled ? undefined : this.#settled;
  }

  /** Detectors that fail, with the reason. */
  judge(): Judgement {
    if (this.#failures.size === 0) return undefined;
    const each = [...this.#failures].map(([name, why]) => `${name}: ${why}`).join("; ");
    const state = this.#failures.size === this.#detectors.length ? "failing" : "degraded";
    return {
      state,
      cause: `resources cannot be detected (${each}); data passes without these attributes, and it is tried again`,
    };
  }

  /** Resolves when all detectors have succeeded; rejects when `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const patience = new AbortController();
    const settle = () => {
      this.#isSettled = true;
      this.#settle();
      patience.abort();
    };
    this.#clock.sleep(this.#timeoutMs, AbortSignal.any([signal, patience.signal])).then(settle, () => {});
    try {
      await Promise.all(this.#detectors.map((each, i) => this.#untilFound(each, i, signal)));
      this.#log.info("detected resource information", {
        attributes: this.#resource.attributes.map(([{ text }]) => text).join(", "),
      });
    } finally {
      settle();
    }
  }

  async #untilFound({ name, detector, isWanted }: NamedDetector, i: number, signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_RETRY_MS)) {
      const timeout = new AbortController();
      const timer = this.#clock.sleep(this.#timeoutMs, AbortSignal.any([signal, timeout.signal]));
      timer.then(
        () => timeout.abort(new Error(`no answer within ${this.#timeoutMs} ms (\`timeout\`)`)),
        () => {},
      );
      try {
        const {
          attributes,
          extras,
          schemaUrl = SCHEMA_URL,
        } = await detector.detect(AbortSignal.any([signal, timeout.signal]));
        const wanted = new Map<string, AttributeValue>(extras);
        for (const [key, value] of Object.entries(attributes)) {
          if (value !== undefined && isThere(value) && isWanted(key)) wanted.set(key, value);
        }
        this.#take(i, { attributes: wanted, schemaUrl });
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof MetadataUnavailable && !this.#failOnMissing(name)) {
          this.#log.debug("nothing to detect here", { detector: name, why: error.message });
          this.#failures.delete(name);
          return;
        }
        const why = timeout.signal.aborted ? errorText(timeout.signal.reason) : errorText(error);
        this.#failures.set(name, why);
        this.#log.warn("failed to detect resource", { detector: name, error: why });
        await this.#clock.sleep(pauseMs, signal);
        continue;
      } finally {
        timeout.abort();
      }
      this.#failures.delete(name);
      return;
    }
  }

  #take(i: number, found: Found): void {
    this.#found[i] = found;
    const merged = new Map<string, AttributeValue>();
    let schemaUrl = "";
    for (const each of this.#found) {
      schemaUrl ||= each?.schemaUrl ?? "";
      for (const [key, value] of each?.attributes ?? []) if (!merged.has(key)) merged.set(key, value);
    }
    const attributes = [...merged].map(([key, value]) => [new AttributeKey(key), anyValue(value)] as const);
    this.#resource = { attributes, schemaUrl };
  }
}

function anyValue(value: AttributeValue): AnyValue {
  return typeof value === "string" || typeof value === "bigint" ? value : new ValueList([...value]);
}
function isThere(value: AttributeValue): boolean {
  return typeof value === "bigint" || value.length > 0;
}
