import { throwIfFailed } from "./errors.ts";
import { type KafkaReader, KafkaWriter } from "./protocol.ts";

/**
 * The requests that consumers send (kafka.apache.org/protocol, "The Messages"), each with the versions that are written
 * here: the lowest is in Kafka since 0.11, and Kafka 4 still has them all.
 */
export interface KafkaApi {
  readonly key: number;
  readonly name: string;
  readonly lowest: number;
  readonly highest: number;
}

const api = (key: number, name: string, lowest: number, highest = lowest): KafkaApi => ({ key, name, lowest, highest });

export const PRODUCE = api(0, "Produce", 3, 7);
export const FETCH = api(1, "Fetch", 4, 11);
export const LIST_OFFSETS = api(2, "ListOffsets", 1);
export const METADATA = api(3, "Metadata", 4);
export const OFFSET_COMMIT = api(8, "OffsetCommit", 2);
export const OFFSET_FETCH = api(9, "OffsetFetch", 2);
export const FIND_COORDINATOR = api(10, "FindCoordinator", 1);
export const JOIN_GROUP = api(11, "JoinGroup", 2, 4);
export const HEARTBEAT = api(12, "Heartbeat", 1);
export const LEAVE_GROUP = api(13, "LeaveGroup", 1);
export const SYNC_GROUP = api(14, "SyncGroup", 1);
export const SASL_HANDSHAKE = api(17, "SaslHandshake", 1);
export const API_VERSIONS = api(18, "ApiVersions", 0);
export const SASL_AUTHENTICATE = api(36, "SaslAuthenticate", 0, 1);

/** Which version of Kafka brought which version of a request that is written here in several. */
const SINCE: readonly (readonly [kafka: string, key: number, version: number])[] = [
  ["1.0.0", PRODUCE.key, 5],
  ["2.1.0", PRODUCE.key, 7],
  ["1.0.0", FETCH.key, 6],
  ["1.1.0", FETCH.key, 7],
  ["2.0.0", FETCH.key, 8],
  ["2.0.0", JOIN_GROUP.key, 3],
  ["2.1.0", FETCH.key, 10],
  ["2.2.0", JOIN_GROUP.key, 4],
  ["2.2.0", SASL_AUTHENTICATE.key, 1],
  ["2.3.0", FETCH.key, 11],
];
const FIRST: ReadonlyMap<number, number> = new Map([
  [PRODUCE.key, 3],
  [FETCH.key, 5],
  [JOIN_GROUP.key, 2],
  [SASL_AUTHENTICATE.key, 0],
]);
const LOWEST_KAFKA = "0.11.0.0";

/** Compares dotted versions. */
function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < 4; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Why a text cannot be a version of Kafka to speak with; undefined if it can. As sarama's ParseKafkaVersion has it, and not before 0.11. */
export function kafkaVersionProblem(text: string): string | undefined {
  const isOld = /^0\.\d{1,4}\.\d{1,4}\.\d{1,4}$/.test(text);
  if (!isOld && !/^[1-9]\d{0,3}\.\d{1,4}\.\d{1,4}$/.test(text)) {
    return `cannot be "${text}": invalid version, it has to be a version of Kafka such as "2.2.1" or "0.11.0.2"`;
  }
  if (compareVersions(text, LOWEST_KAFKA) >= 0) return undefined;
  return `cannot be "${text}": the messages of Kafka before 0.11 have another format, which is not read`;
}

/** The highest version of a request to use: `version` is the argument, an upper bound as in sarama. */
export function versionFor({ key, highest }: KafkaApi, kafkaVersion: string): number {
  let version = FIRST.get(key) ?? highest;
  for (const [since, of, next] of SINCE) {
    if (of === key && compareVersions(kafkaVersion, since) >= 0) version = next;
  }
  return version;
}

export interface BrokerAddress {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

export interface TopicMetadata {
  readonly name: string;
  readonly code: number;
  readonly isInternal: boolean;
  readonly partitions: readonly { readonly index: number; readonly leader: number; readonly code: number }[];
}

export interface ClusterMetadata {
  readonly brokers: readonly BrokerAddress[];
  readonly topics: readonly TopicMetadata[];
}

/** `topics` null for all; asking for one makes it only with `makes`, where the broker allows that. */
export function metadataRequest(topics: readonly string[] | null, makes = false): KafkaWriter {
  const writer = new KafkaWriter();
  return writer.array(topics, (topic) => writer.string(topic)).boolean(makes);
}

export function readMetadata(reader: KafkaReader): ClusterMetadata {
  reader.int32(); // throttled for
  const brokers = reader.array(() => {
    const broker = { id: reader.int32(), host: reader.string(), port: reader.int32() };
    reader.nullableString(); // rack
    return broker;
  });
  reader.nullableString(); // cluster
  reader.int32(); // controller
  const topics = reader.array(() => {
    const code = reader.int16();
    const name = reader.string();
    const isInternal = reader.boolean();
    const partitions = reader.array(() => {
      const partition = { code: reader.int16(), index: reader.int32(), leader: reader.int32() };
      reader.array(() => reader.int32()); // replicas
      reader.array(() => reader.int32()); // in sync
      return partition;
    });
    return { name, code, isInternal, partitions };
  });
  return { brokers, topics };
}

/** Values by topic and partition: most requests and responses nest so. */
export type ByTopic<T> = ReadonlyMap<string, ReadonlyMap<number, T>>;

export function writeByTopic<T>(
  writer: KafkaWriter,
  all: ByTopic<T>,
  write: (index: number, value: T) => void,
): KafkaWriter {
  return writer.array(all, ([topic, partitions]) => {
    writer.string(topic).array(partitions, ([index, value]) => write(index, value));
  });
}

function readByTopic<T>(reader: KafkaReader, read: (topic: string, index: number) => T): Map<string, Map<number, T>> {
  const all = new Map<string, Map<number, T>>();
  reader.array(() => {
    const topic = reader.string();
    const partitions = new Map<number, T>();
    all.set(topic, partitions);
    reader.array(() => {
      const index = reader.int32();
      partitions.set(index, read(topic, index));
    });
  });
  return all;
}

/** `acks` −1 for all replicas in sync, 1 for the leader, 0 for no answer. The versions 3 to 7 are the same. */
export function produceRequest(
  acks: number,
  timeoutMs: number,
  topic: string,
  partition: number,
  batch: Uint8Array,
): KafkaWriter {
  const writer = new KafkaWriter().string(null).int16(acks).int32(timeoutMs);
  return writer.array([topic], (name) => {
    writer.string(name).array([partition], (index) => writer.int32(index).blob(batch));
  });
}

/** The answer to a request with one partition. */
export function readProduce(reader: KafkaReader): { readonly code: number } {
  let code = 0;
  reader.array(() => {
    reader.string();
    // What follows the code (offset, time, start of the log) nobody needs, and one partition is all that there is.
    reader.int32();
    reader.int32();
    code = reader.int16();
    reader.at = reader.data.length;
  });
  return { code };
}

export const EARLIEST = -2;
export const LATEST = -1;

/** `time` is epoch milliseconds, EARLIEST or LATEST. */
export function listOffsetsRequest(partitions: ByTopic<unknown>, time: number): KafkaWriter {
  const writer = new KafkaWriter().int32(-1);
  return writeByTopic(writer, partitions, (index) => writer.int32(index).int64(time));
}

export function readListOffsets(reader: KafkaReader): ByTopic<{ readonly code: number; readonly offset: number }> {
  return readByTopic(reader, () => {
    const code = reader.int16();
    reader.int64(); // time of the message
    return { code, offset: reader.int64() };
  });
}

/** `offset` is the next one to read; −1 if nothing has been committed. */
export function readOffsetFetch(reader: KafkaReader, group: string): ByTopic<number> {
  const offsets = readByTopic(reader, (topic, index) => {
    const offset = reader.int64();
    reader.nullableString(); // metadata
    throwIfFailed(reader.int16(), `asking for the position of group ${group} in ${topic}/${index}`);
    return offset;
  });
  throwIfFailed(reader.int16(), `asking for the positions of group ${group}`);
  return offsets;
}

/** The error codes by topic and partition. */
export function readOffsetCommit(reader: KafkaReader): ByTopic<number> {
  return readByTopic(reader, () => reader.int16());
}

export interface FetchOptions {
  readonly version: number;
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
}

/** Asks for messages from the given offsets on, without a session (KIP-227). */
export function fetchRequest(offsets: ByTopic<number>, options: FetchOptions): KafkaWriter {
  const { version, maxWaitMs, maxBytes, partitionMaxBytes } = options;
  const writer = new KafkaWriter().int32(-1).int32(maxWaitMs).int32(1).int32(maxBytes);
  writer.int8(0); // as Alloy's client: also messages of transactions that are not committed
  if (version >= 7) writer.int32(0).int32(-1);
  writeByTopic(writer, offsets, (index, offset) => {
    writer.int32(index);
    if (version >= 9) writer.int32(-1); // leader epoch
    writer.int64(offset);
    if (version >= 5) writer.int64(-1); // log start, for followers
    writer.int32(partitionMaxBytes);
  });
  if (version >= 7) writer.array([], () => {});
  if (version >= 11) writer.string("");
  return writer;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly index: number;
  readonly code: number;
  /** The offset after the last message that consumers may have. */
  readonly highWatermark: number;
  readonly records: Buffer;
}

export function readFetch(reader: KafkaReader, version: number): FetchedPartition[] {
  reader.int32(); // throttled for
  if (version >= 7) {
    throwIfFailed(reader.int16(), "reading messages");
    reader.int32(); // session
  }
  return reader
    .array(() => {
      const topic = reader.string();
      return reader.array(() => {
        const index = reader.int32();
        const code = reader.int16();
        const highWatermark = reader.int64();
        reader.int64(); // last stable offset
        if (version >= 5) reader.int64(); // log start
        // Aborted transactions; their array may be null.
        for (let left = reader.int32(); left > 0; left--) {
          reader.int64();
          reader.int64();
        }
        if (version >= 11) reader.int32(); // replica to prefer
        return { topic, index, code, highWatermark, records: reader.blob() ?? Buffer.alloc(0) };
      });
    })
    .flat();
}
