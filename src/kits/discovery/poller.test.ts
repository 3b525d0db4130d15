import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { startComponent } from "#pipeline/testing";
import { DiscoveryPoller, discoveryExports, discoveryMetrics, type Refresh } from "./poller.ts";

/** A second lasts 20 ms. */
const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
};

const target = (address: string) => Labels.from([["__address__", address]]);

function discovery(refresh: Refresh) {
  return defineComponent({
    name: "discovery.test",
    stability: "experimental",
    summary: "For the test.",
    example: "",
    args: s.object({}),
    exports: discoveryExports,
    metrics: discoveryMetrics,
    start(ctx) {
      const poller = new DiscoveryPoller(ctx, "test", 1_000, refresh);
      return { update: () => poller.update(3_600_000, async () => [target("updated")]) };
    },
  });
}

async function eventually(check: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    if (performance.now() > end) throw new Error("it did not come about");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("exports when targets change, keeps them over an outage and says so, and takes a change at once", async () => {
  let answer: readonly Labels[] | Error = new Error("nobody answers: start it");
  let asked = 0;
  const definition = discovery(async () => {
    asked += 1;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  await using component = await startComponent(definition, "", { clock: fastClock });
  const addresses = () => component.exports.targets.map((each) => each.get("__address__"));
  const twice = async () => {
    const before = asked;
    await eventually(() => asked >= before + 2);
  };
  await twice();
  assert.deepEqual(addresses(), []);
  assert.equal(component.flow.status.state, "failing");
  assert.equal(component.flow.status.rule, "refresh_failed");
  assert.match(component.flow.status.cause, /^no targets yet: nobody answers: start it/);
  answer = [target("b"), target("a"), target("a")];
  await eventually(() => component.exported.length === 2);
  assert.deepEqual(addresses(), ["a", "b"]);
  assert.equal(component.flow.status.state, "ok");
  answer = [target("a"), target("b")];
  await twice();
  assert.equal(component.exported.length, 2);
  answer = new Error("gone", { cause: new Error("raw words of the system") });
  await eventually(() => component.flow.status.state === "degraded");
  assert.match(component.flow.status.cause, /^the 2 targets are as of .* ago: gone$/);
  assert.deepEqual(addresses(), ["a", "b"]);
  assert.ok(component.metric("prometheus_sd_refresh_failures_total", { mechanism: "test" })! >= 3);
  assert.ok(component.metric("prometheus_sd_refresh_duration_seconds_count", { mechanism: "test" })! >= 5);
  answer = [];
  await eventually(() => component.flow.status.rule === "nothing_found");
  assert.deepEqual(addresses(), []);
  assert.equal(component.flow.status.state, "idle");
  await component.update("");
  await eventually(() => addresses()[0] === "updated");
});
