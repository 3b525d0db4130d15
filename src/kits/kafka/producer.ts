import { abortable } from "#base/abortable";
import type { Clock } from "#base/clock";
import { type ClusterOptions, KafkaCluster } from "./cluster.ts";
import { KAFKA_CODES, KafkaError, kafkaError } from "./errors.ts";
import { PRODUCE, produceRequest, readProduce } from "./messages.ts";
import { Partitioner, type PartitionerName } from "./partitioner.ts";
import { encodeRecordBatch, type KafkaCompression, type KafkaRecord, recordBytes } from "./record-writer.ts";

/** How much more than its parts a record and a batch may take. */
const RECORD_OVERHEAD = 40;
const BATCH_OVERHEAD = 100;
/** The broker waits for its followers as long as the request says; the connection a little longer. */
const NETWORK_MS = 10_000;

export interface ProducerOptions extends ClusterOptions {
  readonly clock: Clock;
  /** −1: all replicas in sync have the messages, 1: the leader has, 0: nobody says anything. */
  readonly acks: number;
  readonly timeoutMs: number;
  readonly compression: KafkaCompression;
  readonly level: number;
  readonly maxMessageBytes: number;
  readonly maxBufferedRecords: number;
  readonly lingerMs: number;
  readonly makesTopics: boolean;
  readonly partitioner: PartitionerName;
  readonly metadataAgeMs: number;
  readonly metadataRetries: number;
  readonly metadataPauseMs: number;
  /** Connections that nothing went over for so long are closed; 0 for never. */
  readonly idleMs: number;
}

/** A record that Kafka did not take. */
export interface FailedRecord {
  readonly record: KafkaRecord;
  readonly error: KafkaError;
}

interface Waiting {
  readonly record: KafkaRecord;
  readonly bytes: number;
  readonly done: (error: KafkaError | undefined) => void;
}

/** What waits for one partition. One request at a time is under way for it, so that its order is that of the records. */
class Lane {
  readonly waiting: Waiting[] = [];
  isSending = false;
  timer: NodeJS.Timeout | undefined;
}

interface Topic {
  readonly leaders: readonly number[];
  readonly at: number;
}

/** Produces messages: by partition in batches, of which each is sent to the partition's leader. Not idempotent, as the Collector's. */
export class KafkaProducer {
  readonly #options: ProducerOptions;
  readonly #partitioner: Partitioner;
  #cluster: KafkaCluster;
  readonly #topics = new Map<string, Topic>();
  readonly #asking = new Map<string, Promise<Topic>>();
  readonly #lanes = new Map<string, Lane>();
  readonly #room: (() => void)[] = [];
  #buffered = 0;
  #idle: NodeJS.Timeout | undefined;
  readonly #closed = new AbortController();

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#partitioner = new Partitioner(options.partitioner);
    this.#cluster = new KafkaCluster(options);
  }

  /** Resolves when Kafka has taken or refused each record; with those that it did not take. */
  async send(records: readonly KafkaRecord[], signal: AbortSignal): Promise<FailedRecord[]> {
    const failed: FailedRecord[] = [];
    const outcomes = records.map(async (record) => {
      const error = await this.#add(record, signal);
      if (error !== undefined) failed.push({ record, error });
    });
    await abortable(Promise.all(outcomes), signal);
    return failed;
  }

  close(): void {
    clearTimeout(this.#idle);
    this.#closed.abort(new KafkaError("connection", "the client was closed"));
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.timer);
      for (const { done } of lane.waiting.splice(0)) done(new KafkaError("connection", "the client was closed"));
    }
    this.#cluster.close();
  }

  async #add(record: KafkaRecord, signal: AbortSignal): Promise<KafkaError | undefined> {
    const { maxMessageBytes, maxBufferedRecords } = this.#options;
    const bytes = recordBytes(record) + RECORD_OVERHEAD;
    if (bytes + BATCH_OVERHEAD > maxMessageBytes) {
      return kafkaError(MESSAGE_TOO_LARGE, `a message of ${bytes} bytes for ${record.topic}`);
    }
    let topic: Topic;
    try {
      topic = await this.#topic(record.topic, signal);
    } catch (error) {
      if (error instanceof KafkaError) return error;
      throw error;
    }
    while (this.#buffered >= maxBufferedRecords) {
      await abortable(new Promise<void>((resolve) => this.#room.push(resolve)), signal);
    }
    const backlog = (partition: number) => this.#lanes.get(`${partition} ${record.topic}`)?.waiting.length ?? 0;
    const partition = this.#partitioner.pick(record, topic.leaders.length, backlog);
    const key = `${partition} ${record.topic}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, (lane = new Lane()));
    this.#buffered += 1;
    return new Promise((resolve) => {
      const done = (error: KafkaError | undefined) => {
        this.#buffered -= 1;
        this.#room.shift()?.();
        resolve(error);
      };
      lane.waiting.push({ record, bytes, done });
      this.#schedule(lane, record.topic, partition);
    });
  }

  /** Sends at once when a batch is full, else when others had time to come as well. */
  #schedule(lane: Lane, topic: string, partition: number): void {
    if (lane.isSending || lane.waiting.length === 0) return;
    const { lingerMs, maxMessageBytes } = this.#options;
    const isFull = lane.waiting.reduce((sum, { bytes }) => sum + bytes, BATCH_OVERHEAD) >= maxMessageBytes;
    if (lingerMs === 0 || isFull) {
      clearTimeout(lane.timer);
      lane.timer = undefined;
      lane.isSending = true;
      // Records of this moment go together.
      queueMicrotask(() => void this.#sendLane(lane, topic, partition));
    } else {
      lane.timer ??= setTimeout(() => {
        lane.timer = undefined;
        if (lane.isSending || lane.waiting.length === 0) return;
        lane.isSending = true;
        void this.#sendLane(lane, topic, partition);
      }, lingerMs);
    }
  }

  async #sendLane(lane: Lane, topic: string, partition: number): Promise<void> {
    const { maxMessageBytes } = this.#options;
    const batch: Waiting[] = [];
    let size = BATCH_OVERHEAD;
    while (lane.waiting.length > 0 && (batch.length === 0 || size + lane.waiting[0]!.bytes <= maxMessageBytes)) {
      size += lane.waiting[0]!.bytes;
      batch.push(lane.waiting.shift()!);
    }
    this.#partitioner.batchLeft(topic, partition);
    let failure: KafkaError | undefined;
    try {
      await this.#produce(
        topic,
        partition,
        batch.map(({ record }) => record),
      );
    } catch (error) {
      failure = error instanceof KafkaError ? error : new KafkaError("protocol", String(error), { cause: error });
    }
    for (const { done } of batch) done(failure);
    lane.isSending = false;
    this.#schedule(lane, topic, partition);
  }

  /** Tries again when another broker leads the partition by now. Rejects with a KafkaError. */
  async #produce(topic: string, partition: number, records: readonly KafkaRecord[]): Promise<void> {
    const { compression, level, clock, metadataRetries, metadataPauseMs } = this.#options;
    const { signal } = this.#closed;
    const batch = await encodeRecordBatch(records, compression, level, clock.now());
    for (let attempt = 0; ; attempt++) {
      try {
        const { leaders } = await this.#topic(topic, signal);
        await this.#request(leaders[partition] ?? -1, topic, partition, batch, signal);
        return;
      } catch (error) {
        this.#topics.delete(topic);
        if (!(error instanceof KafkaError) || error.kind !== "leader" || attempt >= metadataRetries) throw error;
        await clock.sleep(metadataPauseMs, signal);
      }
    }
  }

  async #request(leader: number, topic: string, partition: number, batch: Buffer, signal: AbortSignal): Promise<void> {
    const { acks, timeoutMs, compression } = this.#options;
    if (leader < 0) throw kafkaError(LEADER_NOT_AVAILABLE, `writing to ${topic}/${partition}`);
    const connection = await this.#cluster.connection(leader, "other", signal);
    const version = connection.version(PRODUCE);
    if (compression === "zstd" && version < ZSTD_VERSION) {
      throw new KafkaError(
        "configuration",
        "zstd needs Kafka 2.1: choose another `compression`, or raise `protocol_version`",
      );
    }
    const body = produceRequest(acks, timeoutMs, topic, partition, batch);
    if (acks === 0) return connection.notify(PRODUCE, version, body);
    const reader = await connection.request(PRODUCE, version, body, signal, timeoutMs + NETWORK_MS);
    const { code } = readProduce(reader);
    if (code !== 0) throw writeError(code, `writing to ${topic}/${partition}`);
  }

  /** The leaders of a topic's partitions, asked for anew when they are old. Rejects with a KafkaError. */
  #topic(name: string, signal: AbortSignal): Promise<Topic> {
    const known = this.#topics.get(name);
    const { clock, metadataAgeMs } = this.#options;
    if (known !== undefined && clock.monotonic() - known.at < metadataAgeMs) return Promise.resolve(known);
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      asking = this.#ask(name).finally(() => this.#asking.delete(name));
      this.#asking.set(name, asking);
    }
    return abortable(asking, signal);
  }

  async #ask(name: string): Promise<Topic> {
    const { clock, makesTopics, metadataRetries, metadataPauseMs } = this.#options;
    const { signal } = this.#closed;
    this.#used();
    for (let attempt = 0; ; attempt++) {
      const { topics } = await this.#cluster.metadata([name], signal, makesTopics);
      const found = topics.find((each) => each.name === name);
      if (found !== undefined && found.code === 0 && found.partitions.length > 0) {
        const leaders: number[] = [];
        for (const { index, leader } of found.partitions) leaders[index] = leader;
        const topic = { leaders, at: clock.monotonic() };
        this.#topics.set(name, topic);
        return topic;
      }
      const error = writeError(found?.code || UNKNOWN_TOPIC, `writing to topic ${name}`);
      // A topic that is being made has no leader for a moment.
      if (error.kind !== "leader" || attempt >= metadataRetries) throw error;
      await clock.sleep(metadataPauseMs, signal);
    }
  }

  /** Closes connections that are not used; the next request opens others. */
  #used(): void {
    const { idleMs } = this.#options;
    clearTimeout(this.#idle);
    if (idleMs === 0) return;
    this.#idle = setTimeout(() => {
      if (this.#buffered > 0) return this.#used();
      this.#cluster.close();
      this.#cluster = new KafkaCluster(this.#options);
      this.#topics.clear();
    }, idleMs).unref();
  }
}

function writeError(code: number, what: string): KafkaError {
  if (code !== KAFKA_CODES.TOPIC_AUTHORIZATION_FAILED) return kafkaError(code, what);
  const text = "the user may not write to the topic: allow WRITE and DESCRIBE on it (TOPIC_AUTHORIZATION_FAILED)";
  return new KafkaError("authorization", `${what}: ${text}`, { code });
}

const UNKNOWN_TOPIC = 3;
const LEADER_NOT_AVAILABLE = 5;
const MESSAGE_TOO_LARGE = 10;
const ZSTD_VERSION = 7;
