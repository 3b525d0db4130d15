import assert from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { runStages, startStages } from "../pipeline-testing.ts";

const TIME = "2023-10-06T00:17:09.669794202Z";

test("cri: whole lines, lenient forms, and lines of another format", async () => {
  await using run = await startStages("stage.cri { }");
  await run.send([
    { line: `${TIME} stdout F message`, labels: { pod: "a" } },
    `${TIME} stderr F `,
    `${TIME} stderr F`,
    `${TIME} stdout no flag`,
    `${TIME} stdout Fno space`,
    "yesterday stdout F odd time",
    " stdout F no time",
    `${TIME} stdxxx F other stream`,
    `${TIME}\tstdout F tab`,
    "text",
    "",
    `${TIME} stdout F  two spaces  `,
  ]);
  const time = { ms: 1_696_551_429_669, ns: 794_202 };
  assert.deepEqual(
    run.items.map(({ labels, line, ms, ns }) => [labels, line, ms === time.ms && ns === time.ns]),
    [
      ['{pod="a", stream="stdout"}', "message", true],
      ['{stream="stderr"}', "", true],
      ['{stream="stderr"}', "", true],
      ['{stream="stdout"}', "no flag", true],
      ['{stream="stdout"}', "no space", true],
      ['{stream="stdout"}', "odd time", false],
      ['{stream="stdout"}', "no time", false],
      ["{}", `${TIME} stdxxx F other stream`, false],
      ["{}", `${TIME}\tstdout F tab`, false],
      ["{}", "text", false],
      ["{}", "", false],
      ['{stream="stdout"}', " two spaces  ", true],
    ],
  );
  assert.equal(run.component.metric("loki_process_unmatched_lines_total"), 4);
});

test("cri: partial lines are put together for each stream, also across batches", async () => {
  await using run = await startStages("stage.cri { }");
  let fired = 0;
  const acknowledgement = () => new Acknowledgement(() => void (fired += 1));
  await run.send([`${TIME} stdout P one `, `${TIME} stderr F err`, `${TIME} stdout P two `], acknowledgement());
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["err"],
  );
  assert.equal(fired, 0, "the batch with the first part must not be acknowledged yet");
  await run.send(
    [{ line: `${TIME} stdout P other `, labels: { pod: "b" } }, `2023-10-06T00:17:10Z stdout F three`],
    acknowledgement(),
  );
  assert.deepEqual(
    run.items.slice(1).map((each) => [each.line, each.ms]),
    [["one two three", 1_696_551_430_000]],
  );
  assert.equal(fired, 1);
  await run.send([{ line: `${TIME} stdout F end`, labels: { pod: "b" } }]);
  assert.equal(run.items.at(-1)!.line, "other end");
  assert.equal(fired, 2);
});

test("cri: too many unfinished streams are flushed and counted", async () => {
  await using run = await startStages("stage.cri {\n max_partial_lines = 2\n}");
  await run.send(["a", "b", "c", "d"].map((pod) => ({ line: `${TIME} stdout P ${pod}`, labels: { pod } })));
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["a", "b"],
  );
  assert.equal(run.component.metric("loki_process_cri_partial_lines_flushed_total"), 2);
  await run.send([{ line: `${TIME} stdout F !`, labels: { pod: "c" } }]);
  assert.equal(run.items.at(-1)!.line, "c!");
});

test("cri: lines that were put together are cut at max_partial_line_size", async () => {
  await using run = await startStages(
    "stage.cri {\n max_partial_line_size = 5\n max_partial_line_size_truncate = true\n}",
  );
  await run.send([
    `${TIME} stdout P abc`,
    `${TIME} stdout P def`,
    `${TIME} stdout F ghi`,
    `${TIME} stdout F not a partial one`,
  ]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["abcde", "not a partial one"],
  );
  assert.equal(run.component.metric("loki_process_cri_lines_truncated_total"), 2);
});

test("cri: what it extracts", async () => {
  const config = `stage.cri { }\nstage.labels {\n values = { flags = "", content = "", time = "", stream = "" }\n}`;
  assert.deepEqual(await runStages(config, [`${TIME} stdout F x`]), [
    `{content="x", flags="F", stream="stdout", time="${TIME}"} x`,
  ]);
});

test("cri: parts are emitted at the stop", async () => {
  await using run = await startStages("stage.cri { }");
  await run.send([`${TIME} stdout P unfinished`]);
  await run.component.stop();
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["unfinished"],
  );
});

test("docker: lines with and without escapes, and others", async () => {
  await using run = await startStages('stage.docker { }\nstage.labels {\n values = { output = "", timestamp = "" }\n}');
  const bad = [
    '{"log":"","stream":"stdout","time":"x"}',
    '{"stream":"stdout"}',
    '{"log":1}',
    '{"log":"x","stream":5}',
    "null",
    "[]",
    '{"log":"x"',
    "text",
  ];
  await run.send([
    `{"log":"plain","stream":"stderr","time":"${TIME}"}`,
    String.raw`{"log":"tab\t\"q\" \u00e9\n","stream":"stdout","time":"${TIME}"}`,
    '{"log":"no more"}',
    '{"log":"odd time","stream":"s","time":"today"}',
    '{"time":null,"stream":null,"log":"nulls","attrs":{"a":[1,2]}}',
    ...bad,
  ]);
  assert.deepEqual(
    run.items.map(({ labels, line, ms }) => [labels, line, ms]),
    [
      [`{output="plain", stream="stderr", timestamp="${TIME}"}`, "plain", 1_696_551_429_669],
      [`{output="tab\\t\\"q\\" é\\n", stream="stdout", timestamp="${TIME}"}`, 'tab\t"q" é\n', 1_696_551_429_669],
      ['{output="no more", stream="", timestamp=""}', "no more", 0],
      ['{output="odd time", stream="s", timestamp="today"}', "odd time", 0],
      ['{output="nulls", stream="", timestamp=""}', "nulls", 0],
      ...bad.map((line) => ["{}", line, 0]),
    ],
  );
});
