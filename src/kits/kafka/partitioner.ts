import { fnv1a32 } from "#formats/hashes";
import type { KafkaRecord } from "./record-writer.ts";

/**
 * Which partition a record goes to. Matches the partitioners of franz-go v1.21 (pkg/kgo/partitioner.go) and the hash of
 * sarama that the Collector takes by default, so that a key stays where other producers put it.
 */
export type PartitionerName = "sarama_compat" | "murmur2" | "round_robin" | "least_backup";

/** What waits for a partition, in records. */
export type Backlog = (partition: number) => number;

export class Partitioner {
  readonly #name: PartitionerName;
  readonly #random: () => number;
  /** By topic: where records without a key go at present, or went last. */
  readonly #current = new Map<string, number>();

  constructor(name: PartitionerName, random: () => number = Math.random) {
    this.#name = name;
    this.#random = random;
  }

  pick({ topic, key }: KafkaRecord, partitions: number, backlog: Backlog): number {
    switch (this.#name) {
      case "round_robin": {
        const next = ((this.#current.get(topic) ?? -1) + 1) % partitions;
        this.#current.set(topic, next);
        return next;
      }
      case "least_backup": {
        let least = 0;
        for (let p = 1; p < partitions; p++) if (backlog(p) < backlog(least)) least = p;
        return least;
      }
      default:
        if (key === undefined) return this.#sticky(topic, partitions);
        return this.#name === "murmur2" ? (murmur2(key) & 0x7fffffff) % partitions : saramaPartition(key, partitions);
    }
  }

  /** A batch went off: records without a key go to another partition from now on. */
  batchLeft(topic: string, partition: number): void {
    if (this.#name !== "round_robin" && this.#current.get(topic) === partition) this.#current.delete(topic);
  }

  #sticky(topic: string, partitions: number): number {
    let current = this.#current.get(topic);
    if (current === undefined || current >= partitions) {
      current = Math.floor(this.#random() * partitions);
      this.#current.set(topic, current);
    }
    return current;
  }
}

/** FNV-1a of 32 bits, with the sign as sarama has it. */
function saramaPartition(key: Uint8Array, partitions: number): number {
  return Math.abs(fnv1a32(key) % partitions);
}

/** Murmur2 with the seed of Kafka's Java client. */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995;
  const { length } = bytes;
  let hash = 0x9747b28c ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    k = Math.imul(k, m);
    k = Math.imul(k ^ (k >>> 24), m);
    hash = Math.imul(hash, m) ^ k;
  }
  const left = length - at;
  if (left >= 3) hash ^= bytes[at + 2]! << 16;
  if (left >= 2) hash ^= bytes[at + 1]! << 8;
  if (left >= 1) hash = Math.imul(hash ^ bytes[at]!, m);
  hash = Math.imul(hash ^ (hash >>> 13), m);
  return (hash ^ (hash >>> 15)) >>> 0;
}
