import type { Labels } from "#base/labels";
import type { Answer } from "#kits/discovery/answer";
import { hostPort, TargetLabels } from "#kits/discovery/labels";
import type { ServiceEntry } from "./consul-api.ts";

export interface TargetOptions {
  readonly service: string;
  readonly datacenter: string;
  readonly tagSeparator: string;
}

/** A target for each instance of a service: prometheus/discovery/consul. */
export function consulTargets(entries: readonly ServiceEntry[], options: TargetOptions): readonly Labels[] {
  const { tagSeparator } = options;
  return entries.map(({ node, service, checks }) => {
    const nodeAddress = node.text("Address");
    const serviceAddress = service.text("Address");
    const port = service.number("Port");
    // The separators around let regular expressions find a tag wherever it stands.
    const tags = tagSeparator + service.at("Tags").texts().join(tagSeparator) + tagSeparator;
    return new TargetLabels("__meta_consul_")
      .address(hostPort(serviceAddress || nodeAddress, port))
      .meta("service", options.service)
      .meta("dc", options.datacenter)
      .meta("address", nodeAddress)
      .meta("node", node.text("Node"))
      .meta("namespace", service.text("Namespace"))
      .meta("partition", service.text("Partition"))
      .meta("tags", tags)
      .meta("service_address", serviceAddress)
      .meta("service_port", String(port))
      .meta("service_id", service.text("ID"))
      .meta("health", healthOf(checks))
      .metaEach("metadata_", node.at("Meta").textMap())
      .metaEach("service_metadata_", service.at("Meta").textMap())
      .metaEach("tagged_address_", node.at("TaggedAddresses").textMap())
      .build();
  });
}

/** The worst of all checks: `HealthChecks.AggregatedStatus` of hashicorp/consul/api. */
export function healthOf(checks: readonly Answer[]): string {
  let isInMaintenance = false;
  const states = new Set<string>();
  for (const check of checks) {
    const id = check.text("CheckID");
    if (id === "_node_maintenance" || id.startsWith("_service_maintenance:")) {
      isInMaintenance = true;
      continue;
    }
    const status = check.text("Status");
    if (!["passing", "warning", "critical"].includes(status)) return "";
    states.add(status);
  }
  if (isInMaintenance) return "maintenance";
  return ["critical", "warning"].find((each) => states.has(each)) ?? "passing";
}
