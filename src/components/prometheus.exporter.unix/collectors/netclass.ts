import { setImmediate } from "node:timers/promises";
import { counter, gauge } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { errorCode, listDevices, parseNumber, readIfAny } from "../files.ts";
import { NameFilter } from "../filter.ts";

const up = gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", "device");
const info = gauge(
  "node_network_info",
  "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
  ...["device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias"],
);
const property = (name: string) => gauge(`node_network_${name}`, `Network device property: ${name}`, "device");
const changes = (name: string) => counter(`node_network_${name}`, `Network device property: ${name}`, "device");

const ATTRIBUTES = [
  ["addr_assign_type", property("address_assign_type")],
  ["carrier", property("carrier")],
  ["carrier_changes", changes("carrier_changes_total")],
  ["carrier_up_count", changes("carrier_up_changes_total")],
  ["carrier_down_count", changes("carrier_down_changes_total")],
  ["dev_id", property("device_id")],
  ["dormant", property("dormant")],
  ["flags", property("flags")],
  ["ifindex", property("iface_id")],
  ["iflink", property("iface_link")],
  ["link_mode", property("iface_link_mode")],
  ["mtu", property("mtu_bytes")],
  ["name_assign_type", property("name_assign_type")],
  ["netdev_group", property("net_dev_group")],
  ["tx_queue_len", property("transmit_queue_length")],
  ["type", property("protocol_type")],
] as const;
const speed = property("speed_bytes");

const IFF_UP = 1;
/** What the kernel refuses to tell of a device that is down. Each refusal costs more than several answers. */
const NEEDS_UP: ReadonlySet<string> = new Set(["carrier", "dormant", "duplex", "speed"]);

/** Devices looked at before others get their turn: hosts of containers have thousands. */
const SLICE = 16;

export const netclass: CollectorDefinition = {
  name: "netclass",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.netclass.ignored_devices);
    return {
      async collect(page) {
        const root = files.sys("class/net");
        for (const [i, device] of devices(root).entries()) {
          if (i % SLICE === SLICE - 1) await setImmediate();
          if (filter.ignores(device)) continue;
          const flags = readIfAny(`${root}/${device}/flags`);
          const admin = flags === undefined ? "unknown" : (parseNumber(flags) & IFF_UP) === 1 ? "up" : "down";
          const read = (name: string) =>
            admin === "down" && NEEDS_UP.has(name) ? undefined : readIfAny(`${root}/${device}/${name}`);
          const state = read("operstate") ?? "";
          page.add(up, state === "up" ? 1 : 0, device);
          const identity = [read("address") ?? "", read("broadcast") ?? "", read("duplex") ?? ""];
          page.add(info, 1, device, ...identity, state, admin, read("ifalias") ?? "");
          for (const [file, metric] of ATTRIBUTES) {
            const text = file === "flags" ? flags : read(file);
            if (text !== undefined && text !== "") page.add(metric, parseNumber(text), device);
          }
          const megabits = read("speed");
          if (megabits === undefined || megabits === "") continue;
          const value = parseNumber(megabits);
          if (value < 0 && args.netclass.ignore_invalid_speed_device) continue;
          page.add(speed, Math.trunc((value * 1e6) / 8), device);
        }
      },
    };
  },
};

/** `bonding_masters` is a file among the devices. */
function devices(root: string): string[] {
  try {
    return listDevices(root);
  } catch (error) {
    if (["ENOENT", "EACCES"].includes(errorCode(error) ?? "")) throw new NoDataError("no network devices");
    throw error;
  }
}
