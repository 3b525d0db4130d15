import { crc32c } from "#formats/crc32c";
import { KafkaConnection, type KafkaSecurity, tlsSourceOf } from "#kits/kafka/connection";
import { FETCH, fetchRequest, type KafkaApi, readFetch, readOffsetFetch } from "#kits/kafka/messages";
import { type KafkaReader, KafkaWriter } from "#kits/kafka/protocol";
import { RecordCursor, readBatchHeader, unpackRecords } from "#kits/kafka/records";
import { sleep } from "./process.ts";

/** What tests ask of a broker: topics, messages, positions. */

const PRODUCE: KafkaApi = { key: 0, name: "Produce", lowest: 3, highest: 3 };
const OFFSET_FETCH: KafkaApi = { key: 9, name: "OffsetFetch", lowest: 2, highest: 2 };
const CREATE_TOPICS: KafkaApi = { key: 19, name: "CreateTopics", lowest: 2, highest: 2 };
const DELETE_RECORDS: KafkaApi = { key: 21, name: "DeleteRecords", lowest: 0, highest: 0 };
const CREATE_ACLS: KafkaApi = { key: 30, name: "CreateAcls", lowest: 1, highest: 1 };
const CREATE_PARTITIONS: KafkaApi = { key: 37, name: "CreatePartitions", lowest: 0, highest: 0 };
const TIMEOUT_MS = 60_000;
const NO_LEADER = new Set([3, 5, 6]);
const NO_SECURITY: KafkaSecurity = { tls: undefined, sasl: undefined };

export interface TestMessage {
  readonly key?: string;
  readonly value: string;
  /** Epoch milliseconds; now if left out. */
  readonly ms?: number;
}

export interface ReadMessage {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** How the batch was packed; empty for not at all. */
  readonly encoding: string;
}

export class KafkaTestClient {
  readonly #connection: KafkaConnection;

  private constructor(connection: KafkaConnection) {
    this.#connection = connection;
  }

  static async connect(address: string, security = NO_SECURITY): Promise<KafkaTestClient> {
    const options = { security, tlsSource: tlsSourceOf(security), clientId: "test", version: "2.2.1" };
    return new KafkaTestClient(await KafkaConnection.open(address, options, AbortSignal.timeout(TIMEOUT_MS)));
  }

  close(): void {
    this.#connection.close();
  }

  async createTopic(name: string, partitions: number, settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const writer = new KafkaWriter();
    writer.array([name], (topic) => {
      writer.string(topic).int32(partitions).int16(1).int32(0);
      writer.array(Object.entries(settings), ([key, value]) => writer.string(key).string(value));
    });
    const reader = await this.#request(CREATE_TOPICS, writer.int32(TIMEOUT_MS).boolean(false));
    reader.int32(); // throttled for
    reader.array(() => {
      const topic = reader.string();
      const code = reader.int16();
      if (code !== 0) throw new Error(`${topic}: ${code} ${reader.nullableString()}`);
      reader.nullableString();
    });
    // Each partition gets its leader a moment later, and who does not ask for acknowledgements does not hear that it has none.
    for (let partition = 0; partition < partitions; partition++) await this.read(name, partition);
  }

  async addPartitions(topic: string, count: number): Promise<void> {
    const writer = new KafkaWriter();
    writer.array([topic], (name) => {
      writer.string(name).int32(count).int32(-1);
    });
    const reader = await this.#request(CREATE_PARTITIONS, writer.int32(TIMEOUT_MS).boolean(false));
    reader.int32();
    reader.array(() => {
      reader.string();
      const code = reader.int16();
      if (code !== 0) throw new Error(`${topic}: ${code}`);
      reader.nullableString();
    });
  }

  /** From then on a user may do no more than this with a topic or group. The same goes for others, but for superusers. */
  async restrict(
    user: string,
    right: "describe" | "nothing",
    resource: "topic" | "group",
    name: string,
  ): Promise<void> {
    const [ANY, DESCRIBE, DENY, ALLOW] = [2, 8, 2, 3];
    const writer = new KafkaWriter();
    writer.array([name], () => {
      writer.int8(resource === "topic" ? 2 : 3);
      writer.string(name).int8(3).string(`User:${user}`).string("*");
      writer.int8(right === "nothing" ? ANY : DESCRIBE).int8(right === "nothing" ? DENY : ALLOW);
    });
    const reader = await this.#request(CREATE_ACLS, writer);
    reader.int32();
    reader.array(() => {
      const code = reader.int16();
      const said = reader.nullableString();
      if (code !== 0) throw new Error(`restricting ${user} at ${resource} ${name}: error ${code} ${said}`);
    });
  }

  /** Resolves when the broker has the messages. */
  async produce(topic: string, partition: number, messages: readonly TestMessage[]): Promise<void> {
    const batch = encodeBatch(messages);
    for (const end = performance.now() + TIMEOUT_MS; ; ) {
      const code = await this.#produce(topic, partition, batch);
      if (code === 0) return;
      // A topic that was just made has no leader for a moment.
      if (!NO_LEADER.has(code) || performance.now() > end)
        throw new Error(`producing to ${topic}/${partition}: error ${code}`);
      await sleep(20);
    }
  }

  async #produce(topic: string, partition: number, batch: Buffer): Promise<number> {
    const writer = new KafkaWriter().string(null).int16(1).int32(TIMEOUT_MS);
    writer.array([topic], (name) => {
      writer.string(name).array([partition], (index) => writer.int32(index).blob(batch));
    });
    const reader = await this.#request(PRODUCE, writer);
    let code = 0;
    reader.array(() => {
      reader.string();
      reader.array(() => {
        reader.int32();
        code = reader.int16();
        reader.int64();
        reader.int64();
      });
    });
    return code;
  }

  /** All messages of a partition. */
  async read(topic: string, partition: number): Promise<ReadMessage[]> {
    const options = { version: FETCH.lowest, maxWaitMs: 100, maxBytes: 1 << 24, partitionMaxBytes: 1 << 24 };
    const messages: ReadMessage[] = [];
    const end = performance.now() + TIMEOUT_MS;
    for (let offset = 0; ; ) {
      const body = fetchRequest(new Map([[topic, new Map([[partition, offset]])]]), options);
      const reader = await this.#connection.request(FETCH, options.version, body, AbortSignal.timeout(TIMEOUT_MS));
      const [fetched] = readFetch(reader, options.version);
      // A topic that was just made has no leader for a moment.
      if (NO_LEADER.has(fetched?.code ?? 0) && performance.now() < end) {
        await sleep(20);
        continue;
      }
      if (fetched === undefined || fetched.code !== 0)
        throw new Error(`reading ${topic}/${partition}: ${fetched?.code}`);
      for (let at = 0; at < fetched.records.length; ) {
        const batch = readBatchHeader(fetched.records, at);
        if (batch === undefined) break;
        const cursor = new RecordCursor(await unpackRecords(fetched.records, batch, 1 << 26), batch);
        while (cursor.next()) {
          const { data, keyStart, keyEnd, valueStart, valueEnd } = cursor;
          const headers = cursor.headers().map(([name, value]) => [name, value.toString()] as const);
          const [key, value] = [data.subarray(keyStart, keyEnd), data.subarray(valueStart, valueEnd)];
          messages.push({ key, value, headers, encoding: batch.encoding });
        }
        at = batch.end;
        offset = batch.nextOffset;
      }
      if (offset >= fetched.highWatermark) return messages;
    }
  }

  /** Deletes the messages before an offset, as the retention of a topic does. */
  async deleteBefore(topic: string, partition: number, offset: number): Promise<void> {
    const writer = new KafkaWriter();
    writer.array([topic], (name) => {
      writer.string(name).array([partition], (index) => writer.int32(index).int64(offset));
    });
    await this.#request(DELETE_RECORDS, writer.int32(TIMEOUT_MS));
  }

  /** The position that a group has committed; −1 for none. */
  async committed(group: string, topic: string, partition: number): Promise<number> {
    const writer = new KafkaWriter().string(group);
    writer.array([topic], (name) => {
      writer.string(name).array([partition], (index) => writer.int32(index));
    });
    return (
      readOffsetFetch(await this.#request(OFFSET_FETCH, writer), group)
        .get(topic)
        ?.get(partition) ?? -1
    );
  }

  #request(api: KafkaApi, body: KafkaWriter): Promise<KafkaReader> {
    return this.#connection.request(api, api.highest, body, AbortSignal.timeout(TIMEOUT_MS));
  }
}

/** A record batch without compression; brokers compress it by the topic's `compression.type`. */
export function encodeBatch(messages: readonly TestMessage[], baseOffset = 0): Buffer {
  const now = Date.now();
  const first = messages[0]?.ms ?? now;
  const records = new KafkaWriter();
  for (const [i, { key, value, ms = now }] of messages.entries()) {
    const record = new KafkaWriter().int8(0);
    varint(record, ms - first);
    varint(record, i);
    for (const part of [key, value]) {
      if (part === undefined) varint(record, -1);
      else {
        varint(record, Buffer.byteLength(part));
        record.raw(Buffer.from(part));
      }
    }
    varint(record, 1);
    for (const part of ["header", "x"]) {
      varint(record, part.length);
      record.raw(Buffer.from(part));
    }
    varint(records, record.bytes().length);
    records.raw(record.bytes());
  }
  const last = Math.max(...messages.map((each) => each.ms ?? now));
  const checked = new KafkaWriter()
    .int16(0)
    .int32(messages.length - 1)
    .int64(first)
    .int64(last);
  checked.int64(-1).int16(-1).int32(-1).int32(messages.length).raw(records.bytes());
  const body = checked.bytes();
  const head = new KafkaWriter()
    .int64(baseOffset)
    .int32(9 + body.length)
    .int32(-1)
    .int8(2);
  return Buffer.concat([head.int32(crc32c(body, 0, body.length) | 0).bytes(), body]);
}

/** Zigzag. */
function varint(writer: KafkaWriter, value: number): void {
  let left = value >= 0 ? value * 2 : -value * 2 - 1;
  while (left >= 128) {
    writer.int8((((left % 128) | 128) << 24) >> 24);
    left = Math.floor(left / 128);
  }
  writer.int8(left);
}
