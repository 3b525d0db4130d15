import type { Clock } from "#base/clock";
import { PushRequestEncoder } from "#formats/loki-push/encode";
import { joinStreams, type PushStream, pushStreams } from "#formats/loki-push/streams";
import { compress, joinCompressed, uncompress, uncompressedLength } from "#formats/snappy";
import type { LogBatch } from "#pipeline/batch";
import type { DiskQueue, QueueInput, QueueReader, QueueRecord } from "#pipeline/disk-queue";
import { sliceable } from "#pipeline/log-batch";
import type { Endpoint } from "./endpoint.ts";
import type { PushBody } from "./push-body.ts";
import type { StreamTable } from "./streams.ts";
import { MAX_REQUEST_BYTES } from "./write-metrics.ts";

/** Marks a record whose entries name no tenant, so that each endpoint's own counts. */
const NO_TENANT = 0xffff;

/**
 * The records of the disk queue: two bytes with the tenant's length (little-endian), the tenant, and a push request as a
 * snappy block. Requests of one tenant are joined without being decoded, since both snappy blocks and messages concatenate.
 */
export function encodeWalRecords(batch: LogBatch, streams: StreamTable): QueueInput[] {
  const encoders = new Map<
    string | undefined,
    { encoder: PushRequestEncoder; ids: Map<string, ReturnType<PushRequestEncoder["stream"]>> }
  >();
  const data = sliceable(batch.data);
  for (let i = 0; i < batch.count; i++) {
    const target = streams.of(batch.streams[batch.stream[i]!]!);
    let group = encoders.get(target.tenant);
    if (group === undefined)
      encoders.set(target.tenant, (group = { encoder: new PushRequestEncoder(), ids: new Map() }));
    let stream = group.ids.get(target.key);
    if (stream === undefined) group.ids.set(target.key, (stream = group.encoder.stream(target.encoded)));
    group.encoder.add(stream, batch.ms[i]!, batch.ns[i]!, data, batch.start[i]!, batch.end[i]!, batch.metadata?.[i]);
  }
  return [...encoders].map(([tenant, { encoder }]) => {
    const items = encoder.entries;
    const name = Buffer.from(tenant ?? "");
    const head = Buffer.alloc(2);
    head.writeUInt16LE(tenant === undefined ? NO_TENANT : name.length);
    return { bytes: Buffer.concat([head, name, compress(encoder.finish())]), items, tag: 0 };
  });
}

/** The tenant (undefined for none) and the snappy block of a record. */
function decodeWalRecord(bytes: Uint8Array): {
  readonly tenant: string | undefined;
  readonly block: Uint8Array;
} {
  const length = bytes[0]! | (bytes[1]! << 8);
  if (length === NO_TENANT) return { tenant: undefined, block: bytes.subarray(2) };
  const tenant = Buffer.from(bytes.buffer, bytes.byteOffset + 2, length).toString("utf8");
  return { tenant, block: bytes.subarray(2 + length) };
}

/**
 * Sends what an endpoint has not had yet, from the disk queue, until `signal` is aborted. Once `ending` is aborted it
 * resolves when the request under way is answered.
 */
export async function sendFromWal(
  queue: DiskQueue,
  endpoint: Endpoint,
  clock: Clock,
  ending: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  const reader = queue.reader(endpoint.options.name);
  for (;;) {
    let records: QueueRecord[];
    try {
      records = await collect(reader, endpoint, clock, ending);
    } catch (error) {
      signal.throwIfAborted();
      if (ending.aborted) return;
      throw error;
    }
    endpoint.countRead(records.length);
    for (const [tenant, group] of Map.groupBy(records, (record) => decodeWalRecord(record.bytes).tenant)) {
      const body = limitStreams(endpoint, {
        tenant: tenant ?? endpoint.options.tenant,
        chunks: joinCompressed(group.map((record) => decodeWalRecord(record.bytes).block)),
        entries: group.reduce((sum, record) => sum + record.items, 0),
      });
      endpoint.meet(body.tenant);
      await endpoint.delivery.send(body, signal);
      const now = clock.now();
      for (const { time, items } of group) {
        if (time <= now) endpoint.observeLatency(body.tenant, (now - time) / 1000, items);
      }
      reader.ack(...group);
    }
  }
}

/** A request without the streams beyond `max_streams`, whose entries are dropped and counted. */
function limitStreams(endpoint: Endpoint, body: PushBody): PushBody {
  const { maxStreams } = endpoint.options;
  if (maxStreams === 0) return body;
  const content = uncompress(Buffer.concat(body.chunks), MAX_REQUEST_BYTES);
  const known = new Set<string>();
  const kept: PushStream[] = [];
  let entries = 0;
  let dropped = 0;
  for (const stream of pushStreams(content)) {
    if (known.size < maxStreams) known.add(stream.labels);
    if (known.has(stream.labels)) {
      kept.push(stream);
      entries += stream.entries;
    } else {
      dropped += stream.entries;
      endpoint.dropStream(body.tenant, stream.entries, stream.end - stream.start);
    }
  }
  return dropped === 0 ? body : { tenant: body.tenant, chunks: [compress(joinStreams(content, kept))], entries };
}

/** Records for about one request: waits for the first, then for more until `batch_wait` is over. */
async function collect(
  reader: QueueReader,
  endpoint: Endpoint,
  clock: Clock,
  signal: AbortSignal,
): Promise<QueueRecord[]> {
  const { batchBytes, batchWaitMs } = endpoint.options;
  const records: QueueRecord[] = [];
  let size = 0;
  let due: AbortController | undefined;
  const timer = new AbortController();
  const stop = () => {
    due?.abort();
    timer.abort();
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (size < batchBytes) {
      let more: QueueRecord[];
      try {
        more = await reader.next(Math.max(64 * 1024, (batchBytes - size) >> 2), due?.signal ?? signal);
      } catch (error) {
        if (signal.aborted || due === undefined || !due.signal.aborted) throw error;
        break;
      }
      for (const record of more) size += uncompressedLength(decodeWalRecord(record.bytes).block);
      records.push(...more);
      if (due === undefined) {
        const controller = (due = new AbortController());
        clock.sleep(batchWaitMs, timer.signal).then(
          () => controller.abort(new Error("batch_wait is over")),
          () => {},
        );
      }
    }
  } finally {
    timer.abort();
    signal.removeEventListener("abort", stop);
  }
  return records;
}
