import { type Infer, s } from "#lang/schema";

const include = (what: string) => s.regex().default("").doc(`Only ${what} that match are reported.`);
const exclude = (what: string) => s.regex().default("").doc(`No ${what} that match are reported.`);
const names = (text: string) => s.list(s.string()).default([]).doc(text);
const flag = (text: string) => s.bool().default(false).doc(text);

const needsPerf = "performance counters need a system call that this agent cannot make";
const needsEthtool = "the statistics of network drivers need a system call that this agent cannot make";
const notYet = (collector: string) => `the ${collector} collector is not available yet`;

const arp = s
  .object({
    device_exclude: exclude("devices"),
    device_include: include("devices"),
    netlink: flag("Read the table through netlink instead of /proc/net/arp; `true` is **not supported**."),
  })
  .rule("netlink", (args) => !args.netlink, "is not supported: this agent reads /proc/net/arp; leave it false");

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
  cpus: s.string().default("").doc("CPUs to read."),
  tracepoint: names("Trace points to count."),
  disable_hardware_profilers: flag("Leave out the hardware profilers."),
  disable_software_profilers: flag("Leave out the software profilers."),
  disable_cache_profilers: flag("Leave out the cache profilers."),
  hardware_profilers: names("Hardware profilers to read."),
  software_profilers: names("Software profilers to read."),
  cache_profilers: names("Cache profilers to read."),
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

/** As Alloy's `internal/component/prometheus/exporter/unix/config.go`, with its defaults for Linux. */
export const unixArguments = s.object({
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
  ethtool: s.block(ethtool).presentByDefault().doc("The `ethtool` collector.").unsupported(needsEthtool),
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
  ntp: s.block(ntp).presentByDefault().doc("The `ntp` collector.").unsupported(notYet("ntp")),
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
  perf: s.block(perf).presentByDefault().doc("The `perf` collector.").unsupported(needsPerf),
  powersupply: s
    .block(s.object({ ignored_supplies: s.regex().default("^$").doc("No supplies that match are reported.") }))
    .presentByDefault()
    .doc("The `powersupplyclass` collector."),
  runit: s
    .block(s.object({ service_dir: s.string().default("/etc/service").doc("Folder of the services.") }))
    .presentByDefault()
    .doc("The `runit` collector.")
    .unsupported(notYet("runit")),
  supervisord: s
    .block(s.object({ url: s.string().default("http://localhost:9001/RPC2").doc("XML-RPC endpoint.") }))
    .presentByDefault()
    .doc("The `supervisord` collector.")
    .unsupported(notYet("supervisord")),
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

export type UnixArguments = Infer<typeof unixArguments>;
