import { copyFields, field, texts } from "../fields.ts";
import { httpClient } from "../http-client.ts";
import type { Names } from "../names.ts";
import { Body } from "../output.ts";
import type { Section } from "../settings.ts";

/** Both the clients and the options have had it. */
export const LAG_LABELS =
  "Promtail has no longer used it since 2.8; how far behind each file is, loki.source.file tells by itself";

/** What all clients have in common, from elsewhere in the source. */
export interface ClientContext {
  readonly names: Names;
  readonly maxStreams: string | undefined;
  /** The write-ahead log's settings, if it is on. */
  readonly wal: Section | undefined;
}

/** One `loki.write` a client, since each has labels of its own. */
export interface Writer {
  readonly receiver: string;
  readonly body: Body;
  readonly label: string;
}

/** A client as a `loki.write`; undefined for one without a URL, as Promtail's /config page writes them. */
export function convertClient(client: Section, context: ClientContext): Writer | undefined {
  const url = client.text("url");
  if (url === undefined || url.fixed === "") return withoutUrl(client);
  const body = new Body();
  const endpoint = body.block("endpoint");
  copyFields(client, endpoint, texts("name"));
  endpoint.attribute("url", url.expression);
  copyFields(client, endpoint, [
    field("batchwait>batch_wait", "duration", 1_000),
    field("batchsize>batch_size", "byteCount", 1_048_576),
    field("timeout>remote_timeout", "duration", 10_000),
    field("headers", "textMap"),
  ]);
  backoff(client, endpoint);
  copyFields(client, endpoint, texts("tenant_id"));
  const drops = client.flag("drop_rate_limited_batches");
  if (drops?.fixed === true) endpoint.attribute("retry_on_http_429", "false");
  else if (drops?.fixed === undefined)
    endpoint.attribute("retry_on_http_429", drops?.expression.replace(/==(?= "true"$)/, "!="));
  httpClient(client, endpoint);
  copyFields(client, body, [field("external_labels", "textMap")]);
  if (context.maxStreams !== undefined) body.attribute("max_streams", context.maxStreams);
  writeAheadLog(context.wal, body);
  client.tell("stream_lag_labels", "Info", LAG_LABELS);
  client.rest();
  const label = context.names.take("loki.write", "default");
  return { body, label, receiver: `loki.write.${label}.receiver` };
}

function withoutUrl(client: Section): undefined {
  const given = client.names.filter((name) => client.has(name));
  if (given.length > 0 && !client.path.startsWith("client.") && client.path !== "client") {
    client.report.add("Error", client.place, "a client needs a url; it is left out");
  }
}

/** Names of today, and those before Promtail 1.5. */
function backoff(client: Section, endpoint: Body): void {
  const section = client.section("backoff_config");
  if (section === undefined) return;
  const either = (now: string, old: string) => (section.has(now) ? now : old);
  copyFields(section, endpoint, [
    field(`${either("min_period", "minbackoff")}>min_backoff_period`, "duration", 500),
    field(`${either("max_period", "maxbackoff")}>max_backoff_period`, "duration", 300_000),
    field(`${either("max_retries", "maxretries")}>max_backoff_retries`, "number", 10),
  ]);
  section.skip("min_period", "max_period", "max_retries");
  section.rest();
}

function writeAheadLog(wal: Section | undefined, body: Body): void {
  if (wal === undefined) return;
  const block = body.block("wal");
  block.attribute("enabled", "true");
  copyFields(wal, block, [field("cleanSegmentsOlderThan>max_segment_age", "duration", 3_600_000)]);
  const watch = wal.section("watchConfig");
  if (watch !== undefined) {
    copyFields(watch, block, [
      field("minReadFrequency>min_read_frequency", "duration", 250),
      field("maxReadFrequency>max_read_frequency", "duration", 1_000),
      field("drainTimeout>drain_timeout", "duration", 15_000),
    ]);
    watch.rest();
  }
}
