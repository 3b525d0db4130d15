import { join } from "node:path";
import type { Labels } from "#base/labels";
import type { KafkaClaim } from "#kits/kafka/claim";
import { kafkaFingerprint, kafkaSecurity } from "#kits/kafka/client-schema";
import { KafkaConsumer, type KafkaHandler } from "#kits/kafka/consumer";
import type { RecordCursor } from "#kits/kafka/records";
import { RecentDrops } from "#kits/recent-drops";
import { StateFile } from "#kits/state-file";
import type { DebugValue } from "#pipeline/component";
import type { Fanout } from "#pipeline/fanout";
import { LogBatchBuilder } from "#pipeline/log-batch";
import type { Arguments, Context } from "./arguments.ts";
import { MessageLabels, type PartitionLabels } from "./message-labels.ts";
import {
  judgeConnection,
  judgeLabels,
  judgeLost,
  judgePartitions,
  judgeQuiet,
  judgeShare,
  judgeTopics,
} from "./status.ts";

const CLIENT_ID = "invar";
/** What Alloy takes for empty texts (kafkatarget's validateConfig). */
const EMPTY_GROUP = "promtail";
const EMPTY_VERSION = "2.1.1";
/** A batch goes on when it has so much. */
const MAX_ENTRIES = 1_000;
const MAX_BYTES = 1024 * 1024;
/** How long a change of arguments waits for what is on its way; the rest is read again. */
const CHANGE_MS = 5_000;

/** The life of one loki.source.kafka: a consumer, and a new one for other arguments about Kafka. */
export class KafkaSource implements KafkaHandler {
  readonly #ctx: Context;
  readonly #out: Fanout<"logs">;
  readonly #member: StateFile;
  readonly #drops = new RecentDrops();
  /** As many as brokers are read at the same time. */
  readonly #builders: LogBatchBuilder[] = [];
  #arguments: Arguments;
  #labels: MessageLabels;
  #partitions = new WeakMap<KafkaClaim, PartitionLabels>();
  #consumer: KafkaConsumer;
  #memberId = "";
  #isRunning = false;

  constructor(ctx: Context, args: Arguments) {
    this.#ctx = ctx;
    this.#arguments = args;
    this.#labels = labelsOf(args);
    this.#member = new StateFile(join(ctx.dataPath, "member.json"), ctx.log);
    this.#consumer = this.#createConsumer(args);
    ctx.rule("connection", () => judgeConnection(this.#consumer));
    ctx.rule("topics", () => judgeTopics(this.#consumer, this.#arguments.topics));
    ctx.rule("partitions", () => judgePartitions(this.#consumer));
    ctx.rule("no_partitions", () => judgeShare(this.#consumer, groupOf(this.#arguments)));
    ctx.rule("no_messages", () => judgeQuiet(this.#consumer, ctx.flow.lastSuccess));
    ctx.rule("no_labels", () => this.#judgeLabels());
    ctx.rule("messages_lost", () => judgeLost(this.#drops, ctx.clock.now()));
    this.#out = ctx.fanout("logs", args.forward_to);
  }

  /** Resolves when `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    this.#memberId = await this.#loadMember(this.#arguments);
    this.#consumer = this.#createConsumer(this.#arguments);
    this.#isRunning = true;
    this.#consumer.start();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await this.#consumer.stop(signal);
  }

  async update(next: Arguments): Promise<void> {
    const before = this.#arguments;
    const labels = labelsOf(next);
    const labelling = ({ labels: own, relabel_rules }: Arguments) => kafkaFingerprint([[...own], relabel_rules]);
    const isOther = how(before) !== how(next) || labelling(before) !== labelling(next);
    this.#arguments = next;
    this.#out.set(next.forward_to);
    if (!isOther) return;
    // Other labels may want other partitions, so the group is joined anew for them too; positions stay.
    if (this.#isRunning) await this.#consumer.stop(AbortSignal.timeout(CHANGE_MS));
    this.#labels = labels;
    this.#memberId = "";
    this.#consumer = this.#createConsumer(next);
    if (this.#isRunning) this.#consumer.start();
    this.#ctx.flow.judge();
  }

  /** Stops reading, waits until what was handed on is safe, commits and leaves the group. */
  async drain(deadline: AbortSignal): Promise<void> {
    if (this.#isRunning) await this.#consumer.stop(deadline);
    this.#isRunning = false;
    // Somebody who has left cannot come back by the same name.
    await this.#saveMember("");
  }

  wants(topic: string, partition: number, memberId: string): boolean {
    const labels = this.#partitionLabels(topic, partition, memberId);
    return labels !== undefined && labels.size > 0;
  }

  async take(claim: KafkaClaim, cursor: RecordCursor, signal: AbortSignal): Promise<void> {
    const builder = this.#builders.pop() ?? new LogBatchBuilder();
    const labels = this.#labelsOf(claim);
    const { clock } = this.#ctx;
    const { use_incoming_timestamp: useTime } = this.#arguments;
    try {
      builder.reset();
      let next = claim.position;
      while (cursor.next()) {
        const { data, offset } = cursor;
        if (offset < claim.position) continue; // brokers send whole batches
        const set = labels.of(data, cursor.keyStart, cursor.keyEnd, offset);
        const now = clock.now();
        const ms = useTime && cursor.ms >= 0 ? cursor.ms : Math.floor(now);
        builder.add(builder.streamId(set), ms, 0, data, cursor.valueStart, cursor.valueEnd);
        next = offset + 1;
        if (builder.count >= MAX_ENTRIES || builder.bytes >= MAX_BYTES)
          await this.#handOn(claim, builder, next, signal);
      }
      if (builder.count > 0) await this.#handOn(claim, builder, next, signal);
    } finally {
      this.#builders.push(builder);
    }
  }

  async #handOn(claim: KafkaClaim, builder: LogBatchBuilder, next: number, signal: AbortSignal): Promise<void> {
    const { acknowledgement, cancel } = claim.add(next, builder.count, builder.bytes);
    try {
      await this.#out.consume(builder.build(acknowledgement), signal);
    } catch (error) {
      cancel();
      throw error;
    }
    claim.accepted(next);
    builder.reset();
  }

  lost(reason: string, messages: number, why: string): void {
    const { flow, log, clock } = this.#ctx;
    flow.drop("logs", reason, messages);
    flow.failed(why);
    const told = this.#drops.add(reason, messages, why, clock.now());
    if (told !== undefined) log.warn("messages were lost", { reason, messages: told, cause: why });
    flow.judge();
  }

  joined(memberId: string): void {
    this.#partitions = new WeakMap(); // the id may be in labels
    void this.#saveMember(memberId);
  }

  changed(): void {
    this.#ctx.flow.judge();
  }

  debugInfo(): DebugValue {
    const consumer = this.#consumer;
    return {
      group_id: groupOf(this.#arguments),
      state: consumer.state,
      member_id: consumer.memberId,
      generation: consumer.generation,
      topics: [...consumer.topics],
      missing_topics: [...consumer.missing],
      forbidden_topics: [...consumer.forbidden],
      partitions: consumer.claims.map((each) => ({
        topic: each.topic,
        partition: each.partition,
        broker: each.leader ?? -1,
        position: each.position,
        committed: each.sent,
        end: each.highWatermark,
        lag: each.lag,
        on_their_way: each.outstanding,
        labels:
          this.#partitionLabels(each.topic, each.partition, consumer.memberId)?.toString() ??
          "dropped by relabel_rules",
        problem: each.problem ?? "",
      })),
    };
  }

  #createConsumer(args: Arguments): KafkaConsumer {
    const { clock, log, flow } = this.#ctx;
    const { brokers, topics, assignor, version, authentication } = args;
    return new KafkaConsumer(
      {
        brokers,
        topics,
        group: groupOf(args),
        assignor: assignor === "" ? "range" : assignor,
        version: version === "" ? EMPTY_VERSION : version,
        security: kafkaSecurity(authentication),
        clientId: CLIENT_ID,
        memberId: this.#memberId,
        clock,
        log,
        accounts: flow,
      },
      this,
    );
  }

  #partitionLabels(topic: string, partition: number, memberId: string): Labels | undefined {
    return this.#labels.ofPartition({ topic, partition, memberId, group: groupOf(this.#arguments) });
  }

  /** Only partitions that are wanted have messages. */
  #labelsOf(claim: KafkaClaim): PartitionLabels {
    let labels = this.#partitions.get(claim);
    if (labels === undefined) {
      const { topic, partition } = claim;
      labels = this.#labels.forPartition(this.#partitionLabels(topic, partition, this.#consumer.memberId)!);
      this.#partitions.set(claim, labels);
    }
    return labels;
  }

  #judgeLabels() {
    const unlabelled: string[] = [];
    const dropped: string[] = [];
    for (const { isPaused, topic, partition, name } of this.#consumer.claims) {
      if (!isPaused) continue;
      const labels = this.#partitionLabels(topic, partition, this.#consumer.memberId);
      (labels === undefined ? dropped : unlabelled).push(name);
    }
    return judgeLabels(unlabelled, dropped, this.#consumer);
  }

  /** The id of a life that ended without leaving the group; for another group or other brokers it means nothing. */
  async #loadMember(args: Arguments): Promise<string> {
    try {
      const found = await this.#member.load();
      const { group, brokers, id } = JSON.parse(found?.text ?? "{}") as {
        group?: string;
        brokers?: string;
        id?: string;
      };
      return group === groupOf(args) && brokers === args.brokers.join(",") && typeof id === "string" ? id : "";
    } catch (error) {
      // Without it the group waits a few seconds longer, and nothing else.
      this.#ctx.log.warn("the member id of the life before cannot be read", { error });
      return "";
    }
  }

  async #saveMember(id: string): Promise<void> {
    const { brokers } = this.#arguments;
    await this.#member.save(`${JSON.stringify({ group: groupOf(this.#arguments), brokers: brokers.join(","), id })}\n`);
  }
}

function labelsOf({ labels, relabel_rules }: Arguments): MessageLabels {
  return new MessageLabels(labels, relabel_rules ?? []);
}

function groupOf({ group_id }: Arguments): string {
  return group_id === "" ? EMPTY_GROUP : group_id;
}

/** The arguments that say how to read. */
function how({ brokers, topics, group_id, assignor, version, authentication }: Arguments): string {
  return kafkaFingerprint([brokers, topics, group_id, assignor, version, authentication]);
}
