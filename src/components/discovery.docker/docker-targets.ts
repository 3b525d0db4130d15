import { Labels } from "#base/labels";
import { hostPort, sanitizeLabelName } from "#kits/discovery/labels";
import type { ContainerNetwork, ContainerSummary, NetworkSummary } from "#kits/docker-engine";

const PREFIX = "__meta_docker_";

export interface TargetOptions {
  readonly port: number;
  readonly host_networking_host: string;
  readonly match_first_network: boolean;
}

/** One target for each container, network and TCP port: prometheus/discovery/moby/docker.go. */
export function dockerTargets(
  containers: readonly ContainerSummary[],
  networks: readonly NetworkSummary[],
  options: TargetOptions,
): Labels[] {
  const byId = new Map(containers.map((each) => [each.Id, each]));
  const networkLabels = new Map(networks.map((each) => [each.Id, labelsOfNetwork(each)]));
  const targets: Labels[] = [];
  for (const container of containers) {
    const name = container.Names?.[0];
    if (name === undefined) continue;
    const mode = container.HostConfig?.NetworkMode ?? "";
    const common: [string, string][] = [
      [`${PREFIX}container_id`, container.Id],
      [`${PREFIX}container_name`, name],
      [`${PREFIX}container_network_mode`, mode],
    ];
    for (const [key, value] of Object.entries(container.Labels ?? {})) {
      common.push([`${PREFIX}container_label_${sanitizeLabelName(key)}`, value]);
    }
    for (const network of networksOf(container, byId, options.match_first_network)) {
      const address = ipOf(network);
      const more = networkLabels.get(network.NetworkID ?? "") ?? [];
      const base: [string, string][] = [[`${PREFIX}network_ip`, address], ...common, ...more];
      const ports = (container.Ports ?? []).filter((port) => port.Type === "tcp");
      for (const port of ports) {
        const own: [string, string][] = [
          ["__address__", hostPort(address, port.PrivatePort)],
          [`${PREFIX}port_private`, String(port.PrivatePort)],
        ];
        if ((port.PublicPort ?? 0) > 0) {
          own.push([`${PREFIX}port_public`, String(port.PublicPort)], [`${PREFIX}port_public_ip`, port.IP ?? ""]);
        }
        targets.push(Labels.from([...own, ...base]));
      }
      if (ports.length > 0) continue;
      const target = mode === "host" ? options.host_networking_host : hostPort(address, options.port);
      targets.push(Labels.from([["__address__", target], ...base]));
    }
  }
  return targets;
}

/** The container's networks; those of the container whose network it shares if it has none. */
function networksOf(
  container: ContainerSummary,
  byId: ReadonlyMap<string, ContainerSummary>,
  firstOnly: boolean,
): readonly ContainerNetwork[] {
  let found = Object.entries(container.NetworkSettings?.Networks ?? {});
  const seen = new Set<string>();
  for (let mode = container.HostConfig?.NetworkMode ?? ""; found.length === 0 && mode.startsWith("container:"); ) {
    const other = byId.get(mode.slice("container:".length));
    if (other === undefined || seen.has(other.Id)) break;
    seen.add(other.Id);
    found = Object.entries(other.NetworkSettings?.Networks ?? {});
    mode = other.HostConfig?.NetworkMode ?? "";
  }
  const networks: ContainerNetwork[] = [];
  for (const [, network] of found.sort(([a], [b]) => (a < b ? -1 : 1))) if (network !== null) networks.push(network);
  return firstOnly ? networks.slice(0, 1) : networks;
}

function labelsOfNetwork(network: NetworkSummary): [string, string][] {
  const labels: [string, string][] = [
    [`${PREFIX}network_id`, network.Id],
    [`${PREFIX}network_name`, network.Name],
    [`${PREFIX}network_scope`, network.Scope],
    [`${PREFIX}network_internal`, String(network.Internal)],
    [`${PREFIX}network_ingress`, String(network.Ingress)],
  ];
  for (const [key, value] of Object.entries(network.Labels ?? {})) {
    labels.push([`${PREFIX}network_label_${sanitizeLabelName(key)}`, value]);
  }
  return labels;
}

function ipOf(network: ContainerNetwork): string {
  return network.IPAddress || network.GlobalIPv6Address || "";
}
