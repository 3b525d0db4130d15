import type { Labels } from "#base/labels";
import { RequestParts, type WriteVersion } from "#formats/remote-write/2-parts";
import { compress, joinCompressed, uncompress } from "#formats/snappy";
import type { QueueRecord } from "#pipeline/disk-queue";
import type { EndpointStatus } from "./endpoint-status.ts";
import { tagVersion } from "./fragment-tag.ts";
import type { EndpointMetrics } from "./metrics.ts";
import type { Rejected, WriteRequestBody } from "./request.ts";
import { halves, type Part, Salvage } from "./salvage.ts";
import type { Sender } from "./sender.ts";

/** The largest content of a record. */
const MAX_BYTES = 256 * 1024 ** 2;

/** What of a batch of records is left to deliver, and to be told when something of it is done with. */
export interface RecordSource {
  /** Those of the records that are still to be sent. */
  fresh(records: readonly QueueRecord[]): readonly QueueRecord[];
  /** They were delivered, or dropped and counted. */
  done(records: readonly QueueRecord[]): void;
  /** It cannot be read: drops and counts it. */
  damaged(record: QueueRecord, error: unknown): void;
}

/** Delivers records of the queue: joined, in the version that the backend takes, in parts if it does not take them whole. */
export class Delivery {
  readonly #sender: Sender;
  readonly #status: EndpointStatus;
  readonly #metrics: EndpointMetrics;
  readonly #source: RecordSource;
  readonly #salvage: Salvage;

  /** `monotonic` is in milliseconds. */
  constructor(
    sender: Sender,
    status: EndpointStatus,
    metrics: EndpointMetrics,
    source: RecordSource,
    monotonic: () => number,
  ) {
    this.#sender = sender;
    this.#status = status;
    this.#metrics = metrics;
    this.#source = source;
    this.#salvage = new Salvage(monotonic);
  }

  async deliver(batch: readonly QueueRecord[], signal: AbortSignal): Promise<void> {
    let records = batch;
    let built: WriteRequestBody | undefined;
    let damage: unknown;
    const verdict = await this.#sender.exchange((version) => {
      const fresh = this.#source.fresh(records);
      if (built !== undefined && built.version === version && fresh.length === records.length) return built;
      records = fresh;
      if (records.length === 0) return undefined;
      try {
        built = { body: bodyOf(records, version), version, items: sumItems(records) };
      } catch (error) {
        damage = error;
        return undefined;
      }
      return built;
    }, signal);
    if (damage !== undefined) {
      if (records.length === 1) this.#source.damaged(records[0]!, damage);
      else for (const record of records) await this.deliver([record], signal);
      return;
    }
    if (verdict === undefined) return;
    if (verdict.kind === "sent") this.#sent(sumItems(records), records);
    else if (verdict.rescue === "records" && records.length > 1 && this.#salvage.mayTry()) {
      // One bad record must not take the others with it.
      for (const record of records) await this.deliver([record], signal);
      return;
    } else {
      const whole = { from: 0, to: sumItems(records) };
      const delivered = await this.#rescue(() => partsOf(records), whole, verdict, signal);
      if (delivered > 0) this.#sent(delivered, records);
    }
    this.#source.done(records);
  }

  #sent(items: number, records: readonly QueueRecord[]): void {
    this.#metrics.samples.inc(items);
    this.#metrics.highestSent.set(Math.max(this.#metrics.highestSent.value, records.at(-1)!.time / 1000));
  }

  /** Delivers what the backend takes of a part that it rejected, and counts the rest as dropped. Resolves to the former. */
  async #rescue(open: () => RequestParts, part: Part, rejected: Rejected, signal: AbortSignal): Promise<number> {
    const items = part.to - part.from;
    let delivered = Math.min(items, rejected.written ?? 0);
    let culprit: Labels | undefined;
    if (rejected.rescue === "halves" && items > 1) {
      this.#status.tooLarge(rejected.cause, items);
      const parts = open();
      // Each half has a verdict of its own.
      for (const half of halves(part).reverse()) {
        const verdict = await this.#send(parts, half, signal);
        if (verdict?.kind === "sent") delivered += half.to - half.from;
        else if (verdict !== undefined) delivered += await this.#rescue(() => parts, half, verdict, signal);
      }
      return delivered;
    }
    if (rejected.rescue === "halves") culprit = open().labels(part.from);
    if (rejected.rescue === "search") {
      const parts = open();
      ({ delivered, culprit } = await this.#salvage.deliver(parts, part, async (each) => {
        const verdict = await this.#send(parts, each, signal);
        return verdict?.kind === "sent";
      }));
    }
    if (delivered < items) this.#status.rejected(rejected, items - delivered, culprit);
    return delivered;
  }

  #send(parts: RequestParts, { from, to }: Part, signal: AbortSignal) {
    let built: WriteRequestBody | undefined;
    return this.#sender.exchange((version) => {
      if (built?.version === version) return built;
      built = { body: [compress(parts.write(from, to, version))], version, items: to - from };
      return built;
    }, signal);
  }
}

/** One request with all that the records hold. */
function bodyOf(records: readonly QueueRecord[], version: WriteVersion): readonly Uint8Array[] {
  const isSame = records.every(({ tag }) => tagVersion(tag) === version);
  if (isSame && version === 1) return joinCompressed(records.map(({ bytes }) => bytes));
  if (isSame && records.length === 1) return [records[0]!.bytes];
  const parts = partsOf(records);
  return [compress(parts.write(0, parts.count, version))];
}

function partsOf(records: readonly QueueRecord[]): RequestParts {
  return new RequestParts(
    records.map(({ tag, bytes }) => ({ version: tagVersion(tag), bytes: uncompress(bytes, MAX_BYTES) })),
  );
}

function sumItems(records: readonly QueueRecord[]): number {
  return records.reduce((sum, record) => sum + record.items, 0);
}
