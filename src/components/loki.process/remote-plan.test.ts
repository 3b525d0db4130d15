import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { compileRegex } from "#base/regex";
import { decodeArguments, recordLogs } from "#pipeline/testing";
import process from "./loki.process.ts";
import { packStages, planOf, unpackStages } from "./remote-plan.ts";
import { StreamLanes } from "./remote-streams.ts";

function stages(config: string) {
  return decodeArguments(process, `forward_to = [sink]\n${config}`, { scope: { sink: recordLogs().value } }).stage;
}

const FILE = Labels.from([
  ["app", "a"],
  ["filename", "/var/log/a.log"],
  ["level", "info"],
]);

function keyOf(config: string, labels = FILE): string | undefined {
  const plan = planOf(stages(config));
  return plan.kind === "by_stream" ? plan.key(labels) : undefined;
}

const TIME = `stage.timestamp {\nsource = "time"\nformat = "Unix"\n}`;

test("stages without a memory let any thread take any batch", () => {
  assert.deepEqual(planOf(stages(`stage.regex { expression = "a" }\nstage.labels { values = { a = "" } }`)), {
    kind: "any",
  });
  const forgetful = TIME.replace("\n}", `\naction_on_failure = "skip"\naction_on_duplicate_timestamp = "keep"\n}`);
  assert.equal(planOf(stages(forgetful)).kind, "any");
});

test("streams are told apart by the labels that no stage before the memory touches", () => {
  assert.equal(keyOf(TIME), FILE.toString());
  assert.equal(keyOf(`stage.labels { values = { level = "" } }\n${TIME}`), '{app="a", filename="/var/log/a.log"}');
  assert.equal(keyOf(`${TIME}\nstage.label_drop { values = ["filename"] }`), FILE.toString());
  assert.equal(keyOf(`stage.label_drop { values = ["filename"] }\n${TIME}`), '{app="a", level="info"}');
  assert.equal(keyOf(`stage.label_keep { values = ["app"] }\n${TIME}`), "");
  assert.equal(keyOf(`stage.cri { }`, Labels.from([["stream", "x"]])), "{}");
  assert.equal(
    keyOf(`stage.match {\nselector = "{app=\\"a\\"}"\nstage.static_labels { values = { app = "b" } }\n}\n${TIME}`),
    '{filename="/var/log/a.log", level="info"}',
  );
  assert.equal(
    keyOf(`stage.match {\nselector = "{app=\\"a\\"}"\n${TIME}\n}\nstage.static_labels { values = { app = "b" } }`),
    FILE.toString(),
  );
  const groups = `stage.regex {\nexpression = "(?P<level>a)(?P<app>b)"\nlabels_from_groups = true\n}`;
  assert.equal(keyOf(`${groups}\n${TIME}`), '{filename="/var/log/a.log"}');
  const cut = `stage.truncate {\nrule {\nlimit = "3B"\nsource_type = "label"\n}\n}`;
  assert.equal(keyOf(`${cut}\n${TIME}`), "");
  assert.equal(
    keyOf(`${cut.replace("source_type", `sources = ["app"]\nsource_type`)}\n${TIME}`)?.includes("app"),
    false,
  );
  const metadata = `stage.structured_metadata { values = { path = "filename" } }`;
  assert.equal(keyOf(`${metadata}\n${TIME}`), '{app="a", level="info"}');
  assert.equal(keyOf(`stage.structured_metadata { regex = "file.*" }\n${TIME}`), "");
});

test("stages with one state for all entries keep the pipeline where it is, and are named", () => {
  const plan = planOf(stages(`stage.match {\nselector = "{a=\\"b\\"}"\nstage.limit {\nrate = 1\nburst = 1\n}\n}`));
  assert.deepEqual(plan, { kind: "none", because: "stage 0.match.0.limit: its rate is one for all entries" });
});

test("arguments survive the way to a thread", () => {
  const original = stages(`
    stage.regex { expression = "^(?P<a>\\\\w+)$" }
    stage.labels { values = { a = "", b = "c" } }
    stage.match {
      selector = "{a=\\"b\\"}"
      stage.drop { expression = "x|y" }
    }
    stage.multiline { firstline = "^\\\\S" }`);
  const there = unpackStages(structuredClone(packStages(original)), compileRegex);
  const shown = (value: unknown) =>
    JSON.stringify(value, (_, each) => (each instanceof Map ? { map: [...each] } : each)).replaceAll('"', "");
  assert.equal(shown(there), shown(original));
  const [regex] = there;
  assert.ok(regex?.kind === "regex" && regex.args.expression.test("word"));
});

test("a stream stays with its thread, and streams are spread evenly", () => {
  const lanes = new StreamLanes(3, String);
  const streams = Array.from({ length: 20_000 }, (_, i) => Labels.from([["n", String(i)]]));
  const first = streams.map((each) => lanes.of(each));
  assert.deepEqual(
    streams.map((each) => lanes.of(Labels.from([...each]))),
    first,
  );
  for (const lane of [0, 1, 2]) {
    const share = first.filter((each) => each === lane).length / first.length;
    assert.ok(share > 0.3 && share < 0.37, `${share} of the streams`);
  }
});
