import { quoteString } from "#lang/literal";
import { copyFields, field, texts } from "../fields.ts";
import { httpClient, TLS_FIELDS, tlsConfig, tlsFields } from "../http-client.ts";
import { Body } from "../output.ts";
import { literalReplacement, setLabelRule } from "../relabel.ts";
import type { Section } from "../settings.ts";
import type { Job } from "./job.ts";
import { listeningServer } from "./server.ts";

/** Writes the component that reads what one of a job's settings, such as `journal`, describes. */
export type SourceConverter = (job: Job, source: Section) => void;

const labels = field("labels", "textMap");
const useIncomingTimestamp = field("use_incoming_timestamp", "flag", false);

function finish(job: Job, component: string, source: Section, body: Body, firstRules?: Body): void {
  body.attribute("forward_to", job.forwardTo);
  body.attribute("relabel_rules", job.rules(firstRules));
  source.rest();
  job.component(component, job.label, body);
}

/**
 * `loki.source.journal` gives each entry the component's id as `job`, in the place of the label of that name that the job
 * has; Promtail did not. Rules that go first put it right, so that the streams stay the same.
 */
function journal(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [
    field("json>format_as_json", "flag", false),
    field("max_age", "duration", 25_200_000),
    ...texts("path", "matches"),
  ]);
  const given = source.textMap("labels") ?? new Map();
  const rules = new Body();
  const own = given.get("job");
  if (own !== undefined) setLabelRule(rules, "job", own.map(literalReplacement).expression);
  else {
    const drop = rules.block("rule");
    drop.attribute("action", '"labeldrop"');
    drop.attribute("regex", '"job"');
    rules.comment("Without the first rule entries would have a label job that Promtail did not give them.");
  }
  const others = [...given].filter(([name]) => name !== "job");
  if (others.length > 0) body.attribute("labels", job.object(others));
  const legacy = new Body();
  legacy.attribute("file", job.positionsFile.expression);
  legacy.attribute("name", quoteString(job.name));
  body.attach("legacy_position", legacy);
  body.attribute("forward_to", job.forwardTo);
  body.attribute("relabel_rules", job.rules(rules));
  source.rest();
  job.reader("journal", job.component("loki.source.journal", job.label, body));
}

function syslog(job: Job, source: Section): void {
  const body = new Body();
  const listener = body.block("listener");
  copyFields(source, listener, [
    field("listen_address>address", "text"),
    field("listen_protocol>protocol", "text", "tcp"),
    field("idle_timeout", "duration", 120_000),
    field("label_structured_data", "flag", false),
    labels,
    useIncomingTimestamp,
    field("use_rfc5424_message", "flag", false),
    field("max_message_length", "number", 8_192),
  ]);
  const format = source.text("syslog_format");
  if (format?.fixed !== undefined && !["rfc5424", "rfc3164", "raw", ""].includes(format.fixed)) {
    source.add("Error", "syslog_format", "must be rfc5424, rfc3164 or raw; it is left out, which means rfc5424");
  } else if (format?.fixed !== "rfc5424" && format?.fixed !== "")
    listener.attribute("syslog_format", format?.expression);
  const raw = source.section("raw_format_options");
  if (raw !== undefined) {
    copyFields(raw, listener.block("raw_format_options"), [field("use_null_terminator_delimiter", "flag", false)]);
    raw.rest();
  }
  const cisco = source.section("rfc3164_cisco_components");
  if (cisco !== undefined) {
    const rules = ["enable_all", "message_counter", "sequence_number", "hostname", "second_fractions"];
    const block = listener.block("rfc3164_cisco_components");
    copyFields(
      cisco,
      block,
      rules.map((name) => field(name, "flag", false)),
    );
    cisco.rest();
  }
  tlsConfig(source, listener);
  finish(job, "loki.source.syslog", source, body);
}

/** The component has no labels of its own, so they are rules that go first. Alloy's converter drops them. */
function gelf(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [field("listen_address", "text", "0.0.0.0:12201"), useIncomingTimestamp]);
  const rules = new Body();
  for (const [name, text] of source.textMap("labels") ?? []) {
    setLabelRule(rules, name, text.map(literalReplacement).expression);
  }
  finish(job, "loki.source.gelf", source, body, rules);
}

function push(job: Job, source: Section): void {
  const body = new Body();
  listeningServer(source, body);
  copyFields(source, body, [
    labels,
    useIncomingTimestamp,
    field("max_send_msg_size>max_send_message_size", "byteCount", 104_857_600),
  ]);
  source.report.add(
    "Info",
    source.place,
    "bare lines are taken at /loki/api/v1/raw, where Promtail had /promtail/api/v1/raw; senders of them need the new path",
  );
  finish(job, "loki.source.api", source, body);
}

function heroku(job: Job, source: Section): void {
  const body = new Body();
  listeningServer(source, body);
  copyFields(source, body, [labels, useIncomingTimestamp]);
  finish(job, "loki.source.heroku", source, body);
}

const KAFKA_MECHANISM = field("mechanism", "text", "PLAIN");

function kafka(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [
    field("brokers", "texts"),
    field("topics", "texts"),
    // The group is what Kafka keeps the position by: under another name everything would be read again.
    field("group_id", "text", "loki.source.kafka", '"promtail"'),
    field("assignor", "text", "range"),
    field("version", "text", "2.2.1"),
    useIncomingTimestamp,
    labels,
  ]);
  const authentication = source.section("authentication");
  if (!source.has("group_id")) body.comment("The group of Promtail, by which Kafka knows what was read.");
  if (authentication !== undefined) {
    const block = body.block("authentication");
    copyFields(authentication, block, [field("type", "text", "none")]);
    tlsConfig(authentication, block);
    const sasl = authentication.section("sasl_config");
    if (sasl !== undefined) kafkaSasl(sasl, block.block("sasl_config"));
    authentication.rest();
  }
  finish(job, "loki.source.kafka", source, body);
}

/** Its TLS settings stand among the others. */
function kafkaSasl(sasl: Section, block: Body): void {
  copyFields(sasl, block, [KAFKA_MECHANISM, ...texts("user", "password"), field("use_tls", "flag", false)]);
  const inline = TLS_FIELDS.some((rule) => sasl.has(rule.from)) || sasl.has("min_version");
  if (inline) tlsFields(sasl, block.block("tls_config"));
  sasl.rest();
}

function azureEventHubs(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [
    field("fully_qualified_namespace", "text"),
    field("event_hubs", "texts"),
    field("group_id", "text", "loki.source.azure_event_hubs", '"promtail"'),
    useIncomingTimestamp,
    field("disallow_custom_messages", "flag", false),
    field("labels", "textMap", undefined, "{}"),
  ]);
  const authentication = body.block("authentication");
  authentication.attribute("mechanism", '"connection_string"');
  copyFields(source, authentication, texts("connection_string"));
  finish(job, "loki.source.azure_event_hubs", source, body);
}

function gcplog(job: Job, source: Section): void {
  const body = new Body();
  const type = source.text("subscription_type")?.fixed ?? "pull";
  const common = [labels, useIncomingTimestamp, field("use_full_line", "flag", false)];
  if (type === "push") {
    const block = body.block("push");
    listeningServer(source, block);
    copyFields(source, block, [field("push_timeout", "duration", 0), ...common]);
    source.skip("project_id", "subscription");
  } else {
    if (type !== "pull") source.add("Error", "subscription_type", "must be pull or push; it is converted as pull");
    const block = body.block("pull");
    copyFields(source, block, [field("project_id", "text"), field("subscription", "text"), ...common]);
    source.tell("push_timeout", "Info", "has no meaning for pull, and is left out");
    source.tell("server", "Info", "has no meaning for pull, and is left out");
  }
  finish(job, "loki.source.gcplog", source, body);
}

/** Components without relabelling rules send to a `loki.relabel`. */
function throughRelabel(job: Job, component: string, source: Section, body: Body): void {
  body.attribute("forward_to", job.relabelledForwardTo());
  source.rest();
  job.component(component, job.label, body);
}

function cloudflare(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [
    field("api_token", "text"),
    field("zone_id", "text"),
    labels,
    field("workers", "number", 3),
    field("pull_range", "duration", 60_000),
    field("fields_type", "text", "default"),
    field("additional_fields", "texts"),
  ]);
  throughRelabel(job, "loki.source.cloudflare", source, body);
}

function windowsEvents(job: Job, source: Section): void {
  const body = new Body();
  copyFields(source, body, [
    field("locale", "number", 0),
    ...texts("eventlog_name"),
    field("xpath_query", "text", "*"),
    ...texts("bookmark_path>legacy_bookmark_path"),
    field("poll_interval", "duration", 3_000),
    field("exclude_event_data", "flag", false),
    field("exclude_user_data", "flag", false),
    field("exclude_event_message", "flag", false),
    useIncomingTimestamp,
    labels,
  ]);
  throughRelabel(job, "loki.source.windowsevent", source, body);
}

/** By the setting's name, in the order of Alloy's converter. */
export const SOURCES: ReadonlyMap<string, SourceConverter> = new Map<string, SourceConverter>([
  ["cloudflare", cloudflare],
  ["journal", journal],
  ["loki_push_api", push],
  ["syslog", syslog],
  ["gcplog", gcplog],
  ["windows_events", windowsEvents],
  ["kafka", kafka],
  ["azure_event_hubs", azureEventHubs],
  // The reference page of Promtail calls it so.
  ["azure_event_hub", azureEventHubs],
  ["gelf", gelf],
  ["heroku_drain", heroku],
]);

/** What reads the logs of the containers that a `discovery.docker` found. */
export function dockerSource(job: Job, source: Section, targets: string, label: string): void {
  const body = new Body();
  copyFields(source, body, [field("host", "text")]);
  body.attribute("targets", targets);
  body.attribute("forward_to", job.forwardTo);
  body.attribute("relabel_rules", job.rules());
  copyFields(source, body, [field("refresh_interval", "duration", 60_000)]);
  const client = new Body();
  httpClient(source, client);
  if (!client.isEmpty) body.attach("http_client_config", client);
  job.reader("docker", job.component("loki.source.docker", label, body));
}
