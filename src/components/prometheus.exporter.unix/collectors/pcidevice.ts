import { readlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { gauge, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readIfAny, readNumber } from "../files.ts";
import { listSubject } from "../subject.ts";

const LOCATION = ["segment", "bus", "device", "function"];
const device = (name: string, help: string, ...more: readonly string[]) =>
  gauge(`node_pcidevice_${name}`, help, ...LOCATION, ...more);

const info = device(
  "info",
  "Non-numeric data from /sys/bus/pci/devices/<location>, value is always 1.",
  ...["parent_segment", "parent_bus", "parent_device", "parent_function", "class_id", "vendor_id", "device_id"],
  ...["subsystem_vendor_id", "subsystem_device_id", "revision"],
);
/** Numbers that make up an identity, with the digits that each is written with. */
const IDENTITY = [
  ["class", 6],
  ["vendor", 4],
  ["device", 4],
  ["subsystem_vendor", 4],
  ["subsystem_device", 4],
  ["revision", 2],
] as const;
/** Numbers, with what is reported where the device does not have the file. */
const NUMBERS = [
  ["max_link_width", -1, device("max_link_width", "Value of maximum link's width (number of lanes)")],
  ["current_link_width", -1, device("current_link_width", "Value of current link's width (number of lanes)")],
  ["d3cold_allowed", 0, device("d3cold_allowed", "Whether the PCIe device supports D3cold power state (0/1).")],
  [
    "sriov_drivers_autoprobe",
    0,
    device("sriov_drivers_autoprobe", "Whether SR-IOV drivers autoprobe is enabled for the device (0/1)."),
  ],
  ["sriov_numvfs", 0, device("sriov_numvfs", "Number of Virtual Functions (VFs) currently enabled for SR-IOV.")],
  ["sriov_totalvfs", 0, device("sriov_totalvfs", "Total number of Virtual Functions (VFs) supported by the device.")],
  ["sriov_vf_total_msix", 0, device("sriov_vf_total_msix", "Total number of MSI-X vectors for Virtual Functions.")],
] as const;
/** Speeds such as `8.0 GT/s PCIe`. */
const SPEEDS = [
  ["max_link_speed", device("max_link_transfers_per_second", "Value of maximum link's transfers per second (T/s)")],
  [
    "current_link_speed",
    device("current_link_transfers_per_second", "Value of current link's transfers per second (T/s)"),
  ],
] as const;
const numaNode = device("numa_node", "NUMA node number for the PCI device. -1 indicates unknown or not available.");
const powerState = device(
  "power_state",
  "PCIe device power state, one of: D0, D1, D2, D3hot, D3cold, unknown or error.",
  "state",
);
const POWER_STATES = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

/** Newer than what Alloy has; without the names of pci.ids, as is node_exporter's default. */
export const pcidevice: CollectorDefinition = {
  name: "pcidevice",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("bus/pci/devices");
        for (const name of listSubject(root, "no PCI devices")) collectDevice(page, `${root}/${name}`);
      },
    };
  },
};

function collectDevice(page: Page, folder: string): void {
  const target = readlinkSync(folder);
  const location = parseLocation(basename(target));
  if (location === undefined) throw new Error(`${folder} leads to ${target}, which is no PCI device`);
  // What a bus hangs on is no device.
  const parent = parseLocation(basename(dirname(target))) ?? ["*", "*", "*", "*"];
  const identity = IDENTITY.map(
    ([file, digits]) => `0x${readNumber(`${folder}/${file}`).toString(16).padStart(digits, "0")}`,
  );
  page.add(info, 1, ...location, ...parent, ...identity);
  for (const [file, missing, metric] of NUMBERS) {
    page.add(metric, readKnown(`${folder}/${file}`, parseNumber) ?? missing, ...location);
  }
  for (const [file, metric] of SPEEDS) {
    const gigatransfers = readKnown(`${folder}/${file}`, Number.parseFloat);
    page.add(metric, gigatransfers === undefined ? -1 : gigatransfers * 1e9, ...location);
  }
  const node = readKnown(`${folder}/numa_node`, parseNumber);
  if (node !== undefined && node !== -1) page.add(numaNode, node, ...location);
  const power = readIfAny(`${folder}/power_state`) || undefined;
  if (power === undefined) return;
  for (const state of POWER_STATES) page.add(powerState, state === power ? 1 : 0, ...location, state);
}

/** Undefined for what the device does not have or does not know. */
function readKnown(path: string, parse: (text: string) => number): number | undefined {
  const text = readIfAny(path);
  return text === undefined || text === "" || text.startsWith("Unknown") ? undefined : parse(text);
}

/** `0000:3d:00.1` → `["0000", "3d", "00", "1"]`. */
function parseLocation(name: string): string[] | undefined {
  return /^([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+)$/i.exec(name)?.slice(1);
}
