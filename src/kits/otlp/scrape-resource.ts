import { isIP } from "node:net";
import { Labels } from "#base/labels";

/**
 * The resource that a scraped target is. Matches CreateResource of internal/component/otelcol/receiver/prometheus of Alloy,
 * with the attributes of older semantic conventions beside the present ones.
 */

const KUBERNETES: readonly (readonly [label: string, attribute: string])[] = [
  ["__meta_kubernetes_pod_name", "k8s.pod.name"],
  ["__meta_kubernetes_pod_uid", "k8s.pod.uid"],
  ["__meta_kubernetes_pod_container_name", "k8s.container.name"],
  ["__meta_kubernetes_namespace", "k8s.namespace.name"],
  // A target has one of the three.
  ["__meta_kubernetes_pod_node_name", "k8s.node.name"],
  ["__meta_kubernetes_node_name", "k8s.node.name"],
  ["__meta_kubernetes_endpoint_node_name", "k8s.node.name"],
];
const CONTROLLER_NAME = "__meta_kubernetes_pod_controller_name";
const CONTROLLER_KIND = "__meta_kubernetes_pod_controller_kind";
const CONTROLLERS: ReadonlyMap<string, string> = new Map([
  ["ReplicaSet", "k8s.replicaset.name"],
  ["DaemonSet", "k8s.daemonset.name"],
  ["StatefulSet", "k8s.statefulset.name"],
  ["Job", "k8s.job.name"],
  ["CronJob", "k8s.cronjob.name"],
]);

/** The discovered labels that a resource is made of. */
const DISCOVERED = new Set([
  "job",
  "instance",
  "__scheme__",
  CONTROLLER_NAME,
  CONTROLLER_KIND,
  ...KUBERNETES.map(([label]) => label),
]);

/** What of a target's discovered labels is worth keeping for its resource. */
export function resourceLabels(discovered: Labels): Labels {
  return discovered.filter((name) => DISCOVERED.has(name));
}

/** The attributes of the resource, in their order. */
export function scrapeResource(job: string, instance: string, discovered: Labels = Labels.empty): Map<string, string> {
  const { host, port } = splitHostPort(instance) ?? { host: instance, port: "" };
  const scheme = discovered.get("__scheme__") ?? "";
  const attributes = new Map([["service.name", job]]);
  if (isDiscernible(host)) attributes.set("net.host.name", host).set("server.address", host);
  attributes.set("service.instance.id", instance);
  attributes.set("net.host.port", port).set("http.scheme", scheme);
  attributes.set("server.port", port).set("url.scheme", scheme);
  for (const [label, attribute] of KUBERNETES) {
    const value = discovered.get(label) ?? "";
    if (value !== "") attributes.set(attribute, value);
  }
  const controller = CONTROLLERS.get(discovered.get(CONTROLLER_KIND) ?? "");
  const name = discovered.get(CONTROLLER_NAME) ?? "";
  if (controller !== undefined && name !== "") attributes.set(controller, name);
  return attributes;
}

/** Go's net.SplitHostPort; undefined where that fails. */
function splitHostPort(text: string): { host: string; port: string } | undefined {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return undefined;
  const port = text.slice(colon + 1);
  const isBracketed = text.startsWith("[");
  const host = isBracketed ? text.slice(1, colon - 1) : text.slice(0, colon);
  const isWellFormed = isBracketed ? text.indexOf("]") === colon - 1 : !host.includes(":");
  return isWellFormed && !/[[\]]/.test(host + port) ? { host, port } : undefined;
}

/** Whether the host tells this machine from others: neither local nor unspecified. */
function isDiscernible(host: string): boolean {
  const version = isIP(host);
  if (version === 0 || host.includes("%")) return host !== "localhost";
  if (version === 4) return !host.startsWith("127.") && host !== "0.0.0.0";
  const canonical = new URL(`http://[${host}]`).hostname;
  return !["[::]", "[::1]", "[::ffff:0:0]"].includes(canonical) && !/^\[::ffff:7f[0-9a-f]{2}:/.test(canonical);
}
