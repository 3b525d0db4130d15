import { copyFields, field, texts } from "../fields.ts";
import { httpClient } from "../http-client.ts";
import { Body } from "../output.ts";
import { relabelRule } from "../relabel.ts";
import type { Section } from "../settings.ts";

/** One of `remote_write` as an `endpoint`. What Prometheus and Alloy do otherwise by default is written. */
export function convertEndpoint(section: Section, out: Body): void {
  const url = section.text("url");
  if (url === undefined || url.fixed === "") {
    section.report.add("Error", section.place, "a remote_write needs a url; it is left out");
    return;
  }
  const endpoint = out.block("endpoint");
  copyFields(section, endpoint, texts("name"));
  endpoint.attribute("url", url.expression);
  copyFields(section, endpoint, [
    field("remote_timeout", "duration", 30_000),
    field("headers", "textMap"),
    field("send_exemplars", "flag", true, "false"),
    field("send_native_histograms", "flag", false),
    field("protobuf_message", "text", "prometheus.WriteRequest"),
    field("round_robin_dns", "flag", false),
  ]);
  httpClient(section, endpoint, false);
  queue(section, endpoint);
  const metadata = section.section("metadata_config");
  if (metadata !== undefined) {
    const rules = [
      field("send", "flag", true),
      field("send_interval", "duration", 60_000),
      field("max_samples_per_send", "number", 2_000),
    ];
    attachUnlessEmpty(endpoint, "metadata_config", metadata, rules);
  }
  for (const rule of section.sections("write_relabel_configs")) relabelRule(rule, endpoint, "write_relabel_config");
  cloudCredentials(section, endpoint);
  section.rest();
}

function queue(section: Section, endpoint: Body): void {
  const block = endpoint.block("queue_config");
  const given = section.section("queue_config");
  if (given === undefined) {
    block.attribute("retry_on_http_429", "false");
    return;
  }
  copyFields(given, block, [
    field("capacity", "number", 10_000),
    field("max_shards", "number", 50),
    field("min_shards", "number", 1),
    field("max_samples_per_send", "number", 2_000),
    field("batch_send_deadline", "duration", 5_000),
    field("min_backoff", "duration", 30),
    field("max_backoff", "duration", 5_000),
    field("retry_on_http_429", "flag", true, "false"),
    field("sample_age_limit", "duration", 0),
  ]);
  given.tell(
    "max_retries",
    "Info",
    "has had no effect since Prometheus 2.11: what can be sent again is, until it is too old",
  );
  given.rest();
}

function cloudCredentials(section: Section, endpoint: Body): void {
  const sigv4 = section.sectionOrEmpty("sigv4");
  if (sigv4 !== undefined) {
    copyFields(sigv4, endpoint.block("sigv4"), [
      ...texts("region", "access_key", "secret_key", "profile", "role_arn", "external_id"),
      field("use_fips_sts_endpoint", "flag", false),
      field("service_name", "text", "aps"),
    ]);
    sigv4.rest();
  }
  const azure = section.section("azuread");
  if (azure !== undefined) {
    const block = endpoint.block("azuread");
    copyFields(azure, block, [field("cloud", "text", "AzurePublic"), ...texts("scope")]);
    for (const [name, settings] of AZURE_IDENTITIES) {
      const identity = azure.sectionOrEmpty(name);
      if (identity === undefined) continue;
      // Without a client a managed identity is that of the machine.
      const rules = settings.map((setting) =>
        field(setting, "text", undefined, setting === "client_id" ? '""' : undefined),
      );
      copyFields(identity, block.block(name), rules);
      identity.rest();
    }
    azure.rest();
  }
  const google = section.sectionOrEmpty("google_iam");
  if (google !== undefined) {
    copyFields(google, endpoint.block("google_iam"), texts("credentials_file"));
    google.rest();
  }
}

const AZURE_IDENTITIES: readonly (readonly [string, readonly string[]])[] = [
  ["managed_identity", ["client_id"]],
  ["oauth", ["client_id", "client_secret", "tenant_id"]],
  ["workload_identity", ["client_id", "tenant_id", "token_file_path"]],
  ["sdk", ["tenant_id"]],
];

function attachUnlessEmpty(to: Body, name: string, section: Section, rules: Parameters<typeof copyFields>[2]): void {
  const body = new Body();
  copyFields(section, body, rules);
  section.rest();
  if (!body.isEmpty) to.attach(name, body);
}
