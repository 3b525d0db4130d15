import { parseGoFloat } from "#formats/go-number";
import { fnv1a32 } from "#formats/hashes";
import { LOG, SPAN } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { type AnyValue, AttributeKey } from "#formats/otlp/values";
import { asBuffer } from "#formats/protobuf";
import {
  ALWAYS_SAMPLE,
  GREATEST_RANDOMNESS,
  isSampled,
  NEVER_SAMPLE,
  probabilityOf,
  thresholdOf,
} from "#kits/otlp/sampling";
import { attributeText } from "#kits/ottl/value";
import { type Carrier, LogCarrier, SpanCarrier } from "./carriers.ts";

export interface SamplerOptions {
  readonly percentage: number;
  readonly hashSeed: number;
  readonly mode: "hash_seed" | "equalizing" | "proportional";
  readonly failClosed: boolean;
  readonly precision: number;
  /** Whether log records are sampled by their trace id first. */
  readonly logsByTraceId: boolean;
  /** Attribute by which log records are sampled; "" for none. */
  readonly fromAttribute: string;
  /** Attribute of log records that holds a percentage of its own; "" for none. */
  readonly priority: string;
}

/** Why an item cannot be sampled as the mode wants. */
export type SamplingReason =
  | "inconsistent_threshold"
  | "malformed_sampling_state"
  | "missing_randomness"
  | "randomness_in_use"
  | "threshold_in_use";

export interface Decision {
  isSampled: boolean;
  /** What the decision goes by, as upstream's metric calls it. */
  policy: string;
  /** Set where `fail_closed` decides. */
  error: SamplingReason | undefined;
}

const LEAST_RATIO = 2 ** -56;
/** The hash has so many bits that count. */
const HASH_BITS = 14;
const BUCKETS = 1 << HASH_BITS;
const SPAN_PRIORITY = new AttributeKey("sampling.priority");
const ID_BYTES = 16;

/** Decides about spans or log records one by one. Matches processor/probabilisticsamplerprocessor. */
export class Sampler {
  readonly #options: SamplerOptions;
  readonly #isLogs: boolean;
  readonly #carrier: Carrier;
  readonly #attribute: AttributeKey;
  readonly #priority: AttributeKey;
  readonly #seedHash: number;
  readonly #mode: SamplerOptions["mode"] | "never";
  readonly #ratio: number;
  readonly #threshold: string;
  readonly #decision: Decision = { isSampled: false, policy: "", error: undefined };
  #policy = "";

  constructor(kind: "traces" | "logs", options: SamplerOptions) {
    this.#options = options;
    this.#isLogs = kind === "logs";
    this.#carrier = this.#isLogs ? new LogCarrier() : new SpanCarrier();
    this.#attribute = new AttributeKey(options.fromAttribute);
    this.#priority = this.#isLogs ? new AttributeKey(options.priority) : SPAN_PRIORITY;
    const seed = Buffer.alloc(4);
    seed.writeUInt32LE(options.hashSeed);
    this.#seedHash = fnv1a32(seed);
    const percentage = Math.fround(Math.min(options.percentage, 100));
    this.#ratio = Math.max(percentage / 100, LEAST_RATIO);
    // In 32 bits and rounded towards zero, as ever.
    const accepted = Math.trunc(Math.fround(percentage * Math.fround(BUCKETS / 100)));
    const isNever = percentage === 0 || (options.mode === "hash_seed" && accepted === 0);
    this.#mode = isNever ? "never" : options.mode;
    if (isNever) this.#threshold = NEVER_SAMPLE;
    else if (options.mode === "hash_seed") this.#threshold = randomnessOf(BUCKETS - accepted, 0, 0);
    else this.#threshold = thresholdOf(this.#ratio, options.precision)!;
  }

  /** Whether an item stays; it is edited then. What is returned is valid until the next call. */
  decide(item: OtlpRecord): Decision {
    const carrier = this.#carrier;
    const isReadable = carrier.read(item);
    const found = this.#randomness(item, isReadable);
    let error = this.#carrierError(isReadable);
    // What an item says already is not changed where it does not fit the mode.
    const mayEdit = error === undefined || this.#mode === "never";
    if (error === undefined && this.#mode === "hash_seed" && (found !== undefined || !this.#isLogs)) {
      carrier.setRandomness(found ?? GREATEST_RANDOMNESS);
    }
    if (found === undefined) error ??= "missing_randomness";
    const randomness = found ?? GREATEST_RANDOMNESS;
    if (error === undefined && carrier.threshold !== undefined && !isSampled(carrier.threshold, randomness)) {
      carrier.clearThreshold();
      error = "inconsistent_threshold";
    }
    const failed = this.#options.failClosed ? NEVER_SAMPLE : ALWAYS_SAMPLE;
    const byPriority = this.#priorityThreshold(item);
    const threshold = byPriority ?? (error === undefined ? this.#decidedThreshold() : failed);
    const decision = this.#decision;
    decision.policy = byPriority === undefined ? this.#policy : "sampling_priority";
    decision.error = byPriority === undefined ? error : undefined;
    decision.isSampled = isSampled(threshold, randomness);
    if (decision.isSampled && mayEdit) {
      carrier.raiseThreshold(threshold);
      carrier.write();
    }
    return decision;
  }

  /** Why what the item carries does not fit the mode. */
  #carrierError(isReadable: boolean): SamplingReason | undefined {
    if (!isReadable) return "malformed_sampling_state";
    if (this.#mode !== "hash_seed") return undefined;
    if (this.#carrier.randomness !== undefined) return "randomness_in_use";
    return this.#carrier.threshold === undefined ? undefined : "threshold_in_use";
  }

  #randomness(item: OtlpRecord, isReadable: boolean): string | undefined {
    this.#policy = "missing_randomness";
    switch (this.#mode) {
      case "never":
        this.#policy = "sampling_priority";
        return GREATEST_RANDOMNESS;
      case "hash_seed":
        return this.#isLogs ? this.#logHash(item) : this.#idHash(item, SPAN.traceId);
      default:
        if (!isReadable) return undefined;
        if (this.#carrier.randomness !== undefined) {
          this.#policy = "sampling_randomness";
          return this.#carrier.randomness;
        }
        return this.#idRandomness(item);
    }
  }

  /** The last 56 bits of the trace id. */
  #idRandomness(item: OtlpRecord): string | undefined {
    const id = item.bytes(this.#isLogs ? LOG.traceId : SPAN.traceId);
    if (isEmptyId(id)) return undefined;
    this.#policy = "trace_id_w3c";
    return asBuffer(id).toString("hex", ID_BYTES - 7, ID_BYTES);
  }
  #idHash(item: OtlpRecord, field: number): string | undefined {
    const id = item.bytes(field);
    if (isEmptyId(id)) return undefined;
    this.#policy = "trace_id_hash";
    return this.#hash(id);
  }
  #logHash(log: OtlpRecord): string | undefined {
    const byId = this.#options.logsByTraceId ? this.#idHash(log, LOG.traceId) : undefined;
    if (byId !== undefined || this.#options.fromAttribute === "") return byId;
    const value = log.map(LOG.attributes).get(this.#attribute);
    const bytes = value instanceof Uint8Array ? value : Buffer.from(attributeText(value));
    if (bytes.length === 0) return undefined;
    this.#policy = this.#options.fromAttribute;
    return this.#hash(bytes);
  }
  #hash(bytes: Uint8Array): string {
    const hash = fnv1a32(bytes, this.#seedHash);
    const low = hash & (BUCKETS - 1);
    const high = hash >>> (32 - HASH_BITS);
    return randomnessOf(BUCKETS - 1 - low, high ^ (high << 10), low);
  }

  #decidedThreshold(): string {
    const incoming = this.#carrier.threshold;
    if (this.#mode === "equalizing")
      return incoming !== undefined && incoming > this.#threshold ? incoming : this.#threshold;
    if (this.#mode !== "proportional" || incoming === undefined) return this.#threshold;
    return thresholdOf(probabilityOf(incoming) * this.#ratio, this.#options.precision) ?? NEVER_SAMPLE;
  }

  #priorityThreshold(item: OtlpRecord): string | undefined {
    if (!this.#isLogs) {
      const value = item.has(SPAN.attributes) ? numberOf(item.map(SPAN.attributes).get(this.#priority)) : undefined;
      if (value === 0) return NEVER_SAMPLE;
      return value !== undefined && value > 0 ? ALWAYS_SAMPLE : undefined;
    }
    if (this.#options.priority === "") return undefined;
    const value = item.map(LOG.attributes).get(this.#priority);
    if (typeof value !== "number" && typeof value !== "bigint") return undefined;
    return thresholdOf(Number(value) / 100, this.#options.precision);
  }
}

/** The priority of spans may have lost its type on the way. */
function numberOf(value: AnyValue): number | undefined {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string") return parseGoFloat(value);
  return typeof value === "number" ? value : undefined;
}

function isEmptyId(id: Uint8Array): boolean {
  for (let i = 0; i < id.length; i++) if (id[i] !== 0) return false;
  return true;
}

/** 14, 28 and 14 bits as 14 digits. */
function randomnessOf(high: number, middle: number, low: number): string {
  const first = (high * BUCKETS + (middle >>> HASH_BITS)).toString(16).padStart(7, "0");
  return first + ((middle & (BUCKETS - 1)) * BUCKETS + low).toString(16).padStart(7, "0");
}
