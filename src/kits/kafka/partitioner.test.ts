import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur2, Partitioner, type PartitionerName } from "./partitioner.ts";

const record = (key?: string) => ({
  topic: "t",
  key: key === undefined ? undefined : Buffer.from(key),
  value: Buffer.alloc(0),
  headers: [],
});
const none = () => 0;

/** What franz-go v1.21.5 makes of these keys: the lower 30 bits of its murmur2, and the partitions of both hashers out of 12. */
const VECTORS: readonly (readonly [key: string, murmur: number, sarama12: number, murmur12: number])[] = [
  ["", 275_646_681, 3, 9],
  ["a", 584_102_524, 0, 4],
  ["ab", 316_155_434, 6, 2],
  ["abc", 479_470_107, 11, 3],
  ["abcd", 823_834_100, 3, 8],
  ["abcde", 461_995_741, 0, 1],
  ["000102030405060708090a0b0c0d0e0f", 900_522_801, 9, 9],
  ["ffeeddccbbaa99887766554433221100", 303_347_156, 9, 0],
  ["ä key", 926_332_771, 7, 11],
  ["x".repeat(100), 175_312_644, 11, 4],
];

test("hashes of keys and their partitions are those of franz-go", () => {
  for (const [key, hash, sarama, murmur] of VECTORS) {
    assert.equal(murmur2(Buffer.from(key)) & 0x3fffffff, hash, key);
    assert.equal(new Partitioner("sarama_compat").pick(record(key), 12, none), sarama, key);
    assert.equal(new Partitioner("murmur2").pick(record(key), 12, none), murmur, key);
  }
});

test("records without a key stay together until their batch goes", () => {
  const randoms = [0.5, 0.99, 0];
  const partitioner = new Partitioner("sarama_compat", () => randoms.shift()!);
  const pick = () => partitioner.pick(record(), 4, none);
  assert.deepEqual([pick(), pick()], [2, 2]);
  partitioner.batchLeft("t", 1);
  assert.equal(pick(), 2, "another batch went");
  partitioner.batchLeft("t", 2);
  assert.equal(pick(), 3);
  partitioner.batchLeft("t", 3);
  assert.equal(pick(), 0);
  assert.equal(new Partitioner("murmur2", () => 0.9).pick(record(), 1, none), 0);
});

test("one after the other, and the one with the least before it", () => {
  const picks = (name: PartitionerName, backlog: (p: number) => number) => {
    const partitioner = new Partitioner(name);
    return Array.from({ length: 4 }, () => partitioner.pick(record("same"), 3, backlog));
  };
  assert.deepEqual(picks("round_robin", none), [0, 1, 2, 0]);
  assert.deepEqual(
    picks("least_backup", (p) => [5, 1, 3][p]!),
    [1, 1, 1, 1],
  );
});
