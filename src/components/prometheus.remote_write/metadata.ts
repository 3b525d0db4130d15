import { WriteRequestEncoder } from "#formats/remote-write/remote-write";
import { compress } from "#formats/snappy";
import { Backoff } from "#kits/backoff";
import type { MetricMetadata } from "#pipeline/batch";
import type { MetadataArguments, QueueArguments } from "./arguments.ts";
import type { Endpoint, RemoteWriteContext } from "./endpoint.ts";

/** Families of which metadata is remembered; a page of nonsense must not take all memory. */
const MAX_FAMILIES = 100_000;
/** Attempts for one request: metadata is sent again at the next turn anyway. */
const ATTEMPTS = 5;

/** The latest metadata of every family that came by. */
export class MetadataStore {
  readonly #families = new Map<string, MetricMetadata>();

  /** Takes in changes, and hands those that are kept on to `taken`. */
  add(changes: readonly MetricMetadata[], taken: (metadata: MetricMetadata) => void): void {
    for (const each of changes) {
      if (!this.#families.has(each.family) && this.#families.size >= MAX_FAMILIES) continue;
      this.#families.set(each.family, each);
      taken(each);
    }
  }

  get all(): readonly MetricMetadata[] {
    return [...this.#families.values()];
  }
}

/**
 * Sends all metadata to an endpoint once, in requests of at most `max_samples_per_send` families. For version 1: it does not
 * go through the queue, since it is sent anew at each turn. In version 2 it goes with each sample.
 */
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
      const outcome = await endpoint.send({ body: [body], version: 1, items: 0 }, attempt, signal);
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
