import { senderIdentity } from "#kits/http/client-identity";
import { authentications, httpClientFields, httpClientRules, reservedHeader } from "#kits/http/client-schema";
import { httpUrlProblem } from "#kits/http/url";
import { relabelRuleSchema } from "#kits/relabel-schema";
import { misplacedLabels } from "#kits/relabel-suspects";
import { defaultsOf } from "#lang/decode";
import { repeated } from "#lang/faults";
import { type Infer, s } from "#lang/schema";
import { azureadSchema, cloudBlocks, googleIamSchema, sigv4Schema } from "./authentication.ts";

const queueSchema = s
  .object({
    capacity: s.int(1).default(10_000).doc("Samples read ahead of the requests for each shard."),
    max_shards: s.int(1, 1000).default(50).doc("Most requests at once."),
    min_shards: s.int(1, 1000).default(1).doc("Least requests at once, if there is enough to send."),
    max_samples_per_send: s.int(1, 100_000).default(2000).doc("Samples in one request."),
    batch_send_deadline: s.duration().default("5s").doc("Longest time that samples wait for others to go with."),
    min_backoff: s.duration().default("30ms").doc("First pause before a request is repeated."),
    max_backoff: s.duration().default("5s").doc("Longest pause before a request is repeated."),
    retry_on_http_429: s.bool().default(true).doc("Repeat requests that were answered with 429."),
    sample_age_limit: s
      .duration()
      .min(0)
      .default("0s")
      .doc("Samples that are older when they come, or wait for longer, are dropped; 0 for no limit."),
  })
  .rule("max_shards", (a) => a.max_shards >= a.min_shards, "is less than `min_shards`")
  .rule("max_backoff", (a) => a.max_backoff >= a.min_backoff, "is less than `min_backoff`");

const metadataSchema = s.object({
  send: s.bool().default(true).doc("Send type, help and unit of metrics."),
  send_interval: s
    .duration()
    .min(1000)
    .default("1m")
    .doc("Time between two sendings; in version 2 it goes with each sample."),
  max_samples_per_send: s.int(1).default(2000).doc("Metrics in one request of metadata, in version 1."),
});

const endpointSchema = httpClientRules(
  s.object({
    name: s
      .string()
      .default("")
      .doc(
        "Name in metrics and of the queue's folder; when empty, a hash of the URL, and of user and headers if others have the same URL.",
      ),
    url: s.string().doc("Where samples are sent."),
    remote_timeout: s.duration().default("30s").doc("Longest time that one request may take."),
    headers: s.map(s.string()).optional().doc("Further headers for each request."),
    send_exemplars: s.bool().default(true).doc("Send exemplars."),
    send_native_histograms: s.bool().default(false).doc("Send native histograms."),
    protobuf_message: s
      .oneOf(["prometheus.WriteRequest", "io.prometheus.write.v2.Request"])
      .default("prometheus.WriteRequest")
      .doc(
        "Version of the protocol: 1.0, or 2.0, which sends metadata with each series and histograms with custom buckets; for a backend that does not take 2.0, 1.0 is sent.",
      ),
    ...httpClientFields,
    enable_http2: s.bool().default(false).doc("Use HTTP/2 where the server offers it."),
    round_robin_dns: s
      .bool()
      .default(false)
      .doc("Open each connection to another address of the host, chosen at random."),
    queue_config: s.block(queueSchema).doc("How samples are queued and sent."),
    metadata_config: s.block(metadataSchema).doc("How metadata is sent."),
    write_relabel_config: s.blocks(relabelRuleSchema).doc("Rules for what is sent, applied in order."),
    sigv4: s.block(sigv4Schema).doc("Sign requests for AWS, with Signature Version 4."),
    azuread: s.block(azureadSchema).doc("Authenticate with Microsoft Entra ID."),
    google_iam: s.block(googleIamSchema).doc("Authenticate as a Google service account."),
  }),
)
  .rule(
    "url",
    (a) => httpUrlProblem(a.url) === undefined,
    (a) => httpUrlProblem(a.url)!,
  )
  .rule("headers", (a) => reservedHeader(a.headers) === undefined, "has a header that the protocol sets itself")
  .rule(
    "sigv4",
    (a) => cloudBlocks(a) + authentications(a) <= 1,
    "is one authentication of several: at most one of sigv4, azuread, google_iam, basic_auth, authorization, oauth2, bearer_token & bearer_token_file must be configured",
  );

export const remoteWriteArguments = s
  .object({
    external_labels: s.map(s.string()).optional().doc("Labels for all samples that do not have them."),
    endpoint: s.blocks(endpointSchema).doc("Where to send samples."),
    wal: s
      .block(
        s
          .object({
            truncate_frequency: s
              .duration()
              .default("2h")
              .doc("How often delivered data is deleted.")
              .withoutEffect("delivered data is deleted at once"),
            min_keepalive_time: s
              .duration()
              .default("5m")
              .doc("How long data is kept at least.")
              .withoutEffect("data is kept until it is delivered"),
            max_keepalive_time: s
              .duration()
              .default("8h")
              .doc("Data that could not be delivered for so long is dropped."),
          })
          .rule("truncate_frequency", (a) => a.truncate_frequency > 0, "must not be 0")
          .rule(
            "max_keepalive_time",
            (a) => a.max_keepalive_time > a.min_keepalive_time,
            "must be greater than `min_keepalive_time`",
          ),
      )
      .presentByDefault()
      .doc("The queue on disk."),
  })
  .suspect((a) =>
    a.endpoint.flatMap(({ write_relabel_config: rules }, i) =>
      misplacedLabels(rules, "samples", `endpoint[${i}].write_relabel_config`),
    ),
  )
  .refuse((a) =>
    repeated(endpointNames(a.endpoint), (i) => ({
      field: `endpoint[${i}]`,
      message:
        "is there twice with the same `name`, or with the same `url`, user and headers and no name: give each a name of its own",
    })),
  );

export type RemoteWriteArguments = Infer<typeof remoteWriteArguments>;
export type EndpointArguments = RemoteWriteArguments["endpoint"][number];
export type QueueArguments = Infer<typeof queueSchema>;
export type MetadataArguments = Infer<typeof metadataSchema>;

/**
 * What each endpoint is known by across reloads and restarts: its name or URL. Of endpoints with the same URL also who
 * they send as and what, so that none ever takes over what waits in the queue of another.
 */
export function endpointNames(endpoints: readonly EndpointArguments[]): readonly string[] {
  const urls = new Map<string, number>();
  for (const { name, url } of endpoints) if (name === "") urls.set(url, (urls.get(url) ?? 0) + 1);
  return endpoints.map((endpoint) => {
    const { name, url, write_relabel_config: rules } = endpoint;
    if (name !== "" || urls.get(url) === 1) return name || url;
    const sent = rules.map((rule) => ({ ...rule, regex: rule.regex.source }));
    return `${url}\n${senderIdentity(endpoint)}\n${JSON.stringify(sent)}`;
  });
}

/** How an endpoint's samples are queued, by default if it does not say. */
export function queueArguments(endpoint: EndpointArguments): QueueArguments {
  return endpoint.queue_config ?? defaultsOf(queueSchema);
}

/** How an endpoint's metadata is sent, by default if it does not say. */
export function metadataArguments(endpoint: EndpointArguments): MetadataArguments {
  return endpoint.metadata_config ?? defaultsOf(metadataSchema);
}
