import { gauge, type Metric, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listFolder, parseNumber, readSlowIfAny } from "../files.ts";
import { NameFilter } from "../filter.ts";
import { listSubject } from "../subject.ts";

const value = (name: string) =>
  gauge(`node_power_supply_${name}`, `${name} value of /sys/class/power_supply/<power_supply>.`, "power_supply");

/** Files whose value is reported as it is. */
const PLAIN = [
  ...["authentic", "calibrate", "capacity", "capacity_alert_max", "capacity_alert_min", "online", "present"],
  ["cycle_count", "cyclecount"],
  ["time_to_empty_now", "time_to_empty_seconds"],
  ["time_to_full_now", "time_to_full_seconds"],
];
/** In millionths of the unit. */
const MICRO = [
  ...["current_boot", "current_max", "energy_empty", "energy_empty_design", "energy_full", "energy_full_design"],
  ...["voltage_boot", "voltage_max", "voltage_max_design", "voltage_min", "voltage_min_design", "voltage_ocv"],
  ...["charge_control_limit", "charge_control_limit_max", "charge_counter", "charge_empty", "charge_empty_design"],
  ...["charge_full", "charge_full_design", "charge_term_current", "constant_charge_current"],
  ...["constant_charge_current_max", "constant_charge_voltage", "constant_charge_voltage_max", "precharge_current"],
  "input_current_limit",
  ["current_now", "current_ampere"],
  ["energy_now", "energy_watthour"],
  ["voltage_now", "voltage_volt"],
  ["charge_now", "charge_ampere"],
  ["power_now", "power_watt"],
];
/** In tenths of a degree. */
const TENTHS = [
  ...["temp", "temp_alert_max", "temp_alert_min", "temp_ambient", "temp_ambient_max", "temp_ambient_min"],
  ...["temp_max", "temp_min"],
].map((file) => [file, `${file}_celsius`]);

const TABLE: ReadonlyMap<string, { metric: Metric; divisor: number }> = new Map(
  (
    [
      [PLAIN, 1],
      [MICRO, 1e6],
      [TENTHS, 10],
    ] as const
  ).flatMap(([names, divisor]) =>
    names.map((entry) => {
      const [file, name] = typeof entry === "string" ? [entry, entry] : [entry[0]!, entry[1]!];
      return [file, { metric: value(name), divisor }] as const;
    }),
  ),
);

const LABELS = new Set([
  ...["capacity_level", "charge_type", "health", "manufacturer", "model_name", "serial_number", "status"],
  ...["technology", "type", "usb_type", "scope"],
]);
const info = {
  name: "node_power_supply_info",
  help: "info of /sys/class/power_supply/<power_supply>.",
  type: "gauge",
} as const;

export const powersupplyclass: CollectorDefinition = {
  name: "powersupplyclass",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.powersupply.ignored_supplies);
    return {
      async collect(page) {
        const root = files.sys("class/power_supply");
        for (const supply of listSubject(root, "no power supplies")) {
          if (!filter.ignores(supply)) await collectSupply(page, `${root}/${supply}`, supply);
        }
      },
    };
  },
};

/** Batteries answer through the firmware, which takes its time. */
async function collectSupply(page: Page, folder: string, supply: string): Promise<void> {
  const labels = ["power_supply", supply];
  for (const file of listFolder(folder)) {
    const row = TABLE.get(file);
    if (row === undefined && !LABELS.has(file)) continue;
    const text = await readSlowIfAny(`${folder}/${file}`);
    if (text === undefined || text === "") continue;
    if (row === undefined) labels.push(file, text);
    else page.add(row.metric, parseNumber(text) / row.divisor, supply);
  }
  page.addSample(info, { name: info.name, labels, value: 1 });
}
