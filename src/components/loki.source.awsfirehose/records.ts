import { createGunzip } from "node:zlib";
import { CloudwatchRecord, type FirehoseRequest } from "#formats/firehose";
import { JsonError } from "#formats/json-reader";
import { HttpError } from "#kits/http/server";
import type { InternalLabels, MadeLabels } from "#kits/loki-push-labels";
import { DamagedError, unpack } from "#kits/push/body";
import type { PushVisit } from "#kits/push/server";
import { LogBatchBuilder } from "#pipeline/log-batch";

/** Firehose takes records of up to 1,000 KiB; this is for what one may blow up to. */
const MAX_RECORD = 32 * 1024 * 1024;
const ENTRIES_PER_BATCH = 32_768;
const BYTES_PER_BATCH = 4 * 1024 * 1024;

export type RecordType = "direct-put" | "cloudwatch-logs";
/** Why a record is dropped: Alloy's reasons, and one for what Alloy has no limit for. */
export type RecordProblem = "base64-decode" | "gzip-deflate" | "cw-json-decode" | "too-large";

export interface RecordEvents {
  received(type: RecordType): void;
  /** Entries were forwarded, of which some have no labels, or would have been dropped by the rules. */
  forwarded(unlabelled: number, ruledOut: number): void;
}

export interface RecordOptions {
  readonly labels: InternalLabels;
  /** Labels of all records, flat. */
  readonly common: readonly string[];
  readonly useIncomingTime: boolean;
  readonly now: number;
  readonly events: RecordEvents;
}

/**
 * Makes entries of the records of a request and forwards them, as Alloy does it
 * (internal/component/loki/source/aws_firehose/routes.go): records of CloudWatch Logs are known by gzip and give an entry
 * for each event, control messages included; any other record is an entry. One record is in memory at a time.
 */
export class RecordForwarder {
  readonly #visit: PushVisit;
  readonly #options: RecordOptions;
  readonly #builder = new LogBatchBuilder();
  readonly #plainLabels: MadeLabels;
  /** Records that were dropped so far, and why the first one was. */
  readonly dropped = new Map<RecordProblem, { records: number; readonly why: string }>();
  #entries = 0;
  #unlabelled = 0;
  #ruledOut = 0;

  constructor(visit: PushVisit, options: RecordOptions) {
    this.#visit = visit;
    this.#options = options;
    this.#plainLabels = options.labels.make(options.common);
  }

  async forward(request: FirehoseRequest): Promise<void> {
    for (const record of request.records()) await this.#record(record, request.timestamp);
    await this.#flush();
  }

  async #record(data: Buffer | undefined, timestamp: number | undefined): Promise<void> {
    if (data === undefined) {
      this.#drop("base64-decode", "a record is not base64");
      return;
    }
    const { events } = this.#options;
    if (!isGzip(data)) {
      events.received("direct-put");
      await this.#plain(data, timestamp);
      return;
    }
    const { lease } = this.#visit;
    let content: Buffer;
    try {
      content = await unpack(createGunzip(), data, MAX_RECORD, lease);
    } catch (error) {
      if (error instanceof DamagedError) this.#drop("gzip-deflate", `a record cannot be unpacked: ${error.message}`);
      else if (error instanceof HttpError && error.status === 413) {
        this.#drop("too-large", `a record has more than ${MAX_RECORD} bytes when unpacked`);
      } else throw error;
      return;
    }
    try {
      events.received("cloudwatch-logs");
      const record = new CloudwatchRecord(content);
      // JSON that somebody else has packed; Alloy loses it.
      if (!record.isRecord) await this.#plain(content, timestamp);
      else await this.#cloudwatch(record);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.#drop("cw-json-decode", `an unpacked record is not of CloudWatch Logs: ${error.message}`);
    } finally {
      lease.give(content.length);
    }
  }

  #drop(reason: RecordProblem, why: string): void {
    const known = this.dropped.get(reason);
    if (known === undefined) this.dropped.set(reason, { records: 1, why });
    else known.records += 1;
  }

  async #plain(line: Buffer, timestamp: number | undefined): Promise<void> {
    const { ms, ns } = this.#time(timestamp);
    const stream = this.#stream(this.#plainLabels);
    this.#builder.add(stream, ms, ns, line, 0, line.length);
    if (this.#isFull) await this.#flush();
  }

  async #cloudwatch(record: CloudwatchRecord): Promise<void> {
    const { owner, logGroup, logStream, subscriptionFilters, messageType, reader } = record;
    const given = [
      ...this.#options.common,
      ...["__aws_owner", owner, "__aws_cw_log_group", logGroup, "__aws_cw_log_stream", logStream],
      ...["__aws_cw_matched_filters", subscriptionFilters.join(","), "__aws_cw_msg_type", messageType],
    ];
    const labels = this.#options.labels.make(given);
    for (const time of record.events()) {
      const { ms, ns } = this.#time(time);
      const stream = this.#stream(labels);
      const { start, end, escaped } = reader;
      const length = escaped ? reader.unescape(start, end) : 0;
      if (escaped) this.#builder.add(stream, ms, ns, reader.scratch, 0, length);
      else this.#builder.add(stream, ms, ns, reader.bytes, start, end);
      if (this.#isFull) await this.#flush();
    }
  }

  /** Counts an entry with these labels; gives their place in the present batch. */
  #stream({ labels, unlabelled, ruledOut }: MadeLabels): number {
    if (unlabelled) this.#unlabelled += 1;
    if (ruledOut) this.#ruledOut += 1;
    this.#entries += 1;
    return this.#builder.streamId(labels);
  }

  #time(incoming: number | undefined): { readonly ms: number; readonly ns: number } {
    const { useIncomingTime, now } = this.#options;
    if (useIncomingTime && incoming !== undefined) return { ms: incoming, ns: 0 };
    // Times of arrival differ, so that Loki keeps the order.
    return { ms: now + Math.floor(this.#entries / 1_000_000), ns: this.#entries % 1_000_000 };
  }

  get #isFull(): boolean {
    return this.#builder.count >= ENTRIES_PER_BATCH || this.#builder.bytes >= BYTES_PER_BATCH;
  }

  async #flush(): Promise<void> {
    await this.#visit.deliver(this.#builder.take());
    this.#options.events.forwarded(this.#unlabelled, this.#ruledOut);
    this.#unlabelled = 0;
    this.#ruledOut = 0;
  }
}

/** Gzip's two magic bytes and its only method. */
function isGzip(data: Uint8Array): boolean {
  return data[0] === 0x1f && data[1] === 0x8b && data[2] === 8;
}
