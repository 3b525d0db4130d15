import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { errorText } from "#base/log";
import { tagVersion } from "#components/prometheus.remote_write/fragment-tag";
import { ProtoReader } from "#formats/protobuf";
import { RequestParts } from "#formats/remote-write/2-parts";
import { uncompress } from "#formats/snappy";
import type { QueueRecord } from "#pipeline/disk-queue";
import { ACK_FILE, AcknowledgedFile } from "#pipeline/disk-queue/acknowledged";
import { SegmentReader, segmentAt } from "#pipeline/disk-queue/segment";
import { type SeriesRef, SeriesRegistry } from "#pipeline/series";

/** As the queue itself bounds them. */
const MAX_BYTES = 256 * 1024 ** 2;
const SEGMENT = /^(\d{12})\.segment$/;
const QUEUE = /^queue-[0-9a-f]{16}$/;

/** What the queue of one endpoint holds on disk: what waits, and what was delivered and is not deleted yet. */
export class QueueContent {
  readonly name: string;
  readonly registry: SeriesRegistry = new SeriesRegistry();
  /** Of each series, by its ref: how many samples, and their first and last time (epoch milliseconds). */
  readonly samples = new Map<SeriesRef, { count: number; from: number; to: number }>();
  total = 0;
  /** Samples that were not delivered yet. */
  waiting = 0;
  damagedBytes = 0;
  segments: readonly number[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Takes in a record; `isWaiting` if it was not delivered. */
  add({ bytes, tag, items }: QueueRecord, isWaiting: boolean): void {
    const request = uncompress(bytes, MAX_BYTES);
    const parts = tagVersion(tag) === 2 ? new RequestParts([{ version: 2, bytes: request }]) : undefined;
    const reader = new ProtoReader(parts === undefined ? request : parts.write(0, parts.count, 1));
    if (isWaiting) this.waiting += items;
    while (!reader.done) {
      const message = reader.tag();
      if (message >>> 3 !== 1) {
        reader.skip(message);
        continue;
      }
      const outer = reader.enter();
      this.#addSeries(reader);
      reader.leave(outer);
    }
  }

  /** A TimeSeries of version 1: its labels, then samples (field 2) and histograms (field 4). */
  #addSeries(reader: ProtoReader): void {
    const from = reader.position;
    let ref = 0;
    while (!reader.done) {
      const before = reader.position;
      const tag = reader.tag();
      const field = tag >>> 3;
      if (field > 1 && ref === 0) ref = this.#intern(reader.bytes, from, before);
      if (field === 2) this.#addSample(ref, timestampIn(reader, 2));
      else if (field === 4) this.#addSample(ref, timestampIn(reader, 15));
      else reader.skip(tag);
    }
  }

  #intern(bytes: Uint8Array, from: number, to: number): SeriesRef {
    const ref = this.registry.internEncoded(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), from, to);
    if (!this.samples.has(ref)) this.samples.set(ref, { count: 0, from: Infinity, to: -Infinity });
    return ref;
  }

  #addSample(ref: SeriesRef, time: number): void {
    const known = this.samples.get(ref);
    if (known === undefined) return;
    known.count += 1;
    known.from = Math.min(known.from, time);
    known.to = Math.max(known.to, time);
    this.total += 1;
  }
}

function timestampIn(reader: ProtoReader, field: number): number {
  const outer = reader.enter();
  let time = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >>> 3 === field) time = reader.int64Number();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return time;
}

/**
 * Reads the queues in `directory`, changing nothing: a component's folder with one for each endpoint, or that of a queue.
 * An agent may be running. Throws with what to do when there is none.
 */
export async function readQueues(directory: string): Promise<QueueContent[]> {
  const names = await list(directory);
  if (names.some((name) => SEGMENT.test(name))) return [await readQueue(directory)];
  const queues = names.filter((name) => QUEUE.test(name)).sort();
  if (queues.length > 0) return Promise.all(queues.map((name) => readQueue(join(directory, name))));
  if (names.includes("lock") || names.some((name) => ACK_FILE.test(name))) return [await readQueue(directory)];
  const inside = names.filter((name) => name.startsWith("prometheus.remote_write."));
  const hint =
    inside.length > 0
      ? `it is a storage folder: give ${join(directory, inside[0]!)}`
      : "give the folder of a prometheus.remote_write in the agent's --storage.path";
  throw new Error(`there is no queue of a prometheus.remote_write in ${directory}: ${hint}`);
}

async function list(directory: string): Promise<string[]> {
  try {
    if (!(await stat(directory)).isDirectory()) throw new Error(`${directory} is no folder`);
    return await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new Error(`${directory} does not exist`, { cause: error });
    if (code === "EACCES")
      throw new Error(`${errorText(error)}: run this as the agent's user, or as root`, { cause: error });
    throw error;
  }
}

async function readQueue(directory: string): Promise<QueueContent> {
  const content = new QueueContent(basename(directory));
  const names = await readdir(directory);
  const acknowledged = await acknowledgedIn(directory, names);
  content.segments = names
    .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  for (const number of content.segments) {
    const segment = segmentAt(directory, number);
    // A running agent may delete it meanwhile, and write on.
    const facts = await stat(segment.path).catch(() => undefined);
    if (facts === undefined) continue;
    segment.size = facts.size;
    const reader = new SegmentReader(segment, 0);
    try {
      while (!reader.atEnd) {
        for (const { record } of await reader.read()) content.add(record, record.sequence > acknowledged);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    } finally {
      await reader.close();
    }
    content.damagedBytes += reader.damagedBytes;
  }
  return content;
}

/** The sequence up to which all is delivered. */
async function acknowledgedIn(directory: string, names: readonly string[]): Promise<number> {
  const file = names.find((name) => ACK_FILE.test(name));
  if (file === undefined) return 0;
  const stored = new AcknowledgedFile(join(directory, file), 0, () => {});
  const position = await stored.load();
  await stored.close();
  return position?.sequence ?? 0;
}
