import { quoteString } from "#lang/literal";
import { Body } from "../output.ts";
import type { Severity } from "../report.ts";
import type { SettingsTree } from "./settings-tree.ts";

const LEVELS = new Map([
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["dpanic", "error"],
  ["panic", "error"],
  ["fatal", "error"],
]);

const LOG_SETTINGS: readonly (readonly [string, Severity, string])[] = [
  ["development", "Info", "the agent's log has no mode for development"],
  ["disable_caller", "Info", "the agent's log never says where in its code a line comes from"],
  ["disable_stacktrace", "Info", "the agent's log has stack traces of its own mistakes only"],
  ["sampling", "Warning", "the agent's log is not sampled"],
  ["initial_fields", "Error", "the agent's log has no fields of the user's choice"],
  ["processors", "Error", "the agent's log goes to standard error; for OTLP use logging's write_to"],
];

/** `service.telemetry`: how the program tells of itself. */
export function convertTelemetry(tree: SettingsTree, out: Body): void {
  const logs = tree.child("logs");
  if (logs !== undefined) convertLogs(logs, out);
  tree.section.tell(
    "metrics",
    "Warning",
    "the agent serves its own metrics at /metrics of its interface (--server.http.listen-addr); " +
      "a prometheus.exporter.self with a prometheus.scrape sends them on",
  );
  const traces = tree.child("traces");
  const level = traces?.section.text("level")?.fixed;
  if (traces !== undefined && level !== "none") {
    tree.section.add("Error", "traces", "the agent's own traces are set up by a tracing block, which is not written");
  }
  traces?.section.skip(...traces.section.names);
  tree.section.tell("resource", "Info", "the agent's own metrics, logs and traces have no attributes of a resource");
}

function convertLogs({ section }: SettingsTree, out: Body): void {
  const body = new Body();
  const level = section.text("level");
  const known = level?.fixed === undefined ? undefined : LEVELS.get(level.fixed.toLowerCase());
  if (level?.fixed !== undefined && known === undefined) {
    section.add("Error", "level", `must be one of ${[...LEVELS.keys()].join(", ")}; it is left out`);
  } else if (level !== undefined && known !== "info") {
    body.attribute("level", known === undefined ? level.expression : quoteString(known));
  }
  const encoding = section.text("encoding");
  if (encoding?.fixed === "json") body.attribute("format", '"json"');
  else if (encoding !== undefined)
    section.add("Info", "encoding", "the agent's log is in logfmt or JSON; logfmt it is");
  for (const [name, severity, message] of LOG_SETTINGS) section.tell(name, severity, message);
  for (const name of ["output_paths", "error_output_paths"]) {
    const paths = section.texts(name, true)?.fixed;
    if (paths !== undefined && paths.join() !== "stderr") {
      section.add("Error", name, "the agent's log goes to standard error; whatever starts it can send it elsewhere");
    }
  }
  section.rest();
  if (!body.isEmpty) out.attach("logging", body);
}
