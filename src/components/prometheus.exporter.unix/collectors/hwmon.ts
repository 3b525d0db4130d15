import { readdir, readFile, realpath } from "node:fs/promises";
import { counter, gauge, type Metric, memoize, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { exists, readSlowIfAny } from "../files.ts";
import { NameFilter } from "../filter.ts";
import { listSubject } from "../subject.ts";

const chipNames = gauge(
  "node_hwmon_chip_names",
  "Annotation metric for human-readable chip names",
  "chip",
  "chip_name",
);
const sensorLabel = gauge("node_hwmon_sensor_label", "Label for given chip and sensor", "chip", "sensor", "label");
const beepEnabled = gauge("node_hwmon_beep_enabled", "Hardware beep enabled", "chip", "sensor");
const regulator = gauge("node_hwmon_voltage_regulator_version", "Hardware voltage regulator", "chip", "sensor");
const updateInterval = gauge(
  "node_hwmon_update_interval_seconds",
  "Hardware monitor update interval",
  "chip",
  "sensor",
);

const SENSOR_TYPES = new Set([
  ...["vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy"],
  ...["humidity", "intrusion", "freq"],
]);

/** By sensor (`temp1`), by property (`input`, or empty for the file without one). */
type SensorData = Map<string, Map<string, string>>;

export const hwmon: CollectorDefinition = {
  name: "hwmon",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.hwmon.chip_exclude, args.hwmon.chip_include);
    const declare = memoize((key) => declareMetric(key));
    return {
      async collect(page) {
        const root = files.sys("class/hwmon");
        const failures: unknown[] = [];
        for (const entry of listSubject(root, "no hardware monitoring")) {
          try {
            await collectChip(page, `${root}/${entry}`, filter, declare);
          } catch (error) {
            failures.push(error);
          }
        }
        if (failures.length > 0) throw failures.at(-1);
      },
    };
  },
};

type Declare = (key: string) => { readonly metric: Metric; readonly scale: number };

async function collectChip(page: Page, folder: string, filter: NameFilter, declare: Declare): Promise<void> {
  const chip = await chipName(folder);
  if (filter.ignores(chip)) return;
  const data: SensorData = new Map();
  await readSensors(folder, data);
  if (exists(`${folder}/device`)) await readSensors(`${folder}/device`, data);
  const humanName = cleanName((await readSlowIfAny(`${folder}/name`)) ?? "");
  if (humanName !== "") page.add(chipNames, 1, chip, humanName);

  for (const [sensor, properties] of data) {
    const type = sensor.replace(/[0-9]*$/, "");
    const label = properties.get("label");
    if (label !== undefined) page.add(sensorLabel, 1, chip, sensor, label);
    const plain = Number.parseFloat(properties.get("") ?? "");
    if (type === "beep_enable") page.add(beepEnabled, properties.get("") === "1" ? 1 : 0, chip, sensor);
    else if (type === "vrm") {
      if (!Number.isNaN(plain)) page.add(regulator, plain, chip, sensor);
    } else if (type === "update_interval") {
      if (!Number.isNaN(plain)) page.add(updateInterval, plain * 0.001, chip, sensor);
    } else {
      for (const [property, text] of properties) {
        const value = text.trim() === "" ? Number.NaN : Number(text);
        if (property === "label" || Number.isNaN(value)) continue;
        const isFrequency = type === "freq" && property === "input";
        if (isFrequency && label === undefined) continue;
        const { metric, scale } = declare(`${type} ${property} ${properties.has("") ? "plain" : ""}`);
        page.add(metric, value * scale, chip, isFrequency ? cleanName(label!) : sensor);
      }
    }
  }
}

/** Files such as `temp1_input`; those of other kinds are not sensors. */
async function readSensors(folder: string, data: SensorData): Promise<void> {
  const reads: Promise<void>[] = [];
  for (const file of await readdir(folder)) {
    const match = /^([^0-9]+)([0-9]*)(?:_(.+))?$/.exec(file);
    if (match === null || !SENSOR_TYPES.has(match[1]!)) continue;
    const sensor = `${match[1]}${Number(match[2] || 0)}`;
    reads.push(
      // Off the main thread, for drivers ask slow hardware. Labels may end in spaces.
      readFile(`${folder}/${file}`, "utf8").then(
        (text) => {
          let properties = data.get(sensor);
          if (properties === undefined) data.set(sensor, (properties = new Map()));
          properties.set(match[3] ?? "", text.replace(/^\n+|\n+$/g, ""));
        },
        // A sensor that fails (a fan that is not there gives EIO) is left out; the others are not.
        () => {},
      ),
    );
  }
  await Promise.all(reads);
}

/** From `temp max plain` (type, property, whether the sensor has a file without a property too). */
function declareMetric(key: string): { metric: Metric; scale: number } {
  const [type = "", property = "", plain] = key.split(" ");
  let name = `node_hwmon_${type}`;
  if (property === "input") {
    if (plain === "plain") name += "_input";
  } else if (property !== "") name += `_${cleanName(property)}`;
  const labels = ["chip", "sensor"];
  const make = (suffix: string, help: string, scale = 1) => ({ metric: gauge(name + suffix, help, ...labels), scale });

  if (property === "fault" || property === "alarm") return make("", `Hardware sensor ${property} status (${type})`);
  if (property === "beep") return make("_enabled", "Hardware monitor sensor has beeping enabled");
  if (type === "in" || type === "cpu") return make("_volts", `Hardware monitor for voltage (${property})`, 0.001);
  if (type === "temp" && property !== "type") {
    return make("_celsius", `Hardware monitor for temperature (${property || "input"})`, 0.001);
  }
  if (type === "curr") return make("_amps", `Hardware monitor for current (${property})`, 0.001);
  if (type === "energy") {
    const help = `Hardware monitor for joules used so far (${property})`;
    return { metric: counter(`${name}_joule_total`, help, ...labels), scale: 1e-6 };
  }
  if (type === "power" && property === "accuracy") {
    return make("", "Hardware monitor power meter accuracy, as a ratio", 1e-6);
  }
  if (type === "power" && /^average_interval(_min|_max)?$/.test(property)) {
    return make("_seconds", `Hardware monitor power usage update interval (${property})`, 0.001);
  }
  if (type === "power") return make("_watt", `Hardware monitor for power usage in watts (${property})`, 1e-6);
  if (type === "humidity") {
    const help = `Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) (${property})`;
    return make("", help, 1e-6);
  }
  if (type === "fan" && ["input", "min", "max", "target"].includes(property)) {
    return make("_rpm", `Hardware monitor for fan revolutions per minute (${property})`);
  }
  if (type === "freq" && property === "input") {
    return make("_freq_mhz", "Hardware monitor for GPU frequency in MHz", 1e-6);
  }
  return make("", `Hardware monitor ${type} element ${property}`);
}

/** Lower-case, with `_` for all that is not allowed in the name of a metric. */
function cleanName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9:_]/g, "_")
    .replace(/^_+|_+$/g, "");
}

/** A name that stays the same when drivers load in another order: of the device, else of the driver, else `hwmonN`. */
async function chipName(folder: string): Promise<string> {
  if (exists(`${folder}/device`)) {
    const parts = (await realpath(`${folder}/device`)).split("/");
    const name = [cleanName(parts.at(-2) ?? ""), cleanName(parts.at(-1) ?? "")].filter((part) => part !== "");
    if (name.length > 0) return name.join("_");
  }
  const driver = cleanName((await readSlowIfAny(`${folder}/name`)) ?? "");
  if (driver !== "") return driver;
  return cleanName((await realpath(folder)).split("/").at(-1)!);
}
