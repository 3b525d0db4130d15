import { type BatchAccounts, CommitQueue } from "../tail/commit-queue.ts";

/** Pauses of a partition that cannot be read. */
const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 5_000;

/** A partition that this member of the group reads, and how far. Offsets are those of the next message. */
export class KafkaClaim {
  readonly topic: string;
  readonly partition: number;
  readonly #commits: CommitQueue;
  /** From where on to read. */
  #position = -1;
  /** What the group has committed, as far as this member knows; −1 for nothing. */
  sent: number;
  /** After the last message that there is; −1 until it is known. */
  highWatermark = -1;
  /** The broker to read from; undefined while that is not known. */
  leader: number | undefined;
  /** Left in Kafka, since nobody wants its messages. */
  readonly isPaused: boolean;
  problem: string | undefined;
  /** Failed attempts since one succeeded, and when the next may be (monotonic ms). */
  failures = 0;
  retryAt = 0;

  /** `onSafe` is told when more may be committed. */
  constructor(topic: string, partition: number, isPaused: boolean, accounts: BatchAccounts, onSafe: () => void) {
    this.topic = topic;
    this.partition = partition;
    this.isPaused = isPaused;
    this.#commits = new CommitQueue(accounts, onSafe);
    this.sent = -1;
  }

  get name(): string {
    return `${this.topic}/${this.partition}`;
  }
  get position(): number {
    return this.#position;
  }
  /** Everything before is safe, and may be committed. */
  get committed(): number {
    return this.#commits.committed;
  }
  /** Messages that are safe and would be read again after a crash. */
  get uncommitted(): number {
    return this.#position < 0 ? 0 : this.committed - Math.max(0, this.sent);
  }
  /** Batches that are on their way. */
  get outstanding(): number {
    return this.#commits.outstanding;
  }
  /** Messages that are not safe yet or not read; −1 while that is not known. */
  get lag(): number {
    return this.highWatermark < 0 || this.#position < 0 ? -1 : Math.max(0, this.highWatermark - this.committed);
  }

  /** Begins at an offset; what is on its way counts no longer. */
  begin(offset: number): void {
    this.#position = offset;
    this.#commits.reset(offset);
  }

  /** The acknowledgement of messages up to `next`, and the way to take it back if nobody accepts them. */
  add(next: number, items: number, bytes: number): ReturnType<CommitQueue["add"]> {
    return this.#commits.add(next, items, bytes);
  }
  /** The messages before `next` were accepted. */
  accepted(next: number): void {
    this.#position = next;
  }
  /** There is nothing to hand on before `next`: the position moves as soon as what came before is safe. */
  skip(next: number): void {
    if (next <= this.#position) return;
    this.#commits.add(next, 0, 0).acknowledgement.release();
    this.#position = next;
  }

  /** It cannot be read now; the next attempt is after a pause that grows. */
  failed(problem: string, now: number): void {
    this.problem = problem;
    this.failures += 1;
    this.retryAt = now + Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.failures - 1, 10));
  }
  worked(): void {
    this.problem = undefined;
    this.failures = 0;
    this.retryAt = 0;
  }
}
