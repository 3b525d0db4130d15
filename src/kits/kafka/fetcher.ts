import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import type { KafkaClaim } from "./claim.ts";
import type { KafkaCluster } from "./cluster.ts";
import type { KafkaHandler } from "./consumer.ts";
import { KAFKA_CODES, KafkaError, kafkaError } from "./errors.ts";
import {
  EARLIEST,
  FETCH,
  type FetchedPartition,
  fetchRequest,
  LATEST,
  LIST_OFFSETS,
  listOffsetsRequest,
  readFetch,
  readListOffsets,
} from "./messages.ts";
import { RecordBatchError, RecordCursor, readBatchHeader, unpackRecords } from "./records.ts";

/** What is asked for at once: of all partitions of a broker, and of each. A batch that is larger still comes whole. */
const MAX_BYTES = 4 * 1024 * 1024;
const PARTITION_MAX_BYTES = 1024 * 1024;
/** How long a broker may wait for messages. */
const MAX_WAIT_MS = 500;
/** A batch that is larger when unpacked is not read: it could fill the memory. */
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
/** A batch may be damaged on the way; after so many attempts it is so on the broker. */
const DAMAGED_ATTEMPTS = 3;
/** How often brokers that cannot be reached are looked for. */
const LEADERS_MS = 500;

export interface FetcherOptions {
  readonly cluster: KafkaCluster;
  readonly handler: KafkaHandler;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Reads the claims from the brokers that lead them: one request at a time for each broker. */
export class KafkaFetcher {
  readonly #options: FetcherOptions;
  #wake = Promise.withResolvers<void>();

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Reads until `signal` is aborted. Never rejects; what goes wrong is said in the claims. */
  async run(claims: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const wanted = claims.filter((each) => !each.isPaused);
    const running = new Map<number, Promise<void>>();
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      const homeless = wanted.filter((each) => each.leader === undefined);
      if (homeless.length > 0) await this.#placeHomeless(homeless, signal);
      for (const { leader } of wanted) {
        if (leader === undefined || running.has(leader)) continue;
        const task = this.#readFrom(leader, wanted, signal).finally(() => {
          running.delete(leader);
          this.#wake.resolve();
        });
        running.set(leader, task);
      }
      if (wanted.some((each) => each.leader === undefined)) await clock.sleep(LEADERS_MS, signal).catch(() => {});
      else await Promise.race([this.#wake.promise, aborted]);
    }
    await Promise.all(running.values());
  }

  /** Asks which brokers lead the claims' partitions. Rejects if nobody can tell. */
  async findLeaders(claims: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    const topics = [...new Set(claims.map((each) => each.topic))];
    const metadata = await this.#options.cluster.metadata(topics, signal);
    for (const claim of claims) {
      const topic = metadata.topics.find((each) => each.name === claim.topic);
      const partition = topic?.partitions.find((each) => each.index === claim.partition);
      const code = partition?.code ?? topic?.code ?? KAFKA_CODES.UNKNOWN_TOPIC_OR_PARTITION;
      if (partition !== undefined && partition.leader >= 0) claim.leader = partition.leader;
      else this.#failed(claim, kafkaError(code, `reading ${claim.name}`).message);
    }
  }

  async #placeHomeless(claims: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    try {
      await this.findLeaders(claims, signal);
    } catch (error) {
      if (signal.aborted) return;
      for (const claim of claims) this.#failed(claim, `its broker is not known: ${errorText(error)}`);
    }
  }

  #failed(claim: KafkaClaim, problem: string): void {
    const isNew = claim.problem !== problem;
    claim.failed(problem, this.#options.clock.monotonic());
    if (!isNew) return;
    this.#options.log.warn("a partition cannot be read", { partition: claim.name, cause: problem });
    this.#options.handler.changed();
  }

  #worked(claim: KafkaClaim): void {
    const had = claim.problem !== undefined;
    claim.worked();
    if (had) this.#options.handler.changed();
  }

  /** Reads from one broker as long as it leads any of the claims. */
  async #readFrom(broker: number, all: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let turn = 0; !signal.aborted; turn++) {
      const own = all.filter((each) => each.leader === broker);
      if (own.length === 0) return;
      const now = clock.monotonic();
      const ready = own.filter((each) => each.retryAt <= now);
      if (ready.length === 0) {
        const next = Math.min(...own.map((each) => each.retryAt));
        await clock.sleep(Math.max(10, next - now), signal).catch(() => {});
        continue;
      }
      // In turn, since the first ones may fill the answer.
      const first = turn % ready.length;
      const claims = [...ready.slice(first), ...ready.slice(0, first)];
      try {
        await this.#place(broker, claims, signal);
        const placed = claims.filter((each) => each.position >= 0);
        if (placed.length > 0) await this.#fetch(broker, placed, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof KafkaError)) this.#options.log.error("reading from Kafka failed", { error });
        for (const claim of claims) {
          this.#failed(claim, errorText(error));
          claim.leader = undefined;
        }
        return;
      }
    }
  }

  /** Claims without a position, or with one that does not exist any more, begin at the oldest message there is. */
  async #place(broker: number, claims: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    const unplaced = claims.filter((each) => each.position < 0);
    for (const [claim, offset] of await this.#offsets(broker, unplaced, EARLIEST, signal)) claim.begin(offset);
  }

  async #offsets(
    broker: number,
    claims: readonly KafkaClaim[],
    time: number,
    signal: AbortSignal,
  ): Promise<(readonly [KafkaClaim, number])[]> {
    if (claims.length === 0) return [];
    const connection = await this.#options.cluster.connection(broker, "other", signal);
    const body = listOffsetsRequest(
      byTopic(claims, () => 0),
      time,
    );
    const reader = await connection.request(LIST_OFFSETS, connection.version(LIST_OFFSETS), body, signal);
    const answers = readListOffsets(reader);
    const found: (readonly [KafkaClaim, number])[] = [];
    for (const claim of claims) {
      const { code, offset } = answers.get(claim.topic)?.get(claim.partition) ?? { code: 3, offset: -1 };
      if (code === 0) found.push([claim, offset]);
      else this.#refused(claim, code);
    }
    return found;
  }

  async #fetch(broker: number, claims: readonly KafkaClaim[], signal: AbortSignal): Promise<void> {
    const connection = await this.#options.cluster.connection(broker, "fetch", signal);
    const version = connection.version(FETCH);
    const options = { version, maxWaitMs: MAX_WAIT_MS, maxBytes: MAX_BYTES, partitionMaxBytes: PARTITION_MAX_BYTES };
    const body = fetchRequest(
      byTopic(claims, (each) => each.position),
      options,
    );
    const reader = await connection.request(FETCH, version, body, signal);
    for (const fetched of readFetch(reader, version)) {
      const claim = claims.find((each) => each.topic === fetched.topic && each.partition === fetched.index);
      if (claim === undefined) continue;
      if (fetched.code === 0) await this.#take(claim, fetched, signal);
      else if (fetched.code === KAFKA_CODES.OFFSET_OUT_OF_RANGE) await this.#beginAnew(broker, claim, signal);
      else this.#refused(claim, fetched.code);
    }
  }

  #refused(claim: KafkaClaim, code: number): void {
    const error = kafkaError(code, `reading ${claim.name}`);
    this.#failed(claim, error.message);
    if (error.kind === "leader") claim.leader = undefined;
  }

  async #take(claim: KafkaClaim, { records, highWatermark }: FetchedPartition, signal: AbortSignal): Promise<void> {
    const { handler } = this.#options;
    claim.highWatermark = highWatermark;
    try {
      for (let at = 0; ; ) {
        const batch = readBatchHeader(records, at);
        if (batch === undefined) break;
        at = batch.end;
        if (batch.nextOffset <= claim.position) continue;
        if (!batch.isControl && batch.count > 0) {
          try {
            const data = await unpackRecords(records, batch, MAX_UNPACKED_BYTES);
            await handler.take(claim, new RecordCursor(data, batch), signal);
          } catch (error) {
            if (!(error instanceof RecordBatchError)) throw error;
            if (!error.isTooLarge && claim.failures + 1 < DAMAGED_ATTEMPTS) throw error;
            const left = Math.min(batch.count, batch.nextOffset - Math.max(claim.position, batch.baseOffset));
            handler.lost(
              error.isTooLarge ? "batch_too_large" : "batch_damaged",
              left,
              `${claim.name}: ${error.message}`,
            );
          }
        }
        claim.skip(batch.nextOffset);
        this.#worked(claim);
      }
      if (records.length === 0) this.#worked(claim);
    } catch (error) {
      if (!(error instanceof RecordBatchError)) throw error;
      this.#failed(claim, error.message);
    }
  }

  /** Kafka has deleted what comes next, or the topic was made anew: reading goes on at the oldest message there is. */
  async #beginAnew(broker: number, claim: KafkaClaim, signal: AbortSignal): Promise<void> {
    const [earliest] = await this.#offsets(broker, [claim], EARLIEST, signal);
    const [latest] = await this.#offsets(broker, [claim], LATEST, signal);
    if (earliest === undefined || latest === undefined) return;
    const { position } = claim;
    const [, oldest] = earliest;
    claim.begin(oldest);
    this.#worked(claim);
    if (oldest > position) {
      const why = `${claim.name}: Kafka had deleted the messages from offset ${position} to ${oldest} before they were read (retention of the topic)`;
      this.#options.handler.lost("messages_expired", oldest - position, why);
    } else {
      this.#options.log.warn(
        "the partition ends before the position: the topic was made anew or lost messages; it is read from its beginning",
        {
          partition: claim.name,
          position,
          end: latest[1],
        },
      );
    }
  }
}

/** Values of claims in the form of requests. */
export function byTopic<T>(
  claims: readonly KafkaClaim[],
  value: (claim: KafkaClaim) => T,
): Map<string, Map<number, T>> {
  const all = new Map<string, Map<number, T>>();
  for (const claim of claims) {
    let partitions = all.get(claim.topic);
    if (partitions === undefined) all.set(claim.topic, (partitions = new Map()));
    partitions.set(claim.partition, value(claim));
  }
  return all;
}
