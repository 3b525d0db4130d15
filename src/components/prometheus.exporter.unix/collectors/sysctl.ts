import { gauge, type Page, untyped } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readTrimmed, words } from "../files.ts";

const info = gauge("node_sysctl_info", "sysctl info", "name", "value", "index");

/** A setting, `kernel.pid_max`, or with names for its values, `net.ipv4.tcp_rmem:min,default,max`. */
interface Setting {
  readonly name: string;
  readonly keys: readonly string[];
}

export const sysctl: CollectorDefinition = {
  name: "sysctl",
  enabledByDefault: false,
  create({ args, files }) {
    const numeric = args.sysctl.include.map(parseSetting);
    const textual = args.sysctl.include_info.map(parseSetting);
    const read = ({ name }: Setting) => {
      const values = words(readTrimmed(files.proc(`sys/${name.replaceAll(".", "/")}`)));
      if (values.length === 0) throw new Error(`sysctl ${name} has no values`);
      return values;
    };
    return {
      collect(page) {
        for (const setting of numeric) addNumbers(page, setting, read(setting).map(parseNumber));
        for (const setting of textual) {
          if (setting.keys.length > 0) throw new Error(`sysctl ${setting.name}: names are for numeric values only`);
          for (const [i, value] of read(setting).entries()) page.add(info, 1, setting.name, value, String(i));
        }
      },
    };
  },
};

function parseSetting(text: string): Setting {
  const colon = text.indexOf(":");
  if (colon < 0) return { name: text, keys: [] };
  return { name: text.slice(0, colon), keys: text.slice(colon + 1).split(",") };
}

function addNumbers(page: Page, { name, keys }: Setting, values: readonly number[]): void {
  const metricName = `node_sysctl_${name.replace(/_*[^0-9A-Za-z_]+_*/g, "_")}`;
  if (keys.length > 0 && keys.length !== values.length) {
    throw new Error(`sysctl ${name} has ${values.length} values, but ${keys.length} names are configured`);
  }
  if (keys.length > 0) {
    for (const [i, value] of values.entries()) {
      page.add(untyped(`${metricName}_${keys[i]}`, `sysctl ${name}, field ${i}`), value);
    }
  } else if (values.length === 1) page.add(untyped(metricName, `sysctl ${name}`), values[0]!);
  else {
    const metric = untyped(metricName, `sysctl ${name}`, "index");
    for (const [i, value] of values.entries()) page.add(metric, value, String(i));
  }
}
