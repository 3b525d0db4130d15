import { isIP } from "node:net";
import { type Infer, s } from "#lang/schema";
import { CACHE, HARDWARE, type PerfCounter, SOFTWARE } from "./collectors/perf-counters.ts";
import { chosenCpus } from "./cpu-ranges.ts";

const include = (what: string) => s.regex().default("").doc(`Only ${what} that match are reported.`);
const exclude = (what: string) => s.regex().default("").doc(`No ${what} that match are reported.`);
const names = (text: string) => s.list(s.string()).default([]).doc(text);
const flag = (text: string) => s.bool().default(false).doc(text);

const profilers = (kind: string, counters: readonly PerfCounter[]) =>
  s
    .list(s.oneOf(counters.map(({ name }) => name)))
    .default([])
    .doc(`${kind} profilers to read; all of them for an empty list.`);

const arp = s.object({
  device_exclude: exclude("devices"),
  device_include: include("devices"),
  netlink: flag("Read the table through netlink instead of /proc/net/arp."),
});

const netdev = s
  .object({
    address_info: flag("Report the addresses of every device."),
    device_exclude: exclude("devices"),
    device_include: include("devices"),
  })
  .rule(
    "device_include",
    (args) => args.device_include.source === "" || args.device_exclude.source === "",
    "and `device_exclude` exclude each other; remove one of them",
  );

const ethtool = s.object({
  device_exclude: exclude("devices"),
  device_include: include("devices"),
  metrics_include: s.regex().default(".*").doc("Which statistics are reported."),
});

const ntp = s.object({
  ip_ttl: s.int().default(1).doc("Time to live of the queries."),
  local_offset_tolerance: s.duration().default("1ms").doc("Offset of the local clock that still counts as sane."),
  max_distance: s.duration().default("3.46608s").doc("Longest distance to the root server."),
  protocol_version: s.int().default(4).doc("Version of the protocol."),
  server: s.string().default("127.0.0.1").doc("Server to ask."),
  server_is_local: flag("Certifies that the server is not a public one."),
});

const perf = s.object({
  cpus: s.string().default("").doc("CPUs to read, such as `0,2-5` or `0-7:2`; all of them for an empty text."),
  tracepoint: names("Trace points to count, each as `subsystem:event`."),
  disable_hardware_profilers: flag("Leave out the hardware profilers."),
  disable_software_profilers: flag("Leave out the software profilers."),
  disable_cache_profilers: flag("Leave out the cache profilers."),
  hardware_profilers: profilers("Hardware", HARDWARE),
  software_profilers: profilers("Software", SOFTWARE),
  cache_profilers: profilers("Cache", CACHE),
});

const systemd = s.object({
  enable_restarts: flag("Report how often services were restarted."),
  start_time: flag("Report when units were started."),
  task_metrics: flag("Report the number of tasks of units."),
  unit_exclude: s.regex().default(".+\\.(automount|device|mount|scope|slice)").doc("No units that match are reported."),
  unit_include: s.regex().default(".+").doc("Only units that match are reported."),
});

/** The labels that IPVS back ends can have, in the order in which they are written. */
export const IPVS_LABELS = [
  "local_address",
  "local_port",
  "remote_address",
  "remote_port",
  "proto",
  "local_mark",
] as const;

const blocks = s.object({
  include_exporter_metrics: flag("Report metrics about the scrapes themselves too."),
  procfs_path: s.string().default("/proc").doc("Where procfs is mounted."),
  sysfs_path: s.string().default("/sys").doc("Where sysfs is mounted."),
  rootfs_path: s.string().default("/").doc("Where the host's root is mounted."),
  udev_data_path: s.string().default("/run/udev/data").doc("Where udev keeps its database."),
  enable_collectors: names("Collectors to run besides the default or the set ones."),
  disable_collectors: names("Collectors not to run."),
  set_collectors: names("Collectors to run instead of the default ones."),

  arp: s.block(arp).presentByDefault().doc("The `arp` collector."),
  bcache: s
    .block(s.object({ priority_stats: flag("Report the priority statistics, which are expensive to read.") }))
    .presentByDefault()
    .doc("The `bcache` collector."),
  cpu: s
    .block(
      s.object({
        bugs_include: s.regex().default("").doc("Which bugs of the CPU are reported; turns on `info`."),
        guest: flag("Report `node_cpu_guest_seconds_total`."),
        info: flag("Report `node_cpu_info`."),
        flags_include: s.regex().default("").doc("Which flags of the CPU are reported; turns on `info`."),
      }),
    )
    .presentByDefault()
    .doc("The `cpu` collector."),
  disk: s
    .block(
      s.object({
        device_exclude: s
          .regex()
          .default("^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$")
          .doc("No devices that match are reported; not used when `device_include` is set."),
        device_include: include("devices"),
      }),
    )
    .presentByDefault()
    .doc("The `diskstats` collector."),
  ethtool: s.block(ethtool).presentByDefault().doc("The `ethtool` collector."),
  filesystem: s
    .block(
      s.object({
        fs_types_exclude: s
          .regex()
          .default(
            "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|" +
              "overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
          )
          .doc("No file systems whose type matches are reported."),
        mount_points_exclude: s
          .regex()
          .default("^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)")
          .doc("No file systems whose mount point matches are reported."),
        mount_timeout: s.duration().default("5s").doc("Longest time that a mount may take to answer."),
      }),
    )
    .presentByDefault()
    .doc("The `filesystem` collector."),
  hwmon: s
    .block(s.object({ chip_exclude: exclude("chips"), chip_include: include("chips") }))
    .presentByDefault()
    .doc("The `hwmon` collector."),
  ipvs: s
    .block(
      s.object({
        backend_labels: s
          .list(s.oneOf(IPVS_LABELS))
          .default([...IPVS_LABELS])
          .doc("Labels of the back ends; those that are left out are summed over."),
      }),
    )
    .presentByDefault()
    .doc("The `ipvs` collector."),
  ntp: s.block(ntp).presentByDefault().doc("The `ntp` collector."),
  netclass: s
    .block(
      s.object({
        ignore_invalid_speed_device: flag("Leave out the speed of devices that report a negative one."),
        ignored_devices: s.regex().default("^$").doc("No devices that match are reported."),
      }),
    )
    .presentByDefault()
    .doc("The `netclass` collector."),
  netdev: s.block(netdev).presentByDefault().doc("The `netdev` collector."),
  netstat: s
    .block(
      s.object({
        fields: s
          .regex()
          .default(
            "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|" +
              "TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)|" +
              "Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|" +
              "Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
          )
          .doc("Which fields are reported."),
      }),
    )
    .presentByDefault()
    .doc("The `netstat` collector."),
  perf: s.block(perf).presentByDefault().doc("The `perf` collector."),
  powersupply: s
    .block(s.object({ ignored_supplies: s.regex().default("^$").doc("No supplies that match are reported.") }))
    .presentByDefault()
    .doc("The `powersupplyclass` collector."),
  runit: s
    .block(s.object({ service_dir: s.string().default("/etc/service").doc("Folder of the services.") }))
    .presentByDefault()
    .doc("The `runit` collector."),
  supervisord: s
    .block(s.object({ url: s.string().default("http://localhost:9001/RPC2").doc("XML-RPC endpoint.") }))
    .presentByDefault()
    .doc("The `supervisord` collector."),
  sysctl: s
    .block(
      s.object({
        include: names("Settings to report as numbers."),
        include_info: names("Settings to report as labels."),
      }),
    )
    .presentByDefault()
    .doc("The `sysctl` collector."),
  systemd: s.block(systemd).presentByDefault().doc("The `systemd` collector."),
  tapestats: s
    .block(s.object({ ignored_devices: s.regex().default("^$").doc("No devices that match are reported.") }))
    .presentByDefault()
    .doc("The `tapestats` collector."),
  textfile: s
    .block(s.object({ directory: s.string().default("").doc("Folder of the `.prom` files; may hold wildcards.") }))
    .presentByDefault()
    .doc("The `textfile` collector."),
  vmstat: s
    .block(
      s.object({
        fields: s.regex().default("^(oom_kill|pgpg|pswp|pg.*fault).*").doc("Which fields are reported."),
      }),
    )
    .presentByDefault()
    .doc("The `vmstat` collector."),
});

/** Whether a collector that is off by default runs. */
function asksFor(name: string, args: Infer<typeof blocks>): boolean {
  if (args.enable_collectors.includes(name)) return true;
  return args.set_collectors.includes(name) && !args.disable_collectors.includes(name);
}

/**
 * As Alloy's `internal/component/prometheus/exporter/unix/config.go`, with its defaults for Linux. Like there, what
 * node_exporter refuses is refused only if the collector runs.
 */
export const unixArguments = blocks
  .rule(
    "ntp.server",
    (args) => !asksFor("ntp", args) || args.ntp.server_is_local || isLoopback(args.ntp.server),
    "is not an address of this host; name one, or set `server_is_local` if nobody minds the queries",
  )
  .rule(
    "ntp.protocol_version",
    (args) => !asksFor("ntp", args) || (args.ntp.protocol_version >= 2 && args.ntp.protocol_version <= 4),
    "does not exist; use 2, 3 or 4",
  )
  .rule(
    "ntp.local_offset_tolerance",
    (args) => !asksFor("ntp", args) || args.ntp.local_offset_tolerance >= 0,
    "is negative; use zero or more",
  )
  .rule(
    "perf.cpus",
    (args) => !asksFor("perf", args) || chosenCpus(args.perf.cpus) !== undefined,
    "is no list of numbers and ranges; use one such as `0,2-5`",
  )
  .rule(
    "perf.tracepoint",
    (args) => !asksFor("perf", args) || args.perf.tracepoint.every((name) => /^[^:]+:[^:]+$/.test(name)),
    "has an entry that is not named `subsystem:event`",
  )
  .rule(
    "supervisord.url",
    (args) => !asksFor("supervisord", args) || /^(https?|unix):$/.test(URL.parse(args.supervisord.url)?.protocol ?? ""),
    "is none of http, https or unix",
  );

function isLoopback(address: string): boolean {
  return isIP(address) === 4 ? address.startsWith("127.") : address === "::1";
}

export type UnixArguments = Infer<typeof unixArguments>;
