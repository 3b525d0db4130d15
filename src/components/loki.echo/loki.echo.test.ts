import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { logBatch } from "#pipeline/log-batch";
import { startComponent } from "#pipeline/testing";
import echo from "./loki.echo.ts";

test("writes entries into the log and acknowledges", async () => {
  await using component = await startComponent(echo, "");
  let fired = false;
  const acknowledgement = new Acknowledgement(() => {
    fired = true;
  });
  const labels = Labels.from([["app", "x"]]);
  const batch = logBatch(
    [
      { labels, line: 'say "hi"', ms: 1_700_000_000_000, ns: 120, metadata: ["trace", "1"] },
      { labels, line: "", ms: 0 },
      { line: "far", ms: 9e15 },
    ],
    acknowledgement,
  );
  await component.exports.receiver.consume(batch, new AbortController().signal);
  assert.equal(fired, true);
  const shown = component.logs.map((record) => [record.message, ...record.fields.map(([, value]) => value)]);
  assert.deepEqual(shown, [
    ["received log entry", 'say "hi"', "2023-11-14T22:13:20.00000012Z", '{app="x"}', '{"trace":"1"}'],
    ["received log entry", "", "1970-01-01T00:00:00Z", '{app="x"}', "{}"],
    ["received log entry", "far", "9000000000000000ms", "{}", "{}"],
  ]);
  assert.equal(component.flow.status.state, "ok");
});
