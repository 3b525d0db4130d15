import assert from "node:assert/strict";
import { test } from "node:test";
import { runStages, startStages } from "../pipeline-testing.ts";

const app = (line: string) => ({ line, labels: { app: "x", env: "p", host: "h" } });

for (const [what, config, expected] of [
  [
    "static_labels sets, overwrites, leaves out empty ones",
    'stage.static_labels {\n values = { env = "q", zone = "z", host = "" }\n}',
    '{app="x", env="q", host="h", zone="z"}',
  ],
  [
    "static_labels puts new names in order",
    'stage.static_labels {\n values = { aa = "1", b = "2", zz = "3" }\n}',
    '{aa="1", app="x", b="2", env="p", host="h", zz="3"}',
  ],
  ["label_drop", 'stage.label_drop {\n values = ["env", "none"]\n}', '{app="x", host="h"}'],
  ["label_drop of all", 'stage.label_drop {\n values = ["env", "app", "host"]\n}', "{}"],
  ["label_keep", 'stage.label_keep {\n values = ["env", "none"]\n}', '{env="p"}'],
  ["labels from a label", 'stage.labels {\n values = { copy = "app" }\n}', '{app="x", copy="x", env="p", host="h"}'],
  [
    "labels of what is not there",
    'stage.labels {\n values = { copy = "none", env = "nothing" }\n}',
    '{app="x", env="p", host="h"}',
  ],
  ["labels that swap", 'stage.labels {\n values = { app = "env", env = "app" }\n}', '{app="p", env="x", host="h"}'],
  [
    "the extracted value stays when its label goes",
    'stage.label_drop {\n values = ["app"]\n}\nstage.labels {\n values = { again = "app" }\n}',
    '{again="x", env="p", host="h"}',
  ],
  ["tenant by value", 'stage.tenant {\n value = "t"\n}', '{__tenant_id__="t", app="x", env="p", host="h"}'],
  ["tenant by label", 'stage.tenant {\n label = "env"\n}', '{__tenant_id__="p", app="x", env="p", host="h"}'],
  ["tenant by a source", 'stage.tenant {\n source = "host"\n}', '{__tenant_id__="h", app="x", env="p", host="h"}'],
  ["tenant by a source that is not there", 'stage.tenant {\n source = "none"\n}', '{app="x", env="p", host="h"}'],
] as const) {
  test(what, async () => {
    assert.deepEqual(await runStages(config, [app("l1"), app("l2"), "other"].slice(0, 2)), [
      `${expected} l1`,
      `${expected} l2`,
    ]);
  });
}

test("labels: more values than the cache holds, and unique ones", async () => {
  const config = 'stage.json {\n expressions = { a = "", b = "" }\n}\nstage.labels {\n values = { a = "", b = "" }\n}';
  await using run = await startStages(config);
  const line = (i: number) => `{"a":"${i}","b":"${i % 7}"}`;
  for (let round = 0; round < 3; round++) await run.send(Array.from({ length: 12_000 }, (_, i) => line(i)));
  assert.equal(run.items.length, 36_000);
  for (const [i, { labels }] of run.items.entries())
    assert.equal(labels, `{a="${i % 12_000}", b="${(i % 12_000) % 7}"}`);
});

test("labels from structured metadata", async () => {
  const config = 'stage.labels {\n source_type = "structured_metadata"\n values = { trace = "trace_id", none = "" }\n}';
  const lines = [{ line: "a", metadata: ["x", "1", "trace_id", "t"] }, "b"];
  assert.deepEqual(await runStages(config, lines), ['{trace="t"} a', "{} b"]);
});

test("structured_metadata takes extracted values and labels, and removes the labels", async () => {
  const config = `
    stage.json {\n expressions = { trace = "" }\n}
    stage.structured_metadata {\n values = { trace = "", application = "app", gone = "none" }\n}`;
  await using run = await startStages(config);
  await run.send([
    { line: '{"trace":7}', labels: { app: "a", env: "e" }, metadata: ["trace", "old", "k", "v"] },
    { line: "text" },
  ]);
  assert.deepEqual(
    run.items.map(({ labels, metadata }) => [labels, metadata]),
    [
      ['{env="e"}', ["trace", "7", "k", "v", "application", "a"]],
      ["{}", undefined],
    ],
  );
});

test("names of structured_metadata are free", async () => {
  await using run = await startStages('stage.structured_metadata {\n values = { "service.name" = "app" }\n}');
  await run.send([{ line: "l", labels: { app: "a" } }]);
  assert.deepEqual(run.items[0]!.metadata, ["service.name", "a"]);
});

test("structured_metadata by regex", async () => {
  await using run = await startStages('stage.structured_metadata {\n regex = "^pod_"\n}');
  await run.send([{ line: "l", labels: { pod_name: "n", pod_id: "i", app: "a" } }]);
  assert.equal(run.items[0]!.labels, '{app="a"}');
  assert.deepEqual(run.items[0]!.metadata?.toSorted(), ["i", "n", "pod_id", "pod_name"]);
});

test("structured_metadata_drop", async () => {
  await using run = await startStages('stage.structured_metadata_drop {\n values = ["a", "none"]\n}');
  await run.send([{ line: "l", metadata: ["a", "1", "b", "2", "a", "3"] }, { line: "m", metadata: ["a", "1"] }, "n"]);
  assert.deepEqual(
    run.items.map((each) => each.metadata),
    [["b", "2"], undefined, undefined],
  );
});

test("bad configurations", async () => {
  for (const [config, message] of [
    ['stage.labels {\n values = { "a-b" = "" }\n}', /the name "a-b", which Loki refuses/],
    ['stage.static_labels {\n values = { "1" = "x" }\n}', /the name "1", which Loki refuses/],
    ['stage.structured_metadata {\n values = { "" = "x" }\n}', /empty name/],
    ["stage.label_drop {\n values = []\n}", /must not be empty/],
    ["stage.tenant { }", /is required/],
    ['stage.json {\n expressions = { a = "" }\n source = ""\n}', /`source` must not be empty/],
    ['stage.regex {\n expression = "(?P<a>.)"\n source = ""\n}', /`source` must not be empty/],
    ['stage.pattern {\n pattern = "<a> "\n source = ""\n}', /`source` must not be empty/],
    ['stage.luhn {\n source = ""\n}', /`source` must not be empty/],
    ['stage.tenant {\n value = "a"\n label = "b"\n}', /only one of them/],
    ['stage.labels {\n values = { a = "" }\n source_type = "line"\n}', /cannot be "line"/],
  ] as const) {
    await assert.rejects(runStages(config, []), message);
  }
});
