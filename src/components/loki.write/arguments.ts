import { createHash } from "node:crypto";
import { senderIdentity } from "#kits/http/client-identity";
import { type HttpClientArguments, httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { defaultsOf } from "#lang/decode";
import { repeated } from "#lang/faults";
import { type Infer, type Suspicion, s } from "#lang/schema";

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

const POSITIVE = "must be longer than 0s";

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
  .rule("remote_timeout", (args) => args.remote_timeout > 0, `${POSITIVE}: no request could be answered in time`)
  .rule("min_backoff_period", (args) => args.min_backoff_period > 0, `${POSITIVE}: it is doubled with each attempt`)
  .rule("max_backoff_period", (args) => args.max_backoff_period > 0, `${POSITIVE}: it is the longest pause`)
  .suspect((args) => ignoredHeaders(args))
  .doc("A server to send to.");

const READS = "writes wake the senders at once";

const wal = s
  .object({
    enabled: s.bool().default(false).doc("Whether entries are kept on disk until they are delivered."),
    max_segment_age: s.duration().default("1h").doc("Age at which entries that could not be delivered are dropped."),
    min_read_frequency: s.duration().default("250ms").doc("Least pause between reads.").withoutEffect(READS),
    max_read_frequency: s.duration().default("1s").doc("Longest pause between reads.").withoutEffect(READS),
    drain_timeout: s
      .duration()
      .default("15s")
      .doc("How long to go on sending when the agent stops, in place of that of `queue_config`."),
  })
  .rule(
    "min_read_frequency",
    (args) => args.min_read_frequency < args.max_read_frequency,
    "must be lower than `max_read_frequency`",
  )
  .rule("max_segment_age", (args) => args.max_segment_age > 0, `${POSITIVE}: nothing could be kept`)
  .doc("A queue on disk before the endpoints.");

export const schema = s
  .object({
    external_labels: s.map(s.string()).default({}).doc("Labels for entries that do not have them."),
    max_streams: s.int(0).default(0).doc("Most streams in one request, 0 for no limit; entries of others are dropped."),
    endpoint: s.blocks(endpoint).doc("Servers to send to."),
    wal: s.block(wal).presentByDefault().doc("A queue on disk before the endpoints."),
  })
  .refuse((args) =>
    repeated(endpointNames(args.endpoint), (i) => ({
      field: `endpoint[${i}]`,
      message:
        "is there twice with the same `name`, or with the same `url`, tenant, user and headers and no name: give each a name of its own",
    })),
  )
  .suspect(uselessWithWal);

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

const QUEUE_DEFAULTS = defaultsOf(queueConfig);

/** What a queue on disk makes meaningless. */
function uselessWithWal(args: {
  readonly wal: { readonly enabled: boolean };
  readonly endpoint: readonly { readonly queue_config: Infer<typeof queueConfig> }[];
}): readonly Suspicion[] {
  if (!args.wal.enabled) return [];
  const names = (["capacity", "min_shards", "drain_timeout", "block_on_overflow"] as const).filter((name) =>
    args.endpoint.some(({ queue_config }) => queue_config[name] !== QUEUE_DEFAULTS[name]),
  );
  if (names.length === 0) return [];
  return [
    {
      field: "wal",
      message: `makes ${names.map((name) => `\`${name}\``).join(", ")} of \`queue_config\` meaningless: what waits is on disk, and each endpoint has one request under way`,
      hint: "take them out of the endpoints",
    },
  ];
}

/** Headers that are replaced, as in Alloy (common/loki/client/shards.go) and for credentials. */
function ignoredHeaders(
  args: HttpClientArguments & {
    readonly headers?: ReadonlyMap<string, string> | undefined;
    readonly tenant_id: string;
  },
): readonly Suspicion[] {
  const hasCredentials =
    args.basic_auth !== undefined ||
    args.authorization !== undefined ||
    args.oauth2 !== undefined ||
    args.bearer_token.reveal() !== "" ||
    args.bearer_token_file !== "";
  const replaced = new Map([
    ["content-type", "push requests are protobuf"],
    ["content-encoding", "push requests are compressed with Snappy"],
    ...(args.tenant_id === "" ? [] : [["x-scope-orgid", "`tenant_id` sets it"] as const]),
    ...(hasCredentials ? [["authorization", "the endpoint's credentials set it"] as const] : []),
  ]);
  return [...(args.headers?.keys() ?? [])].flatMap((name) => {
    const why = replaced.get(name.toLowerCase());
    if (why === undefined) return [];
    return [{ field: "headers", message: `has ${name}, which is replaced: ${why}`, hint: "take it out" }];
  });
}
