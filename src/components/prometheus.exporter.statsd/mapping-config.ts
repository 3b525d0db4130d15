import { compileRegex, type Regex } from "#base/regex";
import { plain } from "#lang/number";
import { parseYaml } from "#lang/stdlib-yaml";
import { isObjectValue, type ObjectValue, type Value } from "#lang/value";
import type { EventKind } from "./line.ts";
import { Fields, type Quantile } from "./mapping-fields.ts";

export type ObserverType = "" | "histogram" | "summary";

export interface Mapping {
  readonly match: string;
  /** Undefined for globs. */
  readonly regex: Regex | undefined;
  readonly kind: EventKind | undefined;
  /** The metric's name, with references to what was captured. */
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly honorLabels: boolean;
  readonly observer: ObserverType;
  readonly action: "map" | "drop";
  readonly help: string;
  readonly ttlMs: number;
  readonly scale: number | undefined;
  /** Undefined for those of the defaults. */
  readonly buckets: readonly number[] | undefined;
  readonly summary: SummaryOptions | undefined;
}

export interface SummaryOptions {
  readonly quantiles: readonly Quantile[];
  readonly maxAgeMs: number;
  readonly ageBuckets: number;
}

export interface MappingConfig {
  readonly mappings: readonly Mapping[];
  /** Globs: whether the most specific one wins rather than the first. */
  readonly unordered: boolean;
  readonly observer: ObserverType;
  readonly ttlMs: number;
  readonly buckets: readonly number[];
  readonly summary: SummaryOptions;
  /** What is in the file and has no effect, in words. */
  readonly warnings: readonly string[];
}

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DEFAULT_QUANTILES: readonly Quantile[] = [
  [0.5, 0.05],
  [0.9, 0.01],
  [0.99, 0.001],
];
const DEFAULT_MAX_AGE_MS = 600_000;
const DEFAULT_AGE_BUCKETS = 5;
const MAX_AGE_BUCKETS = 1_000;

const REFERENCE = "\\$\\{?\\d+\\}?";
const NAME = new RegExp(`^(?:[a-zA-Z_]|${REFERENCE})(?:[a-zA-Z0-9_]|${REFERENCE})*$`);
const GLOB = /^(?:\*|[a-zA-Z_][a-zA-Z0-9_-]*)(?:\.(?:\*|[a-zA-Z0-9_][a-zA-Z0-9_-]*))*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]+$/;
const KINDS: ReadonlyMap<string, EventKind> = new Map([
  ["counter", "counter"],
  ["gauge", "gauge"],
  ["observer", "observer"],
  ["timer", "observer"],
]);

export const NO_MAPPINGS: MappingConfig = readConfig(new Map());

/** Reads a mapping file: statsd_exporter's pkg/mapper. Throws an Error that says where it is wrong. */
export function parseMappingConfig(text: string): MappingConfig {
  const value = plain(parseYaml(text));
  if (value === null) return NO_MAPPINGS;
  if (!isObjectValue(value)) throw new Error("the mapping file is no map with `mappings` and `defaults`");
  return readConfig(value as ObjectValue);
}

function readConfig(file: ObjectValue): MappingConfig {
  const warnings: string[] = [];
  const root = new Fields(file, "the file", warnings);
  const defaults = root.section("defaults");
  const histogram = defaults?.section("histogram_options");
  const summary = defaults?.section("summary_options");
  const listed = summary?.quantiles("quantiles") ?? [];
  const old = defaults?.quantiles("quantiles") ?? [];
  const quantiles = listed.length > 0 ? listed : old;
  // Quantiles in the old place take the other options of the summary away.
  const options = listed.length === 0 && old.length > 0 ? undefined : summary;
  const buckets = histogram?.buckets("buckets") ?? [];
  const oldBuckets = defaults?.buckets("buckets") ?? [];
  const config = {
    unordered: defaults?.flag("glob_disable_ordering") ?? false,
    observer: observerOf(defaults, "observer_type") || observerOf(defaults, "timer_type"),
    ttlMs: defaults?.duration("ttl") ?? 0,
    buckets: [buckets, oldBuckets, DEFAULT_BUCKETS].find((each) => each.length > 0)!,
    summary: summaryOf(options, quantiles.length > 0 ? quantiles : DEFAULT_QUANTILES, undefined),
  };
  const matchType = matchTypeOf(defaults, "glob");
  histogram?.native();
  const rows = root.list("mappings");
  const mappings = rows.map((row, i) => readMapping(row, i, matchType, config, warnings));
  for (const each of [root, defaults, histogram, summary]) each?.finish();
  return { ...config, mappings, warnings };
}

function readMapping(
  row: Value,
  index: number,
  matchType: "glob" | "regex",
  defaults: Omit<MappingConfig, "mappings" | "warnings">,
  warnings: string[],
): Mapping {
  const place = `mapping ${index + 1}`;
  if (!isObjectValue(row)) throw new Error(`${place} is no map`);
  const fields = new Fields(row as ObjectValue, place, warnings);
  const match = fields.text("match");
  const name = fields.text("name");
  const labels = fields.texts("labels");
  for (const label of labels.keys()) if (!LABEL.test(label)) throw new Error(`${place}: invalid label key: ${label}`);
  if (name === "") throw new Error(`${place}: it has no \`name\` for its metric`);
  if (!NAME.test(name)) {
    throw new Error(`${place}: the name ${JSON.stringify(name)} is none for a metric: use letters, digits, _ and $1`);
  }
  const type = matchTypeOf(fields, matchType);
  if (type === "glob" && !GLOB.test(match)) throw new Error(`${place}: invalid match: ${match}`);
  const kindText = fields.text("match_metric_type");
  const kind = KINDS.get(kindText);
  if (kindText !== "" && kind === undefined) throw new Error(`${place}: invalid metric type '${kindText}'`);
  const action = fields.text("action") || "map";
  if (action !== "map" && action !== "drop") throw new Error(`${place}: invalid action type ${JSON.stringify(action)}`);

  const observer = observerOf(fields, "observer_type") || observerOf(fields, "timer_type") || defaults.observer;
  const histogram = fields.section("histogram_options");
  const summary = fields.section("summary_options");
  const oldBuckets = fields.buckets("buckets");
  const oldQuantiles = fields.quantiles("quantiles");
  const buckets = histogram?.buckets("buckets");
  const quantiles = summary?.quantiles("quantiles");
  if (summary !== undefined && oldQuantiles !== undefined && quantiles !== undefined) {
    throw new Error(`${place}: \`quantiles\` stand in two places; leave them in \`summary_options\``);
  }
  if (histogram !== undefined && oldBuckets !== undefined && buckets !== undefined) {
    throw new Error(`${place}: \`buckets\` stand in two places; leave them in \`histogram_options\``);
  }
  if (observer === "histogram" && summary !== undefined) {
    throw new Error(`${place}: a histogram has no \`summary_options\``);
  }
  if (observer === "summary" && histogram !== undefined) {
    throw new Error(`${place}: a summary has no \`histogram_options\``);
  }
  histogram?.native();
  const someQuantiles = [oldQuantiles, quantiles].find((each) => (each?.length ?? 0) > 0);
  const someBuckets = [oldBuckets, buckets].find((each) => (each?.length ?? 0) > 0);
  // Without a type of its own, the old places of both do nothing.
  const ownQuantiles = observer === "summary" ? someQuantiles : quantiles;
  const ownBuckets = observer === "histogram" ? someBuckets : buckets;
  const mapping: Mapping = {
    match,
    regex: type === "glob" ? undefined : regexOf(match, place),
    kind,
    name,
    labels,
    honorLabels: fields.flag("honor_labels"),
    observer,
    action,
    help: fields.text("help"),
    ttlMs: fields.duration("ttl") || defaults.ttlMs,
    scale: fields.number("scale"),
    buckets: ownBuckets !== undefined && ownBuckets.length > 0 ? ownBuckets : undefined,
    summary:
      observer === "summary" || summary !== undefined
        ? summaryOf(summary, ownQuantiles?.length ? ownQuantiles : defaults.summary.quantiles, defaults.summary)
        : undefined,
  };
  for (const each of [fields, histogram, summary]) each?.finish();
  return mapping;
}

function regexOf(text: string, place: string): Regex {
  try {
    return compileRegex(text);
  } catch (error) {
    throw new Error(`${place}: invalid regex ${text}: ${(error as Error).message}`);
  }
}

function summaryOf(
  fields: Fields | undefined,
  quantiles: readonly Quantile[],
  defaults: SummaryOptions | undefined,
): SummaryOptions {
  fields?.number("buf_cap"); // the size of a buffer inside
  const ageBuckets = fields?.number("age_buckets") || defaults?.ageBuckets || DEFAULT_AGE_BUCKETS;
  if (!(ageBuckets >= 1 && ageBuckets <= MAX_AGE_BUCKETS)) {
    throw new Error(`age_buckets must be between 1 and ${MAX_AGE_BUCKETS}`);
  }
  return {
    quantiles,
    maxAgeMs: fields?.duration("max_age") || defaults?.maxAgeMs || DEFAULT_MAX_AGE_MS,
    ageBuckets: Math.trunc(ageBuckets),
  };
}

function observerOf(fields: Fields | undefined, name: string): ObserverType {
  if (fields?.has(name) !== true) return "";
  const text = fields.text(name);
  if (text === "histogram") return "histogram";
  if (text === "summary" || text === "") return "summary";
  throw new Error(`${fields.place}: invalid observer type '${text}'`);
}

function matchTypeOf(fields: Fields | undefined, otherwise: "glob" | "regex"): "glob" | "regex" {
  if (fields?.has("match_type") !== true) return otherwise;
  const text = fields.text("match_type");
  if (text === "regex") return "regex";
  if (text === "glob" || text === "") return "glob";
  throw new Error(`${fields.place}: invalid match type ${JSON.stringify(text)}`);
}
