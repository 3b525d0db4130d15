import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CloudwatchRecord, FirehoseRequest } from "./firehose.ts";
import { JsonError } from "./json-reader.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const request = (text: string) => new FirehoseRequest(Buffer.from(text));
const recordsOf = (text: string) => [...request(text).records()].map((each) => each?.toString());
const eventsOf = (record: CloudwatchRecord) => {
  const events: [number, string][] = [];
  for (const time of record.events()) events.push([time, record.reader.text()]);
  return events;
};

test("reads a request, in any order of its keys", () => {
  const text = `{"records": [{"data": "${base64("one")}"}, {"more": {}, "data": "${base64("zwei ✓")}"}], "x": [1], "timestamp": 1684422829730, "requestId": "a1"}`;
  const read = request(text);
  assert.deepEqual([read.requestId, read.timestamp, read.count], ["a1", 1_684_422_829_730, 2]);
  assert.deepEqual(recordsOf(text), ["one", "zwei ✓"]);
  assert.equal(request("{}").timestamp, undefined);
  assert.deepEqual(recordsOf('{"records":null}'), []);
  assert.deepEqual(recordsOf('{"records":[{},{"data":null},{"data":""}]}'), ["", "", ""]);
});

test("a record that is not base64 is told apart from the others", () => {
  const given = ["b25l", "b25", "b2=l", "b25l====", "b!!l", "b2\\n5l", "\\u0062251"];
  const text = `{"records":[${given.map((data) => `{"data":"${data}"}`).join(",")}]}`;
  const found = [...request(text).records()].map((each) => each?.toString("latin1"));
  assert.deepEqual(found, ["one", undefined, undefined, undefined, undefined, "one", "onu"]);
});

for (const [text, message] of [
  ["{", /ends too early|expecting a string/],
  ["[]", /expecting an object/],
  ['{"records":{}}', /expecting an array/],
  ['{"records":["a"]}', /expecting an object/],
  ['{"records":[{"data":1}]}', /expecting a string/],
  ['{"timestamp":"1"}', /expecting a whole number at byte 13/],
  ['{"timestamp":1.5}', /expecting a whole number/],
  ['{"requestId":1}', /expecting a string/],
  ["{} {}", /behind the end/],
] as const) {
  test(`refuses the request ${text}`, () => {
    assert.throws(
      () => request(text),
      (error) => error instanceof JsonError && message.test(error.message),
    );
  });
}

test("reads the record of a subscription", () => {
  const record = new CloudwatchRecord(
    Buffer.from(
      JSON.stringify({
        messageType: "DATA_MESSAGE",
        owner: "123456789012",
        logGroup: "/aws/lambda/x",
        logStream: "2026/05/18/[$LATEST]40",
        subscriptionFilters: ["a", "b"],
        logEvents: [
          { id: "1", timestamp: 1_684_423_980_083, message: "START\tRequestId\n", extractedFields: { a: "b" } },
          { message: '{"in":"it"}', timestamp: 1_684_423_980_084, id: "2" },
          {},
        ],
      }),
    ),
  );
  assert.deepEqual(
    [record.isRecord, record.messageType, record.owner, record.logGroup, record.logStream, record.subscriptionFilters],
    [true, "DATA_MESSAGE", "123456789012", "/aws/lambda/x", "2026/05/18/[$LATEST]40", ["a", "b"]],
  );
  assert.deepEqual(eventsOf(record), [
    [1_684_423_980_083, "START\tRequestId\n"],
    [1_684_423_980_084, '{"in":"it"}'],
    [0, ""],
  ]);
  assert.equal(new CloudwatchRecord(Buffer.from('{"own":1}')).isRecord, false);
});

test("reads what JSON.stringify writes, and throws nothing but a JsonError for damage", () => {
  const line = fc.string({ unit: "binary" }).map((text) => text.toWellFormed());
  const event = fc.record({ timestamp: fc.maxSafeInteger(), message: line });
  fc.assert(
    fc.property(
      fc.array(line),
      fc.array(event),
      fc.nat(),
      fc.string({ maxLength: 2 }),
      (lines, events, place, insert) => {
        const sent = JSON.stringify({
          requestId: "r",
          timestamp: 5,
          records: lines.map((each) => ({ data: base64(each) })),
        });
        assert.deepEqual(recordsOf(sent), lines);
        const subscribed = JSON.stringify({ messageType: "DATA_MESSAGE", logEvents: events });
        assert.deepEqual(
          eventsOf(new CloudwatchRecord(Buffer.from(subscribed))),
          events.map(({ timestamp, message }) => [timestamp, message]),
        );
        for (const [text, read] of [
          [sent, recordsOf],
          [subscribed, (each: string) => eventsOf(new CloudwatchRecord(Buffer.from(each)))],
        ] as const) {
          const at = place % text.length;
          try {
            read(text.slice(0, at) + insert + text.slice(at + 1));
          } catch (error) {
            assert.ok(error instanceof JsonError, String(error));
          }
        }
      },
    ),
  );
});
