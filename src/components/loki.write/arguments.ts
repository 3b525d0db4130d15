import { createHash } from "node:crypto";
import { senderIdentity } from "#kits/http-client-identity";
import { httpClientFields, httpClientRules } from "#kits/http-client-schema";
import { type Infer, s } from "#lang/schema";

const queueConfig = s
  .object({
    capacity: s
      .byteSize()
      .default("10MiB")
      .doc("Largest size in memory of each shard's finished, compressed requests."),
    min_shards: s.int(0).default(1).doc("How many requests may be under way at once."),
    drain_timeout: s.duration().default("15s").doc("How long to go on sending when the agent stops."),
    block_on_overflow: s
      .bool()
      .default(true)
      .doc("With a full queue, let sources wait; otherwise drop what comes, counted as `queue_full`."),
  })
  .doc("The queue in memory.");

const endpoint = httpClientRules(
  s.object({
    name: s
      .string()
      .default("")
      .doc("Name in logs and of the place in the `wal`; made of URL, tenant, user and headers when left out."),
    url: s.string().doc("URL of Loki's push API, such as http://loki:3100/loki/api/v1/push."),
    batch_wait: s.duration().default("1s").doc("How long entries may wait for others before they are sent."),
    batch_size: s.byteSize().default("1MiB").doc("Bytes of lines and metadata after which a request is sent."),
    remote_timeout: s.duration().default("10s").doc("Longest time one request may take."),
    headers: s.map(s.string()).optional().doc("Further headers for each request."),
    min_backoff_period: s.duration().default("500ms").doc("First pause before a request is tried again."),
    max_backoff_period: s.duration().default("5m").doc("Longest pause before a request is tried again."),
    max_backoff_retries: s
      .int(0)
      .default(10)
      .doc("How often a request is tried before its entries are dropped; 0 for no limit."),
    tenant_id: s.string().default("").doc("Tenant of entries that name none; no tenant is sent when left out."),
    retry_on_http_429: s.bool().default(true).doc("Try again what was refused with status 429, rather than drop it."),
    ...httpClientFields,
    queue_config: s.block(queueConfig).presentByDefault().experimental().doc("The queue in memory."),
  }),
)
  .rule(
    "url",
    (args) => /^https?:$/.test(URL.parse(args.url)?.protocol ?? ""),
    "is no HTTP URL: write it as http://host:port/loki/api/v1/push",
  )
  .doc("A server to send to.");

const READS = "writes wake the senders at once";

const wal = s
  .object({
    enabled: s.bool().default(false).doc("Whether entries are kept on disk until they are delivered."),
    max_segment_age: s.duration().default("1h").doc("Age at which entries that could not be delivered are dropped."),
    min_read_frequency: s.duration().default("250ms").doc("Least pause between reads.").withoutEffect(READS),
    max_read_frequency: s.duration().default("1s").doc("Longest pause between reads.").withoutEffect(READS),
    drain_timeout: s.duration().default("15s").doc("How long to go on sending when the agent stops."),
  })
  .rule(
    "min_read_frequency",
    (args) => args.min_read_frequency < args.max_read_frequency,
    "must be lower than `max_read_frequency`",
  )
  .doc("A queue on disk before the endpoints.");

export const schema = s
  .object({
    external_labels: s.map(s.string()).default({}).doc("Labels for entries that do not have them."),
    max_streams: s.int(0).default(0).doc("Most streams in one request, 0 for no limit; entries of others are dropped."),
    endpoint: s.blocks(endpoint).doc("Servers to send to."),
    wal: s.block(wal).presentByDefault().doc("A queue on disk before the endpoints."),
  })
  .rule(
    "endpoint",
    (args) => new Set(endpointNames(args.endpoint)).size === args.endpoint.length,
    "is there twice with the same `name`, or with the same `url`, tenant, user and headers and no name: give each a name of its own",
  );

export type EndpointArguments = Infer<typeof endpoint>;
export type WriteArguments = Infer<typeof schema>;

/** What each endpoint is called in logs and in the queue on disk: its name, or a hash of where it sends and as whom. */
export function endpointNames(endpoints: readonly EndpointArguments[]): readonly string[] {
  return endpoints.map((each) => {
    if (each.name !== "") return each.name;
    const identity = `${each.url}\n${each.tenant_id}\n${senderIdentity(each)}`;
    return createHash("sha256").update(identity).digest("hex").slice(0, 6);
  });
}
