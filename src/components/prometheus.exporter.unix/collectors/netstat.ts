import type { Regex } from "#base/regex";
import { type Metric, memoize, type Page, untyped } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { eachField, parseNumber, readIfAny, readText } from "../files.ts";

/** Lines of names that are remembered; there are about ten. */
const MAX_PLANS = 100;

export const netstat: CollectorDefinition = {
  name: "netstat",
  enabledByDefault: true,
  create({ args, files }) {
    const declare = memoize((key) => declareField(key, args.netstat.fields));
    const pairs = new LinePairs(declare);
    return {
      collect(page) {
        pairs.addTo(page, readText(files.proc("net/netstat")));
        pairs.addTo(page, readText(files.proc("net/snmp")));
        eachField(readIfAny(files.proc("net/snmp6")) ?? "", (key, value) => {
          const six = key.indexOf("6");
          if (six < 0) return;
          const metric = declare(`${key.slice(0, six + 1)}_${key.slice(six + 1)}`);
          if (metric !== null) page.add(metric, value);
        });
      },
    };
  },
};

/** Null for fields that are not wanted. */
function declareField(key: string, fields: Regex): Metric | null {
  if (!fields.test(key)) return null;
  return untyped(`node_netstat_${key}`, `Statistic ${key.replace("_", "")}.`);
}

/** Lines in pairs: `Tcp: NAME NAME …`, `Tcp: VALUE VALUE …`. The names are the same each time, so that they are read once. */
export class LinePairs {
  readonly #declare: (key: string) => Metric | null;
  /** By the line of names, the columns that are wanted. */
  readonly #plans = new Map<string, { readonly columns: number; readonly wanted: readonly [number, Metric][] }>();

  constructor(declare: (key: string) => Metric | null) {
    this.#declare = declare;
  }

  /** Throws where a line of values does not belong to its line of names. */
  addTo(page: Page, text: string): void {
    const lines = text.split("\n");
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const { columns, wanted } = this.#plan(lines[i]!);
      const values = lines[i + 1]!.split(" ");
      if (values.length !== columns) {
        throw new Error(`${values[0]} has ${columns} names and ${values.length} values`);
      }
      for (const [column, metric] of wanted) page.add(metric, parseNumber(values[column]!));
    }
  }

  #plan(line: string) {
    let plan = this.#plans.get(line);
    if (plan === undefined) {
      const names = line.split(" ");
      const protocol = names[0]!.slice(0, -1);
      const wanted: [number, Metric][] = [];
      for (let column = 1; column < names.length; column++) {
        const metric = this.#declare(`${protocol}_${names[column]}`);
        if (metric !== null) wanted.push([column, metric]);
      }
      plan = { columns: names.length, wanted };
      if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
      this.#plans.set(line, plan);
    }
    return plan;
  }
}
