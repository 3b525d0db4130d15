import assert from "node:assert/strict";
import { test } from "node:test";
import { startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import { decodeArguments, recordOtlp } from "#pipeline/testing";
import definition from "./otelcol.processor.discovery.ts";

const TARGETS = `targets = [
  {__address__ = "10.0.0.1:8080", __meta_x = "y", pod = "cart"},
  {__address__ = "[fd00::2]:80", pod = "six"},
  {__address__ = "10.0.0.3", pod = "shop", namespace = "n"},
]`;

/** The attributes of a resource with these after the processor. */
async function after(config: string, resource: Readonly<Record<string, unknown>>, address?: string) {
  await using processor = await startProcessor(definition, `${TARGETS}\n${config}`, ["traces"]);
  const client = address === undefined ? {} : { address };
  const out = await processor.run("traces", tracesOf([{ name: "a" }], resource), client);
  return valuesOf((out!.resourceSpans as { resource: object }[])[0]!.resource);
}

test("finds the target by attributes of the resource and by the client's address, in order", async () => {
  assert.equal((await after("", { ip: "10.0.0.1" })).pod, "cart");
  assert.equal((await after("", { "net.host.ip": "fd00::2" })).pod, "six");
  assert.equal((await after("", { "k8s.pod.ip": "10.0.0.3", ip: "" })).pod, "shop");
  assert.equal((await after("", { "host.name": "10.0.0.3" })).pod, "shop");
  assert.equal((await after("", { "host.name": "node-1" }, "10.0.0.1")).pod, "cart");
  assert.equal((await after("", { ip: "10.0.0.9" }, "10.0.0.1")).pod, undefined);
  assert.equal((await after('pod_associations = ["connection", "ip"]', { ip: "10.0.0.3" }, "10.0.0.1")).pod, "cart");
  assert.deepEqual(await after('pod_associations = ["ip"]', { "k8s.pod.ip": "10.0.0.1" }), {
    "k8s.pod.ip": "10.0.0.1",
  });
});

test("adds, changes or does both", async () => {
  const resource = { ip: "10.0.0.3", pod: "old" };
  const with_ = (operation: string) => after(`operation_type = "${operation}"`, resource);
  assert.deepEqual(await with_("upsert"), { ip: "10.0.0.3", pod: "shop", namespace: "n" });
  assert.deepEqual(await with_("insert"), { ip: "10.0.0.3", pod: "old", namespace: "n" });
  assert.deepEqual(await with_("update"), { ip: "10.0.0.3", pod: "shop" });
});

test("takes changed targets, passes what meets none, and says what is wrong", async () => {
  await using processor = await startProcessor(definition, 'targets = [{pod = "x"}, {__address__ = "a:b:c"}]', [
    "traces",
  ]);
  const { component } = processor;
  const judged = () => {
    component.flow.judge();
    const { state, rule, cause } = component.flow.status;
    return [state, rule, cause] as const;
  };
  assert.deepEqual(judged().slice(0, 2), ["degraded", "targets_without_address"]);
  assert.match(judged()[2], /2 of 2 targets are left out/);
  const request = tracesOf([{ name: "a" }], { ip: "10.0.0.9" });
  await processor.run("traces", request);
  assert.ok(processor.isSame);

  const sink = recordOtlp();
  await component.update("targets = []\n output {}");
  assert.equal(judged()[1], "no_targets");
  await component.update(`${TARGETS}\n output {}`);
  assert.equal(judged()[0], "ok");
  assert.equal(sink.items.length, 0);

  await using other = await startProcessor(definition, TARGETS, ["traces"]);
  await other.run("traces", request);
  other.component.flow.judge();
  assert.match(other.component.flow.status.cause, /no resource has met a target by its address, such as 10\.0\.0\.9/);
  await other.run("traces", tracesOf([{ name: "a" }], { ip: "10.0.0.1" }));
  other.component.flow.judge();
  assert.equal(other.component.flow.status.state, "ok");
});

test("refuses what it does not know", () => {
  const refused = (config: string, message: RegExp) =>
    assert.throws(() => decodeArguments(definition, `targets = []\n${config}\noutput {}`), message);
  refused('operation_type = "delete"', /cannot be "delete"/);
  refused('pod_associations = ["name"]', /cannot be "name"/);
});
