import type { Regex } from "#base/regex";
import { type Metric, memoize, untyped } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readIfAny, readText, words } from "../files.ts";

export const netstat: CollectorDefinition = {
  name: "netstat",
  enabledByDefault: true,
  create({ args, files }) {
    const declare = memoize((key) => declareField(key, args.netstat.fields));
    return {
      collect(page) {
        for (const file of ["net/netstat", "net/snmp"]) {
          for (const [protocol, name, text] of parsePairs(readText(files.proc(file)))) {
            const metric = declare(`${protocol}_${name}`);
            if (metric !== null) page.add(metric, parseNumber(text));
          }
        }
        for (const line of (readIfAny(files.proc("net/snmp6")) ?? "").split("\n")) {
          const [key = "", text = ""] = words(line);
          const six = key.indexOf("6");
          if (six < 0) continue;
          const metric = declare(`${key.slice(0, six + 1)}_${key.slice(six + 1)}`);
          if (metric !== null) page.add(metric, parseNumber(text));
        }
      },
    };
  },
};

/** Null for fields that are not wanted. */
function declareField(key: string, fields: Regex): Metric | null {
  if (!fields.test(key)) return null;
  return untyped(`node_netstat_${key}`, `Statistic ${key.replace("_", "")}.`);
}

/** Lines in pairs: `Tcp: NAME NAME …`, `Tcp: VALUE VALUE …`. */
export function* parsePairs(text: string): Generator<[protocol: string, name: string, value: string]> {
  const lines = text.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = lines[i]!.split(" ");
    const values = lines[i + 1]!.split(" ");
    const protocol = names[0]!.slice(0, -1);
    if (names.length !== values.length)
      throw new Error(`${protocol} has ${names.length} names, ${values.length} values`);
    for (let column = 1; column < names.length; column++) yield [protocol, names[column]!, values[column]!];
  }
}
