import assert from "node:assert/strict";
import { test } from "node:test";
import { brokerAddressProblem } from "./cluster.ts";
import { KafkaError, kafkaError } from "./errors.ts";
import {
  FETCH,
  fetchRequest,
  JOIN_GROUP,
  kafkaVersionProblem,
  METADATA,
  readFetch,
  readMetadata,
  versionFor,
} from "./messages.ts";
import { KafkaReader, KafkaWriter } from "./protocol.ts";

test("a version of Kafka bounds the versions of requests", () => {
  const versions = ["0.11.0.0", "1.0.0", "1.1.1", "2.0.0", "2.1.0", "2.2.1", "2.3.0", "4.1.0"];
  assert.deepEqual(
    versions.map((each) => versionFor(FETCH, each)),
    [5, 6, 7, 8, 10, 10, 11, 11],
  );
  assert.deepEqual(
    versions.map((each) => versionFor(JOIN_GROUP, each)),
    [2, 2, 2, 3, 3, 4, 4, 4],
  );
  assert.equal(versionFor(METADATA, "4.1.0"), 4);
  for (const good of ["0.11.0.2", "2.2.1", "10.0.0"]) assert.equal(kafkaVersionProblem(good), undefined);
  for (const bad of ["", "2.2", "2.2.1.0", "v2.2.1", "0.10.2.1", "0.11.0"])
    assert.notEqual(kafkaVersionProblem(bad), undefined, bad);
});

test("answers that are cut short or damaged end in an error, not in endless loops", () => {
  const bytes = new KafkaWriter()
    .int32(0)
    .array([1], (id) => new KafkaWriter().int32(id))
    .bytes();
  assert.throws(() => readMetadata(new KafkaReader(bytes)), RangeError);
  assert.throws(
    () =>
      readMetadata(
        new KafkaReader(
          new KafkaWriter()
            .int32(0)
            .int32(2 ** 31 - 1)
            .bytes(),
        ),
      ),
    /array of 2147483647 items/,
  );
  assert.throws(() => readFetch(new KafkaReader(Buffer.alloc(3)), 11), RangeError);
});

test("a request for messages has the fields of its version", () => {
  const offsets = new Map([["t", new Map([[3, 2 ** 40]])]]);
  const length = (version: number) =>
    fetchRequest(offsets, { version, maxWaitMs: 1, maxBytes: 2, partitionMaxBytes: 3 }).bytes().length;
  assert.deepEqual([4, 5, 7, 9, 11].map(length), [44, 52, 64, 68, 70]);
});

test("codes of errors have names and advice", () => {
  const error = kafkaError(29, "reading topic t", "said");
  assert.ok(error instanceof KafkaError);
  assert.deepEqual([error.kind, error.code], ["authorization", 29]);
  assert.match(
    error.message,
    /^reading topic t: the user may not read the topic: allow READ.*TOPIC_AUTHORIZATION_FAILED\); it says: said$/,
  );
  assert.match(kafkaError(119, "x").message, /error 119/);
});

test("addresses of brokers", () => {
  for (const good of ["kafka:9092", "127.0.0.1:1", "[::1]:9092", "a.b.example.com:65535"])
    assert.equal(brokerAddressProblem(good), undefined, good);
  for (const bad of [
    "",
    "kafka",
    "http://kafka:9092",
    "kafka:0",
    "kafka:70000",
    "::1",
    "[::1]",
    "a b:1",
    "kafka:port",
  ]) {
    assert.notEqual(brokerAddressProblem(bad), undefined, bad);
  }
});
