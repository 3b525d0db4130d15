import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { resourceLabels, scrapeResource } from "./scrape-resource.ts";

const resource = (instance: string, discovered: Readonly<Record<string, string>> = {}) =>
  Object.fromEntries(scrapeResource("shop", instance, Labels.from(Object.entries(discovered))));

test("job and instance are service and host", () => {
  assert.deepEqual(resource("web-1:8080", { __scheme__: "https" }), {
    "service.name": "shop",
    "net.host.name": "web-1",
    "server.address": "web-1",
    "service.instance.id": "web-1:8080",
    "net.host.port": "8080",
    "http.scheme": "https",
    "server.port": "8080",
    "url.scheme": "https",
  });
});

test("hosts that say nothing are left out", () => {
  const hosts = ["localhost:1", "127.0.0.1:1", "0.0.0.0:1", "[::1]:1", "[::]:1", "[::ffff:127.0.0.1]:1", "127.9.9.9"];
  for (const host of hosts) assert.equal(resource(host)["server.address"], undefined, host);
});

test("what is no host and port is a host", () => {
  const address = (instance: string) => [resource(instance)["server.address"], resource(instance)["server.port"]];
  assert.deepEqual(address("web-1"), ["web-1", ""]);
  assert.deepEqual(address("[2001:db8::7]:9100"), ["2001:db8::7", "9100"]);
  assert.deepEqual(address("2001:db8::7"), ["2001:db8::7", ""]);
  assert.deepEqual(address("a:b:c"), ["a:b:c", ""]);
  assert.deepEqual(address("[web]8080"), ["[web]8080", ""]);
});

test("Kubernetes tells of pods and their controllers", () => {
  const attributes = resource("web-1:80", {
    __meta_kubernetes_namespace: "shop",
    __meta_kubernetes_pod_name: "web-5d9c7-x2x9p",
    __meta_kubernetes_pod_uid: "1-2-3",
    __meta_kubernetes_pod_container_name: "web",
    __meta_kubernetes_pod_node_name: "node-7",
    __meta_kubernetes_pod_controller_kind: "ReplicaSet",
    __meta_kubernetes_pod_controller_name: "web-5d9c7",
  });
  const own = Object.entries(attributes).filter(([key]) => key.startsWith("k8s."));
  assert.deepEqual(Object.fromEntries(own), {
    "k8s.pod.name": "web-5d9c7-x2x9p",
    "k8s.pod.uid": "1-2-3",
    "k8s.container.name": "web",
    "k8s.namespace.name": "shop",
    "k8s.node.name": "node-7",
    "k8s.replicaset.name": "web-5d9c7",
  });
});

test("of discovered labels only what a resource needs is kept", () => {
  const labels = Labels.from([
    ["__address__", "a:1"],
    ["__meta_kubernetes_pod_label_app", "web"],
    ["__meta_kubernetes_pod_name", "web-1"],
    ["__scheme__", "http"],
    ["job", "shop"],
  ]);
  assert.equal(
    resourceLabels(labels).toString(),
    '{__meta_kubernetes_pod_name="web-1", __scheme__="http", job="shop"}',
  );
});
