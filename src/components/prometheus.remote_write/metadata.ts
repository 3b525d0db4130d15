import { WriteRequestEncoder } from "#formats/remote-write";
import { compress } from "#formats/snappy";
import { Backoff } from "#kits/backoff";
import type { MetricMetadata } from "#pipeline/batch";
import type { MetadataArguments, QueueArguments } from "./arguments.ts";
import type { Endpoint, RemoteWriteContext } from "./endpoint.ts";

/** Families of which metadata is remembered; a page of nonsense must not take all memory. */
const MAX_FAMILIES = 100_000;
/** Attempts for one request: metadata is sent again at the next turn anyway. */
const ATTEMPTS = 5;

/** The latest metadata of every family that came by. It does not go through the queue: it is sent anew at each turn. */
export class MetadataStore {
  readonly #families = new Map<string, MetricMetadata>();

  /** Takes in changes; returns how many there were. */
  add(changes: readonly MetricMetadata[]): number {
    for (const each of changes) {
      if (this.#families.has(each.family) || this.#families.size < MAX_FAMILIES) this.#families.set(each.family, each);
    }
    return changes.length;
  }

  get all(): readonly MetricMetadata[] {
    return [...this.#families.values()];
  }
}

/** Sends all metadata to an endpoint once, in requests of at most `max_samples_per_send` families. */
export async function sendMetadata(
  ctx: RemoteWriteContext,
  endpoint: Endpoint,
  store: MetadataStore,
  config: MetadataArguments,
  queue: QueueArguments,
  signal: AbortSignal,
): Promise<void> {
  const encoder = new WriteRequestEncoder();
  const { all } = store;
  for (let from = 0; from < all.length; from += config.max_samples_per_send) {
    const part = all.slice(from, from + config.max_samples_per_send);
    encoder.reset();
    for (const each of part) encoder.metadata(each);
    const body = compress(encoder.bytes());
    const backoff = new Backoff(queue.min_backoff, queue.max_backoff);
    for (let attempt = 0; ; attempt++) {
      const outcome = await endpoint.send([body], attempt, signal);
      if (outcome.kind === "sent") {
        endpoint.metrics.metadata.inc(part.length);
        endpoint.metrics.metadataBytes.inc(body.length);
        break;
      }
      if (outcome.kind !== "retry" || attempt + 1 >= ATTEMPTS) {
        endpoint.metrics.metadataFailed.inc(part.length);
        ctx.log.warn("failed to send metadata", { endpoint: endpoint.title, error: outcome.cause });
        return;
      }
      endpoint.metrics.metadataRetried.inc(part.length);
      await ctx.clock.sleep(backoff.next(outcome.retryAfterMs), signal);
    }
  }
}
