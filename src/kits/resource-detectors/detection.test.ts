import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "#base/log";
import { ManualClock } from "#base/manual-clock.testing";
import { ValueList } from "#formats/otlp/values";
import { Detection, type NamedDetector } from "./detection.ts";
import { type Detected, MetadataUnavailable } from "./detector.ts";

const log = createLogger({ enabled: () => false, write: () => {} });

function named(
  name: string,
  detect: (signal: AbortSignal) => Promise<Detected>,
  unwanted: string[] = [],
): NamedDetector {
  return { name, detector: { detect }, isWanted: (attribute) => !unwanted.includes(attribute) };
}
function start(detectors: readonly NamedDetector[], failOnMissing = false) {
  const clock = new ManualClock();
  const options = { failOnMissing: () => failOnMissing, timeoutMs: 5_000 };
  const detection = new Detection(detectors, options, { clock, log });
  const stop = new AbortController();
  const run = detection.run(stop.signal);
  run.catch(() => {});
  const shown = () =>
    Object.fromEntries(
      detection.resource.attributes.map(([{ text }, value]) => [
        text,
        value instanceof ValueList ? value.items : value,
      ]),
    );
  return { detection, clock, run, stop, shown };
}
const finds =
  (attributes: Detected["attributes"], more: Partial<Detected> = {}) =>
  async () => ({ attributes, ...more });

test("the first detector that knows an attribute has the say, and what is not wanted is left out", async () => {
  const { detection, run, shown } = start([
    named("env", finds({}, { extras: new Map([["a", "env"]]), schemaUrl: "" })),
    named("x", finds({ a: "x", b: "x", c: "x", empty: "", none: undefined, list: ["1", "2"], number: 3n, no: [] }), [
      "c",
    ]),
    named("y", finds({ b: "y", c: "y" }, { schemaUrl: "other" })),
  ]);
  await run;
  assert.deepEqual(shown(), { a: "env", b: "x", list: ["1", "2"], number: 3n, c: "y" });
  assert.equal(detection.resource.schemaUrl, "https://opentelemetry.io/schemas/1.40.0");
  assert.equal(detection.settled, undefined);
  assert.equal(detection.judge(), undefined);
});

test("a detector that hangs holds data up for the timeout, and is asked again", async () => {
  let asked = 0;
  const slow = named("slow", (signal) => {
    asked += 1;
    if (asked === 3) return finds({ late: "yes" })();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  const { detection, clock, run, shown } = start([named("fast", finds({ early: "yes" })), slow]);
  let isSettled = false;
  void detection.settled!.then(() => {
    isSettled = true;
  });
  await clock.advance(4_000);
  assert.equal(isSettled, false);
  await clock.advance(1_000);
  assert.equal(isSettled, true);
  assert.deepEqual(shown(), { early: "yes" });
  assert.deepEqual(detection.judge()?.state, "degraded");
  assert.match(detection.judge()!.cause, /\(slow: no answer within 5000 ms \(`timeout`\)\); data passes without/);
  await clock.advance(30_000);
  await run;
  assert.deepEqual(shown(), { early: "yes", late: "yes" });
  assert.equal(detection.judge(), undefined);
});

test("a platform that is not there is no failure, unless it is to be one", async () => {
  const missing = named("cloud", async () => {
    throw new MetadataUnavailable("nobody answers");
  });
  const quiet = start([missing]);
  await quiet.run;
  assert.equal(quiet.detection.judge(), undefined);
  const loud = start([missing], true);
  await loud.clock.advance(5_000);
  assert.equal(loud.detection.settled, undefined);
  assert.deepEqual(loud.detection.judge()?.state, "failing");
  assert.match(loud.detection.judge()!.cause, /cloud: nobody answers/);
  loud.stop.abort(new Error("stopped"));
  await assert.rejects(loud.run);
});
