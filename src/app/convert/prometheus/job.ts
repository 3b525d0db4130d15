import { quoteString } from "#lang/literal";
import { copyFields, type FieldRule, field } from "../fields.ts";
import { httpClient, textLists } from "../http-client.ts";
import { labelFor, type Names } from "../names.ts";
import { Body, listOf, objectOf } from "../output.ts";
import { relabelRule } from "../relabel.ts";
import { discoveryBody } from "../service-discovery.ts";
import type { Section, Value } from "../settings.ts";
import { OTHER_DISCOVERIES, PROMETHEUS_DISCOVERIES } from "./discoveries.ts";

/** What all jobs have in common. */
export interface JobContext {
  readonly names: Names;
  readonly global: Section | undefined;
  /** The receivers of samples. */
  readonly receivers: readonly string[];
}

const INTERVAL_MS = 60_000;
const TIMEOUT_MS = 10_000;

/** Settings that count from `global` where a job leaves them open, or sets them to nothing. */
const INHERITED: readonly FieldRule[] = [
  field("scrape_failure_log_file", "text", ""),
  field("scrape_protocols", "texts"),
  field("convert_classic_histograms_to_nhcb", "flag", false),
  field("extra_scrape_metrics>extra_metrics", "flag", false),
  field("body_size_limit", "size", 0),
  field("sample_limit", "number", 0),
  field("target_limit", "number", 0),
  field("label_limit", "number", 0),
  field("label_name_length_limit", "number", 0),
  field("label_value_length_limit", "number", 0),
];

/** One of `scrape_configs`, as components in the order in which data flows. Returns the scraping component's label. */
export function convertJob(section: Section, index: number, context: JobContext, out: Body): void {
  const label = labelOf(section, index, context.names);
  const name = section.text("job_name")?.expression ?? quoteString(label);
  const write = (kind: string, body: Body) => {
    const own = context.names.take(kind, label);
    out.attach(kind, body, own);
    return `${kind}.${own}`;
  };
  let targets = targetsOf(section, write);
  const rules = section.sections("relabel_configs");
  if (rules.length > 0) {
    const body = new Body();
    body.attribute("targets", targets);
    for (const rule of rules) relabelRule(rule, body);
    targets = `${write("discovery.relabel", body)}.output`;
  }
  const scrape = new Body();
  scrape.attribute("targets", targets);
  const metricRules = section.sections("metric_relabel_configs");
  // Labels are unique in each kind, and this one is taken only here.
  const relabelled = metricRules.length > 0 ? [`prometheus.relabel.${label}.receiver`] : context.receivers;
  scrape.attribute("forward_to", listOf(relabelled));
  scrape.attribute("job_name", name);
  convertScrape(section, context.global, scrape);
  section.rest([...PROMETHEUS_DISCOVERIES.keys()]);
  write("prometheus.scrape", scrape);
  if (metricRules.length > 0) {
    const body = new Body();
    body.attribute("forward_to", listOf(context.receivers));
    for (const rule of metricRules) relabelRule(rule, body);
    write("prometheus.relabel", body);
  }
}

function labelOf(section: Section, index: number, names: Names): string {
  const given = section.text("job_name")?.fixed ?? "";
  const wanted = labelFor(given === "" ? `job_${index + 1}` : given);
  const label = names.take("scrape_configs", wanted);
  if (given === "") {
    section.report.add(
      "Warning",
      section.place,
      `has no job_name, which Prometheus refuses; the job is called ${label}`,
    );
  } else if (label !== wanted) {
    section.add(
      "Warning",
      "job_name",
      `another job has the same name or one that differs in signs only; its components are called ${label}`,
    );
  }
  return label;
}

/** An expression for all targets of a job, found or fixed. */
function targetsOf(section: Section, write: (kind: string, body: Body) => string): string {
  const parts: string[] = [];
  for (const [setting, discovery] of PROMETHEUS_DISCOVERIES) {
    for (const each of section.sections(setting)) {
      parts.push(`${write(discovery.component, discoveryBody(discovery, each))}.targets`);
    }
  }
  for (const setting of OTHER_DISCOVERIES) {
    section.tell(
      setting,
      "Error",
      "there is no component for this discovery, and its targets are left out; let something write them to a file for discovery.file",
    );
  }
  const fixed = staticTargets(section);
  if (fixed.length > 0) parts.push(listOf(fixed));
  if (parts.length === 0) {
    section.report.add("Warning", section.place, "this job has no targets that can be converted, and scrapes nothing");
  }
  return parts.length > 1 ? `array.concat(\n${parts.join(",\n")},\n)` : (parts[0] ?? "[]");
}

function staticTargets(section: Section): readonly string[] {
  return section.sections("static_configs").flatMap((group) => {
    const labels = [...(group.textMap("labels") ?? [])].map(([key, text]): [string, string] => [key, text.expression]);
    const path = `${group.path}.targets`;
    const addresses = group.items("targets").flatMap((each, i) => {
      if (each.kind === "scalar") return [each.text.expression];
      group.report.add("Error", `${path}[${i}] (line ${each.line})`, "must be an address; it is left out");
      return [];
    });
    group.rest();
    return addresses.map((address) => objectOf([...labels, ["__address__", address]]));
  });
}

function convertScrape(section: Section, global: Section | undefined, body: Body): void {
  copyFields(section, body, [
    field("honor_labels", "flag", false),
    field("honor_timestamps", "flag", true),
    field("track_timestamps_staleness", "flag", false),
  ]);
  textLists(section, "params", body);
  times(section, global, body);
  copyFields(section, body, [
    field("metrics_path", "text", "/metrics"),
    field("scheme", "text", "http"),
    field("enable_compression", "flag", true),
    field("native_histogram_bucket_limit", "number", 0),
    field("native_histogram_min_bucket_factor", "number", 0),
    field("fallback_scrape_protocol>scrape_fallback_protocol", "text", "PrometheusText0.0.4"),
  ]);
  for (const rule of INHERITED) copyFields(sourceOf(rule, section, global), body, [rule]);
  histograms(section, global, body);
  names(section, global, body);
  section.tell(
    "keep_dropped_targets",
    "Info",
    "the agent keeps no targets that rules drop; discovery.relabel shows what they make of them",
  );
  httpClient(section, body);
}

/** The job, or `global` where the job has nothing that counts. */
function sourceOf({ from, kind }: FieldRule, job: Section, global: Section | undefined): Section {
  const value = job[kind === "textMap" ? "text" : kind](from);
  const isOpen = value === undefined || value.fixed === 0 || value.fixed === "";
  return isOpen && global !== undefined ? global : job;
}

function histograms(section: Section, global: Section | undefined, body: Body): void {
  // As it was called in Prometheus 2, where there was none in `global`.
  const isOld = section.has("scrape_classic_histograms");
  if (isOld) section.skip("always_scrape_classic_histograms");
  const classic = field(`${isOld ? "" : "always_"}scrape_classic_histograms>scrape_classic_histograms`, "flag", false);
  copyFields(isOld ? section : sourceOf(classic, section, global), body, [classic]);
  const native = field("scrape_native_histograms", "flag", false);
  const source = sourceOf(native, section, global);
  const protocols = (section.texts("scrape_protocols") ?? global?.texts("scrape_protocols"))?.fixed;
  const isPossible = protocols === undefined || protocols.includes("PrometheusProto");
  if (isPossible || source.flag(native.from)?.fixed !== true) copyFields(source, body, [native]);
  else source.add("Info", native.from, "has no effect without PrometheusProto in scrape_protocols, and is left out");
}

/** `ScrapeConfig.Validate` of prometheus/config/config.go. */
function times(section: Section, global: Section | undefined, body: Body): void {
  const [interval, timeout] = ["scrape_interval", "scrape_timeout"].map((name) => given(section, name));
  const [usualInterval, usualTimeout] = ["scrape_interval", "scrape_timeout"].map((name) => given(global, name));
  const chosen = interval ?? usualInterval ?? { ms: INTERVAL_MS, expression: '"1m"' };
  const globalMs = usualInterval?.ms ?? INTERVAL_MS;
  const usual = usualTimeout ?? (globalMs < TIMEOUT_MS ? usualInterval! : { ms: TIMEOUT_MS, expression: '"10s"' });
  const wanted = timeout ?? usual;
  const limit = wanted.ms < chosen.ms ? wanted : chosen;
  if (timeout !== undefined && timeout.ms > chosen.ms) {
    section.add(
      "Warning",
      "scrape_timeout",
      "is longer than the interval, which Prometheus refuses; the interval is taken",
    );
  }
  if (chosen.ms !== INTERVAL_MS) body.attribute("scrape_interval", chosen.expression);
  if (limit.ms !== TIMEOUT_MS) body.attribute("scrape_timeout", limit.expression);
}

function given(section: Section | undefined, name: string): { ms: number; expression: string } | undefined {
  const value: Value<number> | undefined = section?.duration(name);
  return value?.fixed === undefined || value.fixed === 0
    ? undefined
    : { ms: value.fixed, expression: value.expression };
}

/** How names with other signs than usual are taken; the escaping follows the validation where it is left open. */
function names(section: Section, global: Section | undefined, body: Body): void {
  const read = (source: Section | undefined, name: string) => {
    const value = source?.text(name);
    return value?.fixed === "" ? undefined : value;
  };
  const own = read(section, "metric_name_validation_scheme");
  const usual = read(global, "metric_name_validation_scheme");
  const ownEscaping = read(section, "metric_name_escaping_scheme");
  const usualEscaping = read(global, "metric_name_escaping_scheme");
  const validation = own ?? usual;
  const escaping = ownEscaping ?? (own === undefined ? usualEscaping : undefined);
  if (validation !== undefined && validation.fixed !== "legacy") {
    body.attribute("metric_name_validation_scheme", validation.expression);
    body.attribute("metric_name_escaping_scheme", escaping?.expression ?? '"allow-utf-8"');
  } else if (escaping !== undefined && escaping.fixed !== "underscores") {
    body.attribute("metric_name_escaping_scheme", escaping.expression);
  }
}
