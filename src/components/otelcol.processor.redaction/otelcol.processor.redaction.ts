import { compileRegex } from "#base/regex";
import { DATA, dataField, EVENT, GROUP, LOG, POINT, pointKindOf, RESOURCE, SCOPE, SPAN } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { eachOf, members, resourceGroups } from "#formats/otlp/walk";
import { editingInput, KINDS, outputsOf, type RequestEdit } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { regexFaults } from "#kits/regex-argument";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { DatabaseCleaner } from "./database-text.ts";
import { Redactor } from "./redactor.ts";
import { cleanSpanName } from "./span-names.ts";

const texts = (doc: string) => s.list(s.string()).default([]).doc(doc);
const sanitizedAttributes = () => texts("Attributes to clean. In log bodies all texts are.");
const databaseSchema = s.object({
  enabled: s.bool().default(false).doc("Whether to clean queries of this database."),
  attributes: sanitizedAttributes(),
});
const database = (name: string) =>
  s.block(databaseSchema).presentByDefault().doc(`Takes values out of queries of ${name}.`);
const sanitizeSpanName = (what: string) => s.bool().default(true).doc(`Whether ${what} in names of spans too.`);
const urlSchema = s.object({
  enabled: s.bool().default(false).doc("Whether to put asterisks for parts of paths that look like ids."),
  attributes: sanitizedAttributes(),
  sanitize_span_name: sanitizeSpanName("to do so"),
});
const dbSchema = s.object({
  sanitize_span_name: sanitizeSpanName("to take values out of queries"),
  sql: database("SQL databases"),
  redis: database("Redis"),
  valkey: database("Valkey"),
  memcached: database("memcached"),
  mongo: database("MongoDB"),
  opensearch: database("OpenSearch"),
  es: database("Elasticsearch"),
});

const PATTERNS = ["blocked_key_patterns", "ignored_key_patterns", "allowed_values", "blocked_values"] as const;
/** Bytes that the key of each HMAC needs at least. */
const LEAST_KEY = { "hmac-sha256": 32, "hmac-sha512": 64 } as const;

const baseArgs = s.object({
  allow_all_keys: s.bool().default(false).doc("Whether attributes stay that are not in `allowed_keys`."),
  allowed_keys: texts("Attributes that stay; all others are removed unless `allow_all_keys` is true."),
  ignored_keys: texts("Attributes that stay as they are."),
  blocked_key_patterns: texts("Regular expressions of attributes whose values are masked."),
  ignored_key_patterns: texts("Regular expressions of attributes that stay as they are."),
  allowed_values: texts("Regular expressions of values that stay as they are, whatever else they match."),
  blocked_values: texts("Regular expressions of what is masked in values."),
  hash_function: s
    .oneOf(["", "sha1", "sha3", "md5", "hmac-sha256", "hmac-sha512"], { ignoreCase: true })
    .default("")
    .doc("What stands in the place of what is masked: its hash, or asterisks without one."),
  hmac_key: s.secret().default("").doc("The key of `hmac-sha256` (32 bytes or more) and `hmac-sha512` (64 or more)."),
  redact_all_types: s
    .bool()
    .default(false)
    .doc("Whether values of all types are looked at, as texts; else only texts are."),
  summary: s
    .oneOf(["", "debug", "info", "silent"])
    .default("")
    .doc("What is said of what was done, in attributes: `debug` for keys and counts, `info` for counts, else nothing."),
  url_sanitizer: s.block(urlSchema).doc("Takes ids and queries out of URLs."),
  db_sanitizer: s.block(dbSchema).doc("Takes values out of database queries."),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;

const leastKey = ({ hash_function: name }: Arguments) =>
  name === "hmac-sha256" || name === "hmac-sha512" ? LEAST_KEY[name] : 0;

const args = baseArgs
  .rule(
    "hmac_key",
    (a) => Buffer.byteLength(a.hmac_key.reveal()) >= leastKey(a),
    (a) => `must be at least ${leastKey(a)} bytes long for \`hash_function = "${a.hash_function}"\``,
  )
  .refuse((a) => PATTERNS.flatMap((field) => regexFaults(field, a[field])))
  .suspect((a) => {
    if (a.allow_all_keys && a.allowed_keys.length > 0) {
      const message = "has no effect with `allow_all_keys = true`";
      return [{ field: "allowed_keys", message, hint: "leave one of the two out" }];
    }
    if (a.allow_all_keys || a.allowed_keys.length > 0) return [];
    const message = "is empty, so that every attribute is removed";
    return [
      { field: "allowed_keys", message, hint: "list the attributes that shall stay, or set `allow_all_keys = true`" },
    ];
  });
export default defineComponent({
  name: "otelcol.processor.redaction",
  stability: "experimental",
  summary: "Removes attributes that are not allowed, and masks values in attributes, log bodies, URLs and queries.",
  example: `otelcol.processor.redaction "default" {
  allow_all_keys       = true
  blocked_key_patterns = [".*token.*", ".*api_key.*"]
  blocked_values       = ["4[0-9]{12}(?:[0-9]{3})?"]
  summary              = "info"

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,

  start(ctx, first) {
    const edits = Object.fromEntries(KINDS.map((kind) => [kind, redactingEdit(kind, first)]));
    ctx.export({ input: editingInput(ctx, outputsOf(ctx, first.output), edits) });
  },
});

const DISABLED = { enabled: false, attributes: [] };
const NO_DATABASES = {
  sanitize_span_name: false,
  sql: DISABLED,
  redis: DISABLED,
  valkey: DISABLED,
  memcached: DISABLED,
  mongo: DISABLED,
  opensearch: DISABLED,
  es: DISABLED,
};

function redactingEdit(kind: OtlpKind, given: Arguments): RequestEdit {
  const url = given.url_sanitizer?.enabled ? given.url_sanitizer : undefined;
  const db = given.db_sanitizer ?? NO_DATABASES;
  const databases = new DatabaseCleaner(db, kind !== "logs");
  const redactor = new Redactor({
    allowedKeys: given.allow_all_keys ? undefined : given.allowed_keys,
    ignoredKeys: given.ignored_keys,
    ignoredKeyPatterns: given.ignored_key_patterns.map((each) => compileRegex(each)),
    blockedKeyPatterns: given.blocked_key_patterns.map((each) => compileRegex(each)),
    allowedValues: given.allowed_values.map((each) => compileRegex(each)),
    blockedValues: given.blocked_values.map((each) => compileRegex(each)),
    redactAllTypes: given.redact_all_types,
    hash: given.hash_function,
    hmacKey: given.hmac_key.reveal(),
    summary: given.summary === "" ? "silent" : given.summary,
    urlAttributes: url?.attributes,
    databases,
  });
  const [lent, inner] = [new OtlpRecord(), new OtlpRecord()];
  const names = {
    redactor,
    cleansUrls: url?.sanitize_span_name ?? false,
    databases: db.sanitize_span_name && !databases.isEmpty ? databases : undefined,
  };

  function redact(record: OtlpRecord, field: number): void {
    redactor.attributes(record.map(field));
  }
  const items: Readonly<Record<OtlpKind, (item: OtlpRecord) => void>> = {
    traces: (span) => {
      redact(span, SPAN.attributes);
      if (span.has(SPAN.events)) eachOf(span.list(SPAN.events), inner, (event) => redact(event, EVENT.attributes));
      cleanSpanName(span, names);
    },
    metrics: (metric) => {
      const data = dataField(metric);
      if (data === 0) return;
      const field = POINT.attributes[pointKindOf(data)];
      eachOf(metric.record(data).list(DATA.points), inner, (point) => redact(point, field));
    },
    logs: (log) => {
      redact(log, LOG.attributes);
      const body = log.any(LOG.body);
      const redacted = redactor.body(body.value, () => log.map(LOG.attributes));
      if (redacted !== body.value) body.value = redacted;
    },
  };
  return (request) => {
    const resources = resourceGroups(request);
    for (let r = 0; r < resources.length; r++) {
      const resource = resources.at(r);
      redact(resource.record(GROUP.resource), RESOURCE.attributes);
      const scopes = members(resource);
      for (let i = 0; i < scopes.length; i++) {
        const scope = scopes.at(i);
        redact(scope.record(GROUP.scope), SCOPE.attributes);
        eachOf(members(scope), lent, items[kind]);
      }
    }
  };
}
