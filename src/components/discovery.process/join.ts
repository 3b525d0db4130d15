import type { Labels } from "#base/labels";
import { CONTAINER_ID } from "./processes.ts";

/** Prefixes of `__meta_kubernetes_pod_container_id`. */
const RUNTIMES = ["docker://", "containerd://", "cri-o://"];

/** The id of the container that a target is about; empty for none. */
function containerIdOf(target: Labels): string {
  const own = target.get(CONTAINER_ID) ?? "";
  if (own !== "") return own;
  const ofPod = target.get("__meta_kubernetes_pod_container_id") ?? "";
  if (ofPod === "") return target.get("__meta_docker_container_id") ?? "";
  const runtime = RUNTIMES.find((each) => ofPod.startsWith(each));
  return runtime === undefined ? "" : ofPod.slice(runtime.length);
}

/**
 * Processes with the labels of their containers, and all other targets: internal/component/discovery/process/join.go of
 * Alloy. Of several targets with the same container the last counts, and a container's label wins over a process's.
 */
export function joinContainers(processes: readonly Labels[], others: readonly Labels[]): readonly Labels[] {
  const joined: Labels[] = [];
  const containers = new Map<string, Labels>();
  for (const each of others) {
    const id = containerIdOf(each);
    if (id === "") joined.push(each);
    else containers.set(id, each);
  }
  for (const each of processes) {
    const container = containers.get(containerIdOf(each));
    joined.push(container === undefined ? each : each.merge(container).filter((_, value) => value !== ""));
  }
  return [...joined, ...containers.values()];
}
