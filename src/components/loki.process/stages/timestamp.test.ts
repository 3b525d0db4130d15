import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { type Line, startStages } from "../pipeline-testing.ts";

async function times(config: string, lines: readonly (string | Line)[]): Promise<string[]> {
  const stages = `stage.json {\n expressions = { t = "" }\n}\nstage.timestamp {\n source = "t"\n ${config}\n}`;
  await using run = await startStages(stages, { clock: new ManualClock(Date.UTC(2026, 0, 2)) });
  await run.send(lines);
  return run.items.map(({ ms, ns }) => `${new Date(ms).toISOString().slice(0, -1)}${String(ns).padStart(6, "0")}`);
}
const json = (t: unknown) => JSON.stringify({ t });

for (const [format, value, expected, more = ""] of [
  ["RFC3339", "2023-10-06T00:17:09Z", "2023-10-06T00:17:09.000000000"],
  ["RFC3339Nano", "2023-10-06T02:17:09.123456789+02:00", "2023-10-06T00:17:09.123456789"],
  ["RFC3339", "2023-10-06T00:17:09,5Z", "2023-10-06T00:17:09.500000000"],
  ["Unix", "1696551429", "2023-10-06T00:17:09.000000000"],
  ["Unix", 1696551429, "2023-10-06T00:17:09.000000000"],
  ["Unix", "1696551429.25", "2023-10-06T00:17:09.250000000"],
  ["UnixMs", "1696551429123", "2023-10-06T00:17:09.123000000"],
  ["UnixUs", "1696551429123456", "2023-10-06T00:17:09.123456000"],
  ["UnixNs", "1696551429123456789", "2023-10-06T00:17:09.123456789"],
  ["RFC1123", "Fri, 06 Oct 2023 00:17:09 GMT", "2023-10-06T00:17:09.000000000"],
  ["02/Jan/2006:15:04:05 -0700", "06/Oct/2023:02:17:09 +0200", "2023-10-06T00:17:09.000000000"],
  ["2006-01-02 15:04:05.000", "2023-10-06 00:17:09.120", "2023-10-06T00:17:09.120000000"],
  ["2006-01-02 15:04:05", "2023-10-06 00:17:09", "2023-10-06T04:17:09.000000000", 'location = "America/New_York"'],
  ["2006-01-02 15:04:05", "2023-12-06 00:17:09", "2023-12-06T05:17:09.000000000", 'location = "America/New_York"'],
  ["Jan _2 15:04:05", "Jan  2 00:17:09", "2026-01-02T00:17:09.000000000"],
  ["Jan _2 15:04:05", "Dec 31 23:59:59", "2025-12-31T23:59:59.000000000"],
] as const) {
  test(`timestamp: ${format} ${value} ${more}`, async () => {
    assert.deepEqual(await times(`format = "${format}"\n ${more}`, [json(value)]), [expected]);
  });
}

test("timestamp: fallback formats", async () => {
  const config = 'format = "UnixNs"\n fallback_formats = ["RFC3339", "Unix"]\n action_on_failure = "skip"';
  assert.deepEqual(await times(config, [json("2023-10-06T00:17:09Z"), json("12.5"), { line: json("x"), ms: 7 }]), [
    "2023-10-06T00:17:09.000000000",
    "1970-01-01T00:00:12.500000000",
    "1970-01-01T00:00:00.007000000",
  ]);
});

test("timestamp: fudge continues from the stream's last time, skip keeps the time of arrival", async () => {
  const lines = [
    { line: "first", ms: 5 },
    json("2023-10-06T00:17:09.999999999Z"),
    { line: "bad", ms: 6 },
    { line: json("no time"), ms: 7 },
    { line: "other stream", ms: 8, labels: { a: "b" } },
  ];
  assert.deepEqual(await times('format = "RFC3339"', lines), [
    "1970-01-01T00:00:00.005000000",
    "2023-10-06T00:17:09.999999999",
    "2023-10-06T00:17:10.000000000",
    "2023-10-06T00:17:10.000000001",
    "1970-01-01T00:00:00.008000000",
  ]);
  assert.equal(
    (await times('format = "RFC3339"\n action_on_failure = "skip"', lines))[2],
    "1970-01-01T00:00:00.006000000",
  );
});

test("timestamp: equal times are made different, or kept", async () => {
  const lines = [
    "2023-10-06T00:17:09Z",
    "2023-10-06T00:17:09Z",
    "2023-10-06T00:17:09Z",
    "2023-10-06T00:17:08Z",
    "2023-10-06T00:17:09Z",
  ].map(json);
  assert.deepEqual(
    (await times('format = "RFC3339"', lines)).map((each) => each.slice(17)),
    ["09.000000000", "09.000000001", "09.000000002", "08.000000000", "09.000000000"],
  );
  const kept = await times('format = "RFC3339"\n action_on_duplicate_timestamp = "keep"', lines);
  assert.deepEqual(
    kept.slice(0, 3).map((each) => each.slice(17)),
    ["09.000000000", "09.000000000", "09.000000000"],
  );
});

test("timestamp: bad configurations", async () => {
  await assert.rejects(
    times('format = "Unix"\n location = "Mars/Olympus"', []),
    /names no time zone: unknown time zone Mars/,
  );
  await assert.rejects(times('format = ""', []), /empty|least/);
  await assert.rejects(times('format = "Unix"\n action_on_failure = "x"', []), /cannot be "x"/);
});
