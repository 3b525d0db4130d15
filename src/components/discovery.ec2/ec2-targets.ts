import type { Labels } from "#base/labels";
import type { Answer } from "#kits/discovery/answer";
import { hostPort, TargetLabels } from "#kits/discovery/labels";

/** The targets in an answer of DescribeInstances, as prometheus/discovery/aws/ec2.go makes them. */
export interface InstancesPage {
  readonly targets: readonly Labels[];
  /** For the next page; empty if this was the last one. */
  readonly nextToken: string;
}

export interface TargetOptions {
  readonly region: string;
  readonly port: number;
  /** Ids of availability zones by their names, where they are known. */
  readonly zoneIds: ReadonlyMap<string, string>;
}

export function instancesPage(answer: Answer, options: TargetOptions): InstancesPage {
  const response = answer.at("DescribeInstancesResponse");
  const targets: Labels[] = [];
  for (const reservation of response.at("reservationSet").items()) {
    for (const instance of reservation.at("instancesSet").items()) {
      const target = targetOf(instance, reservation, options);
      if (target !== undefined) targets.push(target);
    }
  }
  return { targets, nextToken: response.text("nextToken") };
}

/** Ids of availability zones by name, from an answer of DescribeAvailabilityZones. */
export function zoneIdsIn(answer: Answer): ReadonlyMap<string, string> {
  const zones = answer.at("DescribeAvailabilityZonesResponse").at("availabilityZoneInfo").items();
  return new Map(zones.map((zone) => [zone.text("zoneName"), zone.text("zoneId")]));
}

/** Undefined for an instance without an address. */
function targetOf(instance: Answer, reservation: Answer, { region, port, zoneIds }: TargetOptions): Labels | undefined {
  const addresses = ipv6Addresses(instance);
  const privateAddress = instance.text("privateIpAddress");
  const address = privateAddress || addresses.chosen;
  if (address === "") return undefined;
  const labels = new TargetLabels("__meta_ec2_").address(hostPort(address, port)).meta("region", region);
  const zone = instance.at("placement").text("availabilityZone");
  labels
    .meta("instance_id", instance.text("instanceId"))
    .meta("ami", instance.text("imageId"))
    .meta("availability_zone", zone)
    .meta("availability_zone_id", zoneIds.get(zone) ?? "")
    .meta("instance_state", instance.at("instanceState").text("name"))
    .meta("instance_type", instance.text("instanceType"));
  const optional = (name: string, value: string) => {
    if (value !== "") labels.meta(name, value);
  };
  if (!reservation.at("ownerId").isNothing) labels.meta("owner_id", reservation.text("ownerId"));
  if (!instance.at("privateDnsName").isNothing) labels.meta("private_dns_name", instance.text("privateDnsName"));
  optional("private_ip", privateAddress);
  optional("default_ipv6_address", addresses.chosen);
  optional("platform", instance.text("platform"));
  optional("instance_lifecycle", instance.text("instanceLifecycle"));
  optional("architecture", instance.text("architecture"));
  const publicAddress = instance.text("ipAddress");
  if (publicAddress !== "") labels.meta("public_ip", publicAddress).meta("public_dns_name", instance.text("dnsName"));
  if (addresses.primary.length > 0) labels.meta("primary_ipv6_addresses", listed(addresses.primary));
  if (addresses.all.length > 0) labels.meta("ipv6_addresses", listed(addresses.all));
  const network = instance.text("vpcId");
  if (network !== "") {
    const subnets = new Set(interfaces(instance).map((each) => each.text("subnetId")));
    labels
      .meta("vpc_id", network)
      .meta("primary_subnet_id", instance.text("subnetId"))
      .meta("subnet_id", listed([...subnets]));
  }
  const tags = instance.at("tagSet").items();
  return labels
    .metaEach(
      "tag_",
      tags.map((tag) => [tag.text("key"), tag.text("value")]),
    )
    .build();
}

interface Ipv6Addresses {
  /** The primary address of each network interface, at the interface's index; empty where it has none. */
  readonly primary: readonly string[];
  readonly all: readonly string[];
  /** The first of either; empty for none. */
  readonly chosen: string;
}

function ipv6Addresses(instance: Answer): Ipv6Addresses {
  const primary: string[] = [];
  const all: string[] = [];
  if (instance.text("vpcId") === "") return { primary, all, chosen: "" };
  for (const each of interfaces(instance)) {
    const index = Number(each.at("attachment").text("deviceIndex"));
    for (const address of each.at("ipv6AddressesSet").items()) {
      const text = address.text("ipv6Address");
      all.push(text);
      if (address.text("isPrimaryIpv6") !== "true") continue;
      while (primary.length <= index) primary.push("");
      primary[index] = text;
    }
  }
  return { primary, all, chosen: [...primary, ...all].find((each) => each !== "") ?? "" };
}

/** The network interfaces that are in a subnet. */
function interfaces(instance: Answer): readonly Answer[] {
  return instance
    .at("networkInterfaceSet")
    .items()
    .filter((each) => each.text("subnetId") !== "");
}

/** With commas on both sides of each, so that a regular expression can look for one. */
function listed(values: readonly string[]): string {
  return `,${values.join(",")},`;
}
