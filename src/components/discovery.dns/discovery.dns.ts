import type { Labels } from "#base/labels";
import { counter } from "#base/metrics";
import { hostPort, TargetLabels } from "#kits/discovery/labels";
import { DiscoveryPoller, discoveryExports, discoveryMetrics, type Refresh } from "#kits/discovery/poller";
import type { PartAnswer } from "#kits/discovery/targets";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { type DnsRecord, lookUp, RECORD_TYPES, type RecordType, readResolverConfig } from "./resolver.ts";

const schema = s
  .object({
    names: s.list(s.string()).doc("Names to look up."),
    refresh_interval: s.duration().default("30s").doc("How often to look them up."),
    type: s.oneOf(RECORD_TYPES, { ignoreCase: true }).default("SRV").doc("Which records to ask for."),
    port: s.int().default(0).doc("Port of the targets; SRV records bring their own."),
  })
  .rule("names", (args) => args.names.length > 0, "must have at least one name")
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0")
  .rule("port", (args) => args.type === "SRV" || args.port !== 0, 'is required unless `type` is "SRV"')
  .rule("port", (args) => args.port >= 0 && args.port <= 65_535, "must be between 1 and 65535");

/** `resolvConf` names the servers, `dnsPort` is theirs: others than the usual for tests. */
export function discoveryDns(resolvConf: string, dnsPort: number) {
  return defineComponent({
    name: "discovery.dns",
    stability: "generally-available",
    summary: "Looks up DNS names and makes targets of the records.",
    example: `discovery.dns "example" {
  names = ["_metrics._tcp.example.com"]
}`,
    args: schema,
    exports: discoveryExports,
    metrics: {
      ...discoveryMetrics,
      lookUps: counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups."),
      lookUpFailures: counter("prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures."),
    },

    start(ctx, args) {
      const poller = new DiscoveryPoller(ctx, "dns", args.refresh_interval, refreshOf(args));
      return { update: (next) => poller.update(next.refresh_interval, refreshOf(next)) };

      function refreshOf({ names, type, port }: Infer<typeof schema>): Refresh {
        return async (signal) => {
          const config = await readResolverConfig(resolvConf, dnsPort);
          const parts = new Map<string, PartAnswer>();
          const ask = async (name: string) => {
            ctx.metrics.lookUps.inc();
            try {
              const records = await lookUp(name, type, config, signal);
              parts.set(
                name,
                records.map((each) => targetOf(name, type, each, port)),
              );
            } catch (error) {
              if (signal.aborted) return;
              ctx.metrics.lookUpFailures.inc();
              parts.set(name, error as Error);
            }
          };
          await Promise.all([...new Set(names)].map(ask));
          return parts;
        };
      }
    },
  });
}

export default discoveryDns("/etc/resolv.conf", 53);

/** prometheus/discovery/dns: labels of other types of records are there and empty. */
function targetOf(name: string, type: RecordType, { host, port }: DnsRecord, defaultPort: number): Labels {
  const of = (wanted: RecordType) => (type === wanted ? `${host}.` : "");
  return new TargetLabels("__meta_dns_")
    .address(hostPort(host, port ?? defaultPort))
    .meta("name", name)
    .meta("srv_record_target", of("SRV"))
    .meta("srv_record_port", port === undefined ? "" : String(port))
    .meta("mx_record_target", of("MX"))
    .meta("ns_record_target", of("NS"))
    .build();
}
