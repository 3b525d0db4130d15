import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { compileRegex, type Regex } from "#base/regex";
import { Backoff } from "../backoff.ts";
import type { BatchAccounts } from "../tail/commit-queue.ts";
import { confirmed } from "../tail/confirmations.ts";
import type { Assignor } from "./assignors.ts";
import { KafkaClaim } from "./claim.ts";
import { type ClusterOptions, KafkaCluster } from "./cluster.ts";
import { KAFKA_CODES, KafkaError, kafkaError } from "./errors.ts";
import { byTopic, KafkaFetcher } from "./fetcher.ts";
import { GroupMember, HEARTBEAT_MS } from "./group.ts";
import type { RecordCursor } from "./records.ts";

/** How often topics are looked for; Alloy's interval. More often while one is missing. */
const TOPICS_MS = 30_000;
const MISSING_TOPICS_MS = 3_000;
/** What was confirmed since the last commit is read again after a crash: at most this many messages or … */
const COMMIT_MESSAGES = 1_000;
/** … what came in this time. */
const COMMIT_MS = 250;
/** Brokers write each commit into a topic, so there are never more of them. */
const LEAST_COMMIT_MS = 25;
const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 5_000;
/** A group that throws its member out again and again must not be asked without end. */
const REJOIN_PAUSE_MS = 50;
/** How long a rebalance may wait until what is on its way is safe. The group waits 60 s for its members. */
const SETTLE_MS = 5_000;

/** What becomes of the messages; the user of a consumer. */
export interface KafkaHandler {
  /** Whether messages of the partition are wanted; others stay in Kafka. Asked when the member gets the partition. */
  wants(topic: string, partition: number, memberId: string): boolean;
  /**
   * Takes the messages from `claim.position` on. Adds an acknowledgement to the claim for each batch that it hands on, and
   * moves the position when that is accepted. Awaited before more is read: this is the back-pressure.
   */
  take(claim: KafkaClaim, cursor: RecordCursor, signal: AbortSignal): Promise<void>;
  /** Messages that will never be read: unreadable, or deleted by Kafka before they were. */
  lost(reason: "messages_expired" | "batch_too_large" | "batch_damaged", messages: number, why: string): void;
  /** The member's id, to go on with it in the next life. */
  joined(memberId: string): void;
  /** Something that the status shows has changed. */
  changed(): void;
}

export interface ConsumerOptions extends ClusterOptions {
  readonly group: string;
  readonly assignor: Assignor;
  /** Names, and with a ^ at the beginning RE2 expressions. */
  readonly topics: readonly string[];
  /** Of the earlier life; empty for none. */
  readonly memberId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly accounts: BatchAccounts;
}

/** Reads topics as a member of a consumer group, as long as it runs: over outages, rebalances and new topics. */
export class KafkaConsumer {
  readonly #options: ConsumerOptions;
  readonly #handler: KafkaHandler;
  readonly #cluster: KafkaCluster;
  readonly #member: GroupMember;
  readonly #names: ReadonlySet<string>;
  readonly #patterns: readonly Regex[];
  readonly #stopReading = new AbortController();
  readonly #ended = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #claims: KafkaClaim[] = [];
  #claimsGeneration = -1;
  #partitionCounts = "";
  /** Ends the pause between two commits. */
  #commitSoon = () => {};
  #problem: KafkaError | undefined;
  /** Topics that were named and are not there. */
  missing: readonly string[] = [];
  /** Topics that were named and may not be read. */
  forbidden: readonly string[] = [];
  /** Topics that are read. */
  topics: readonly string[] = [];
  state: "connecting" | "no topics" | "joining" | "reading" | "stopped" = "connecting";

  constructor(options: ConsumerOptions, handler: KafkaHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#cluster = new KafkaCluster(options);
    this.#member = new GroupMember(this.#cluster, options);
    this.#names = new Set(options.topics.filter((each) => !each.startsWith("^")));
    this.#patterns = options.topics.filter((each) => each.startsWith("^")).map((each) => compileRegex(each));
  }

  get claims(): readonly KafkaClaim[] {
    return this.#claims;
  }
  get memberId(): string {
    return this.#member.memberId;
  }
  get generation(): number {
    return this.#member.generation;
  }
  /** Why nothing is read at all, or why the group cannot be reached. */
  get problem(): KafkaError | undefined {
    return this.#problem;
  }
  get outstanding(): number {
    return this.#claims.reduce((sum, each) => sum + each.outstanding, 0);
  }

  /** Begins; ends with `stop`. */
  start(): void {
    this.#running = this.#run(this.#ended.signal);
  }

  /** Stops reading, waits until what is on its way is safe, as long as confirmations come, commits and leaves the group. */
  async stop(deadline: AbortSignal): Promise<void> {
    this.#stopReading.abort(new Error("the consumer stops"));
    await confirmed(this.#options.clock, () => this.outstanding, deadline);
    this.#ended.abort(new Error("the consumer stops"));
    await this.#running;
    try {
      if (this.#member.generation >= 0) {
        await this.#commit(deadline);
        await this.#member.leave(deadline);
      }
    } catch (error) {
      this.#options.log.warn(
        "the group could not be left in order; its other members wait until this one is taken for gone",
        { error },
      );
    }
    for (const claim of this.#claims) claim.begin(claim.committed);
    this.#claims = [];
    this.state = "stopped";
    this.#cluster.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(FIRST_PAUSE_MS, LAST_PAUSE_MS);
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#discover(signal);
        if (this.topics.length === 0) {
          this.#enter("no topics");
          this.#report(undefined);
          await clock.sleep(MISSING_TOPICS_MS, signal);
          continue;
        }
        await this.#session(signal);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        this.#enter("connecting");
        if (error instanceof KafkaError && error.kind === "rejoin") {
          await clock.sleep(REJOIN_PAUSE_MS, signal).catch(() => {});
          continue;
        }
        if (!(error instanceof KafkaError)) log.error("reading from Kafka failed", { error });
        this.#report(
          error instanceof KafkaError ? error : new KafkaError("protocol", errorText(error), { cause: error }),
        );
        await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    }
  }

  #enter(state: KafkaConsumer["state"]): void {
    if (this.state === state) return;
    this.state = state;
    this.#handler.changed();
  }
  #report(problem: KafkaError | undefined): void {
    const isNew = problem?.message !== this.#problem?.message;
    this.#problem = problem;
    if (!isNew) return;
    if (problem !== undefined) this.#options.log.warn("Kafka cannot be used", { cause: problem.message });
    this.#handler.changed();
  }

  /** Looks for the topics; true if there are others than before, or the leader has to share out new partitions. */
  async #discover(signal: AbortSignal): Promise<boolean> {
    const { topics } = await this.#cluster.metadata(this.#patterns.length > 0 ? null : [...this.#names], signal);
    const there = topics.filter((each) => each.code === 0 || each.partitions.length > 0);
    // Kafka's own topics hold nothing for people; who wants them can name them.
    const wanted = there.filter(
      (each) =>
        this.#names.has(each.name) || (!each.isInternal && this.#patterns.some((pattern) => pattern.test(each.name))),
    );
    const names = wanted.map((each) => each.name).sort();
    const forbidden = topics
      .filter((each) => each.code === KAFKA_CODES.TOPIC_AUTHORIZATION_FAILED && this.#names.has(each.name))
      .map((each) => each.name)
      .sort();
    if (names.length === 0 && forbidden.length > 0)
      throw kafkaError(KAFKA_CODES.TOPIC_AUTHORIZATION_FAILED, `reading topic ${forbidden[0]}`);
    const found = new Set([...names, ...forbidden]);
    const missing = [...this.#names].filter((each) => !found.has(each)).sort();
    const counts = JSON.stringify(wanted.map(({ name, partitions }) => [name, partitions.length]).sort());
    const changed =
      names.join("\n") !== this.topics.join("\n") || (this.#member.isLeader && counts !== this.#partitionCounts);
    if (missing.join() !== this.missing.join() || forbidden.join() !== this.forbidden.join()) {
      this.missing = missing;
      this.forbidden = forbidden;
      if (missing.length > 0) this.#options.log.warn("topics do not exist", { topics: missing });
      if (forbidden.length > 0) this.#options.log.warn("topics may not be read", { topics: forbidden });
      this.#handler.changed();
    }
    if (changed) this.#options.log.info("topics found", { topics: names });
    this.topics = names;
    this.#partitionCounts = counts;
    return changed;
  }

  /** One generation of the group: from joining it until it shares out anew, or something breaks. */
  async #session(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    this.#enter("joining");
    const share = await this.#member.join(this.topics, signal);
    const { generation, memberId } = this.#member;
    this.#handler.joined(memberId);
    const end = new AbortController();
    const until = AbortSignal.any([signal, end.signal]);
    const fetcher = new KafkaFetcher({ ...this.#options, cluster: this.#cluster, handler: this.#handler });
    // Between two generations that follow on each other nobody else had the partitions: what is on its way stays so.
    const kept = generation === this.#claimsGeneration + 1 ? this.#claims : [];
    const before = this.#claims;
    this.#claims = [];
    this.#claimsGeneration = -1;
    const claims: KafkaClaim[] = [];
    for (const [topic, partitions] of share) {
      for (const partition of partitions) {
        const known = kept.find((each) => each.topic === topic && each.partition === partition);
        const isPaused = !this.#handler.wants(topic, partition, memberId);
        if (known !== undefined && known.isPaused === isPaused) claims.push(known);
        else claims.push(new KafkaClaim(topic, partition, isPaused, this.#options.accounts, () => this.#safe()));
      }
    }
    for (const each of before) if (!claims.includes(each)) each.begin(each.committed);
    const fresh = claims.filter((each) => each.position < 0);
    await this.#placeClaims(fresh, fetcher, until);
    this.#claims = claims;
    this.#claimsGeneration = generation;
    log.info("joined the consumer group", {
      group: this.#options.group,
      generation,
      member_id: memberId,
      partitions: claims.map((each) => each.name),
    });
    this.#report(undefined);
    this.#enter("reading");
    this.#handler.changed();
    const reading = AbortSignal.any([until, this.#stopReading.signal]);
    const tasks = [
      this.#heartbeats(until),
      this.#commits(until),
      this.#watchTopics(until),
      fetcher.run(claims, reading).then(() => (until.aborted ? undefined : sleepUntil(until))),
    ];
    try {
      await Promise.race(tasks);
    } finally {
      end.abort(new KafkaError("rejoin", "the group shares out anew"));
      await Promise.allSettled(tasks);
    }
    if (signal.aborted) return;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(SETTLE_MS)]);
    await confirmed(clock, () => this.outstanding, deadline);
    if (this.#member.generation === generation) await this.#commit(signal);
  }

  /** New claims begin where the group has read to, and at the oldest message where it never has. */
  async #placeClaims(fresh: readonly KafkaClaim[], fetcher: KafkaFetcher, signal: AbortSignal): Promise<void> {
    const wanted = fresh.filter((each) => !each.isPaused);
    if (wanted.length === 0) return;
    await fetcher.findLeaders(wanted, signal);
    const positions = await this.#member.positions(
      byTopic(wanted, () => -1),
      signal,
    );
    for (const claim of wanted) {
      const offset = positions.get(claim.topic)?.get(claim.partition) ?? -1;
      claim.sent = offset;
      if (offset >= 0) claim.begin(offset);
      // Else the fetcher asks for the oldest one.
    }
  }

  async #heartbeats(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let pauseMs = HEARTBEAT_MS; ; ) {
      await clock.sleep(pauseMs, signal);
      pauseMs = HEARTBEAT_MS;
      try {
        await this.#member.heartbeat(signal);
        this.#report(undefined);
      } catch (error) {
        if (!this.#isPassing(error) || signal.aborted) throw error;
        // Kafka keeps the membership over a restart of its own: reading goes on where that is possible.
        pauseMs = 1_000;
      }
    }
  }

  async #commits(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#pauseCommits(signal);
      try {
        await this.#commit(signal);
      } catch (error) {
        if (!this.#isPassing(error) || signal.aborted) throw error;
        await this.#options.clock.sleep(COMMIT_MS, signal);
      }
    }
  }

  async #pauseCommits(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(LEAST_COMMIT_MS, signal);
    const pause = new AbortController();
    const end = () => pause.abort();
    signal.addEventListener("abort", end, { once: true });
    this.#commitSoon = end;
    this.#safe();
    await clock.sleep(COMMIT_MS, pause.signal).catch(() => {});
    this.#commitSoon = () => {};
    signal.removeEventListener("abort", end);
    signal.throwIfAborted();
  }

  /** More may be committed. */
  #safe(): void {
    if (this.#claims.reduce((sum, each) => sum + each.uncommitted, 0) >= COMMIT_MESSAGES) this.#commitSoon();
  }

  /** Whether the error is one that waiting may mend, while the membership goes on. */
  #isPassing(error: unknown): boolean {
    if (!(error instanceof KafkaError)) return false;
    if (error.kind !== "connection" && error.kind !== "coordinator" && error.kind !== "leader") return false;
    this.#report(error);
    return true;
  }

  async #commit(signal: AbortSignal): Promise<void> {
    const moved = this.#claims.filter((each) => each.position >= 0 && each.committed > each.sent && each.committed > 0);
    if (moved.length === 0) return;
    const positions = moved.map((claim) => [claim, claim.committed] as const);
    await this.#member.commit(
      byTopic(moved, (claim) => claim.committed),
      signal,
    );
    for (const [claim, offset] of positions) claim.sent = offset;
  }

  async #watchTopics(signal: AbortSignal): Promise<void> {
    for (;;) {
      const isLacking = this.missing.length > 0 || this.forbidden.length > 0;
      await this.#options.clock.sleep(isLacking ? MISSING_TOPICS_MS : TOPICS_MS, signal);
      try {
        if (await this.#discover(signal)) return;
      } catch (error) {
        if (!this.#isPassing(error) || signal.aborted) throw error;
      }
    }
  }
}

function sleepUntil(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
