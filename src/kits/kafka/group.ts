import {
  type Assignment,
  type Assignor,
  assign,
  readAssignment,
  readSubscription,
  writeAssignment,
  writeSubscription,
} from "./assignors.ts";
import type { KafkaCluster } from "./cluster.ts";
import { KAFKA_CODES, KafkaError, throwIfFailed } from "./errors.ts";
import {
  type ByTopic,
  HEARTBEAT,
  JOIN_GROUP,
  type KafkaApi,
  LEAVE_GROUP,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  readOffsetCommit,
  readOffsetFetch,
  SYNC_GROUP,
  writeByTopic,
} from "./messages.ts";
import { type KafkaReader, KafkaWriter } from "./protocol.ts";

/** As sarama has them, which Alloy leaves at their defaults. */
const SESSION_MS = 10_000;
export const HEARTBEAT_MS = 3_000;
const REBALANCE_MS = 60_000;
const PROTOCOL_TYPE = "consumer";
const JOIN_ATTEMPTS = 5;

export interface GroupOptions {
  readonly group: string;
  readonly assignor: Assignor;
  /** The id that this member had in an earlier life: with it nobody has to wait until that is taken for gone. */
  readonly memberId: string;
}

/** One member of a consumer group of the classic protocol: joins, gets its share, says that it lives, keeps positions. */
export class GroupMember {
  readonly #cluster: KafkaCluster;
  readonly #options: GroupOptions;
  #coordinator: number | undefined;
  #owned: Assignment = new Map();
  memberId: string;
  generation = -1;
  /** Whether this member has decided who gets what, so that it has to look out for new partitions. */
  isLeader = false;

  constructor(cluster: KafkaCluster, options: GroupOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.memberId = options.memberId;
  }

  /** Joins, or joins again, and resolves with this member's share once all members are there. */
  async join(topics: readonly string[], signal: AbortSignal): Promise<Assignment> {
    const { assignor, group } = this.#options;
    const what = `joining group ${group}`;
    for (let attempt = 1; ; attempt++) {
      const reader = await this.#request(JOIN_GROUP, signal, REBALANCE_MS + 10_000, (version) => {
        const subscription = { topics, owned: this.#owned, generation: this.generation };
        const writer = new KafkaWriter().string(group).int32(SESSION_MS).int32(REBALANCE_MS).string(this.memberId);
        writer.string(PROTOCOL_TYPE);
        return {
          writer: writer.array([assignor], (name) => {
            writer.string(name).blob(writeSubscription(assignor, subscription));
          }),
          skip: version >= 2,
        };
      });
      const code = reader.int16();
      const generation = reader.int32();
      reader.string(); // protocol: there is just one
      const leader = reader.string();
      const memberId = reader.string();
      if (code === KAFKA_CODES.MEMBER_ID_REQUIRED) {
        this.memberId = memberId;
        continue;
      }
      if (code === KAFKA_CODES.UNKNOWN_MEMBER_ID && attempt < JOIN_ATTEMPTS) {
        this.forget();
        continue;
      }
      this.#throwIfFailed(code, what);
      this.memberId = memberId;
      const members = reader.array(() => ({ id: reader.string(), metadata: reader.blob() ?? Buffer.alloc(0) }));
      this.isLeader = leader === memberId;
      const shares = this.isLeader ? await this.#share(members, signal) : new Map<string, Assignment>();
      this.generation = generation;
      this.#owned = await this.#sync(shares, signal);
      return this.#owned;
    }
  }

  /** Takes part as somebody new the next time: the group does not know this member any more. */
  forget(): void {
    this.memberId = "";
    this.generation = -1;
  }

  /** Rejects with an error of the kind `rejoin` when the group shares out anew. */
  async heartbeat(signal: AbortSignal): Promise<void> {
    const { group } = this.#options;
    const reader = await this.#request(HEARTBEAT, signal, SESSION_MS, () => ({
      writer: new KafkaWriter().string(group).int32(this.generation).string(this.memberId),
      skip: true,
    }));
    this.#throwIfFailed(reader.int16(), `staying in group ${group}`);
  }

  /** The positions that were committed; −1 where none was. */
  async positions(partitions: ByTopic<unknown>, signal: AbortSignal): Promise<ByTopic<number>> {
    const { group } = this.#options;
    const reader = await this.#request(OFFSET_FETCH, signal, undefined, () => {
      const writer = new KafkaWriter().string(group);
      return { writer: writeByTopic(writer, partitions, (index) => writer.int32(index)), skip: false };
    });
    try {
      return readOffsetFetch(reader, group);
    } catch (error) {
      throw this.#noted(error);
    }
  }

  /** Commits positions: the next offsets to read. Rejects if the group has not taken one of them. */
  async commit(positions: ByTopic<number>, signal: AbortSignal): Promise<void> {
    const { group } = this.#options;
    const reader = await this.#request(OFFSET_COMMIT, signal, undefined, () => {
      const writer = new KafkaWriter().string(group).int32(this.generation).string(this.memberId).int64(-1);
      writeByTopic(writer, positions, (index, offset) => writer.int32(index).int64(offset).string(""));
      return { writer, skip: false };
    });
    for (const [topic, partitions] of readOffsetCommit(reader)) {
      for (const [index, code] of partitions) {
        this.#throwIfFailed(code, `committing the position of group ${group} in ${topic}/${index}`);
      }
    }
  }

  /** Leaves, so that the others need not wait until this member is taken for gone. */
  async leave(signal: AbortSignal): Promise<void> {
    if (this.memberId === "") return;
    const { group } = this.#options;
    const reader = await this.#request(LEAVE_GROUP, signal, SESSION_MS, () => ({
      writer: new KafkaWriter().string(group).string(this.memberId),
      skip: true,
    }));
    this.forget();
    this.#throwIfFailed(reader.int16(), `leaving group ${group}`);
  }

  async #share(
    members: readonly { readonly id: string; readonly metadata: Buffer }[],
    signal: AbortSignal,
  ): Promise<Map<string, Assignment>> {
    const { assignor } = this.#options;
    const subscriptions = members.map(({ id, metadata }) => readSubscription(id, assignor, metadata));
    const wanted = [...new Set(subscriptions.flatMap((each) => each.topics))].sort();
    const { topics } = await this.#cluster.metadata(wanted, signal);
    const partitions = new Map(
      topics.filter((each) => each.code === 0).map((each) => [each.name, each.partitions.length]),
    );
    return assign(assignor, subscriptions, partitions);
  }

  async #sync(shares: ReadonlyMap<string, Assignment>, signal: AbortSignal): Promise<Assignment> {
    const { group } = this.#options;
    const reader = await this.#request(SYNC_GROUP, signal, REBALANCE_MS + 10_000, () => {
      const writer = new KafkaWriter().string(group).int32(this.generation).string(this.memberId);
      writer.array(shares, ([id, share]) => {
        writer.string(id).blob(writeAssignment(share));
      });
      return { writer, skip: true };
    });
    this.#throwIfFailed(reader.int16(), `getting a share of group ${group}`);
    return readAssignment(reader.blob() ?? Buffer.alloc(0));
  }

  /** `skip`: the answer begins with how long the broker held it up. */
  async #request(
    api: KafkaApi,
    signal: AbortSignal,
    timeoutMs: number | undefined,
    body: (version: number) => { readonly writer: KafkaWriter; readonly skip: boolean },
  ): Promise<KafkaReader> {
    this.#coordinator ??= await this.#cluster.coordinator(this.#options.group, signal);
    try {
      const connection = await this.#cluster.connection(this.#coordinator, "group", signal);
      const version = connection.version(api);
      const { writer, skip } = body(version);
      const reader = await connection.request(api, version, writer, signal, timeoutMs);
      if (skip) reader.int32();
      return reader;
    } catch (error) {
      throw this.#noted(error);
    }
  }

  #throwIfFailed(code: number, what: string): void {
    try {
      throwIfFailed(code, what);
    } catch (error) {
      throw this.#noted(error);
    }
  }

  /** Remembers what an error says about the coordinator and the membership. */
  #noted(error: unknown): unknown {
    if (!(error instanceof KafkaError)) return error;
    if (error.kind === "coordinator" || error.kind === "connection" || error.kind === "leader")
      this.#coordinator = undefined;
    // Of another generation is who shares the id with somebody, as agents with copies of one data folder would.
    if (error.code === KAFKA_CODES.UNKNOWN_MEMBER_ID || error.code === KAFKA_CODES.ILLEGAL_GENERATION) this.forget();
    return error;
  }
}
