import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { Counter, Gauge, type MetricSample } from "#base/metrics";
import { StreamChurn } from "./stream-churn.ts";
import { hashText } from "./streams.ts";

const MINUTE_MS = 60_000;

function start() {
  const newStreams = new Counter();
  const labelValues = new Gauge(["label"]);
  const churn = new StreamChurn({ newStreams, labelValues }, 0);
  return {
    churn,
    add(from: number, to: number, labels: (i: number) => Record<string, string>) {
      for (let i = from; i < to; i++) {
        const each = Labels.from(Object.entries(labels(i)));
        churn.add(each, hashText(each.toString()));
      }
    },
    get counted() {
      const samples: MetricSample[] = [];
      newStreams.collect("n", [], samples);
      return samples[0]!.value;
    },
    get shown() {
      const samples: MetricSample[] = [];
      labelValues.collect("v", [], samples);
      return new Map(samples.map(({ labels, value }) => [labels[1]!, value]));
    },
  };
}
const request = (i: number) => ({ app: `app-${i % 3}`, pod: `pod-${i % 40}`, request_id: `r${i}` });

test("names the label that makes the streams, with how many values it has and its share", () => {
  const run = start();
  run.churn.judge(0);
  run.churn.judge(5 * MINUTE_MS); // the first window is over
  run.add(0, 48_000, request);
  run.add(0, 1_500, (i) => ({ app: "other", pod: `p${i % 5}`, shard: String(i) }));
  const found = run.churn.judge(8 * MINUTE_MS)!;
  assert.equal(found.state, "degraded");
  assert.match(
    found.cause,
    /^label "request_id" has ~(4[5-9]|5[01]) k values in 5 min \((9\d|100) % of new streams\): /,
  );
  assert.ok(!found.cause.includes('"pod"') && !found.cause.includes('"app"'));
  assert.ok(Math.abs(run.counted - 49_500) < 3_000, `${run.counted}`);
  assert.ok(Math.abs(run.shown.get("request_id")! - 48_000) < 4_000);
  assert.ok(run.shown.size === 4 && run.shown.get("app") === 4);
  assert.equal(run.churn.judge(12 * MINUTE_MS)?.cause, found.cause, "the window before still counts");
  assert.equal(run.churn.judge(17 * MINUTE_MS), undefined);
});

test("streams that come back are no new ones, and a fleet's first ones are no trouble", () => {
  const run = start();
  const fleet = (i: number) => ({ pod: `pod-${i}`, namespace: "default" });
  for (let minute = 0; minute < 60; minute += 4) {
    run.add(0, 8_000, fleet);
    assert.equal(run.churn.judge(minute * MINUTE_MS), undefined, `minute ${minute}`);
  }
  assert.ok(run.counted <= 8_000 && run.counted > 7_500);
  run.churn.judge(120 * MINUTE_MS);
  run.churn.judge(130 * MINUTE_MS);
  run.churn.expectAll(); // the arguments changed
  run.add(0, 8_000, fleet);
  assert.equal(run.churn.judge(131 * MINUTE_MS), undefined);
  run.churn.judge(136 * MINUTE_MS);
  run.add(10_000, 18_000, fleet);
  assert.match(run.churn.judge(137 * MINUTE_MS)!.cause, /label "pod" has ~/);
});

test("many streams without a single label to blame are told of when they are too many", () => {
  const run = start();
  run.churn.judge(0);
  run.churn.judge(5 * MINUTE_MS);
  const product = (i: number) => ({ user: `u${i % 300}`, path: `p${Math.floor(i / 300)}` });
  run.add(0, 40_000, product);
  assert.equal(run.churn.judge(6 * MINUTE_MS), undefined);
  run.add(40_000, 70_000, product);
  assert.match(run.churn.judge(7 * MINUTE_MS)!.cause, /^label "user" has ~\d+ values .*, label "path" has ~\d+ values/);
});

test("looks at a bounded number of labels, and shows ten", () => {
  const run = start();
  run.add(0, 500, (i) => Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`l${i % 10}_${n}`, String(i)])));
  run.churn.judge(MINUTE_MS);
  assert.equal(run.shown.size, 10);
});
