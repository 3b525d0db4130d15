import { isAbsolute } from "node:path";
import { Environment, Text } from "../environment.ts";
import { type Conversion, NOTHING, type SourceFormat } from "../format.ts";
import { Names } from "../names.ts";
import { Body, objectOf } from "../output.ts";
import type { Report } from "../report.ts";
import { placeOf, Section } from "../settings.ts";
import { readRoot } from "../source.ts";
import type { YamlNode } from "../yaml-tree.ts";
import { convertJob } from "./job.ts";
import { convertEndpoint } from "./remote-write.ts";

/**
 * Prometheus 2 and 3, as a server or as an agent. Names, defaults and the shape of the output are those of Alloy's
 * converter (internal/converter/internal/prometheusconvert); docs/migrate-from-prometheus.md lists where this one does more.
 */
export const prometheus: SourceFormat = {
  convert(text, extraArguments, report) {
    if (extraArguments.length > 0) {
      report.add("Critical", "--extra-args", "flags of Prometheus are not converted; leave them out");
      return NOTHING;
    }
    const program = { name: "Prometheus", settings: "global and scrape_configs" };
    const root = readRoot(new Environment(text, false), report, program);
    if (root === undefined) return NOTHING;
    tellOfRelativePaths(root, "", report);
    return convertRoot(new Section(root, "", report), report);
  },
};

const NO_RULES = "the agent evaluates no rules";
const NO_DATABASE = "the agent keeps no database that can be asked";

function convertRoot(root: Section, report: Report): Conversion {
  const out = new Body();
  const writer = new Body();
  const global = root.section("global");
  externalLabels(global, writer, report);
  for (const endpoint of root.sections("remote_write")) convertEndpoint(endpoint, writer);
  if (!writer.hasBlocks) {
    report.add("Warning", "remote_write", "there is none, so nothing is sent anywhere; add a prometheus.remote_write");
  }
  const receivers = writer.hasBlocks ? ["prometheus.remote_write.default.receiver"] : [];
  const context = { names: new Names(), global, receivers };
  const jobs = root.sections("scrape_configs");
  if (jobs.length === 0) report.add("Warning", "scrape_configs", "there are no jobs, so nothing is scraped");
  for (const [i, job] of jobs.entries()) convertJob(job, i, context, out);
  if (writer.hasBlocks) out.attach("prometheus.remote_write", writer, "default");
  tellOfGlobal(global);
  tellOfOthers(root);
  return { text: out.print(), readers: [] };
}

function tellOfGlobal(global: Section | undefined): void {
  if (global === undefined) return;
  global.tell("evaluation_interval", "Info", NO_RULES);
  global.tell("rule_query_offset", "Info", NO_RULES);
  global.tell("query_log_file", "Info", `${NO_DATABASE}, so there are no queries to log`);
  global.tell(
    "keep_dropped_targets",
    "Info",
    "the agent keeps no targets that rules drop; discovery.relabel shows what they make of them",
  );
  // What only jobs read that all have their own.
  global.skip(...JOB_SETTINGS);
  global.rest();
}

/** Settings of `global` that jobs take from there. */
const JOB_SETTINGS = [
  ..."scrape_interval scrape_timeout scrape_protocols scrape_failure_log_file body_size_limit sample_limit".split(" "),
  ..."target_limit label_limit label_name_length_limit label_value_length_limit metric_name_validation_scheme".split(
    " ",
  ),
  ..."metric_name_escaping_scheme scrape_native_histograms convert_classic_histograms_to_nhcb".split(" "),
  ..."always_scrape_classic_histograms extra_scrape_metrics".split(" "),
];

function tellOfOthers(root: Section): void {
  root.tell(
    "rule_files",
    "Error",
    `${NO_RULES}, and there is no component for these files; load them into the backend, such as with mimirtool or promtool`,
  );
  root.tell("alerting", "Error", `${NO_RULES}, and so sends no alerts; the backend has to know its Alertmanager`);
  root.tell("remote_read", "Error", `${NO_DATABASE}; ask the backend`);
  root.tell("scrape_config_files", "Error", "jobs of other files are not read; convert each file by itself");
  root.tell("tracing", "Error", "the agent's own traces are set up by a tracing block, which is not written");
  root.tell(
    "otlp",
    "Error",
    "what OTLP brings is converted by an otelcol.exporter.prometheus behind an otelcol.receiver.otlp, which are not written",
  );
  root.tell(
    "storage",
    "Warning",
    `${NO_DATABASE}; how long samples are kept, and which are taken late, is the backend's to say`,
  );
  root.tell("runtime", "Info", "is about Go's garbage collector, which the agent does not have");
  root.rest();
}

/** Prometheus takes `$NAME` and `${NAME}` in these from its environment; the output takes them from the agent's. */
function externalLabels(global: Section | undefined, writer: Body, report: Report): void {
  const labels = [...(global?.textMap("external_labels") ?? [])].map(([name, text]) => [name, expanded(text)] as const);
  if (labels.length === 0) return;
  writer.attribute("external_labels", objectOf(labels.map(([name, { text }]) => [name, text.expression])));
  const variables = [...new Set(labels.flatMap(([, each]) => each.variables))];
  if (variables.length === 0) return;
  report.add(
    "Info",
    global!.at("external_labels"),
    `the output reads these variables from the agent's environment: ${variables.join(", ")}; ` +
      "Prometheus 2 did so only with --enable-feature=expand-external-labels",
  );
}

/** `os.Expand` of Go: a reference is `$name`, `${name}` or `$` with one of some signs; `$$` is a dollar sign. */
const REFERENCE = /\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-])|\{)/g;

function expanded(source: Text): { readonly text: Text; readonly variables: readonly string[] } {
  const value = source.fixed ?? "";
  const parts: ConstructorParameters<typeof Text>[0][number][] = [];
  const variables: string[] = [];
  let plain = "";
  let from = 0;
  for (const match of value.matchAll(REFERENCE)) {
    plain += value.slice(from, match.index);
    from = match.index + match[0].length;
    const variable = match[1] ?? match[2] ?? "";
    if (variable === "$") plain += "$";
    else if (variable !== "") {
      variables.push(variable);
      parts.push(plain, { variable, fallback: undefined });
      plain = "";
    }
  }
  parts.push(plain + value.slice(from));
  return { text: new Text(parts), variables };
}

/** Prometheus looks for files from the folder of its configuration on, the agent from its working directory. */
function tellOfRelativePaths(node: YamlNode, path: string, report: Report): void {
  const of = (key: string) => (path === "" ? key : `${path}.${key}`);
  if (node.kind === "list")
    for (const [i, each] of node.items.entries()) tellOfRelativePaths(each, `${path}[${i}]`, report);
  if (node.kind !== "map") return;
  for (const [key, { value, line }] of node.fields) {
    const names = key === "files" && value.kind === "list" ? value.items : key.endsWith("_file") ? [value] : [];
    const isRelative = names.some((each) => each.kind === "scalar" && !isAbsolute(each.text.fixed || "/"));
    if (isRelative) {
      report.add(
        "Warning",
        placeOf(of(key), line),
        "the path is relative: Prometheus takes it from the folder of its configuration, the agent from its working directory",
      );
    }
    tellOfRelativePaths(value, of(key), report);
  }
}
