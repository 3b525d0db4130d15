import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { ESCAPING_SCHEMES, SCRAPE_PROTOCOLS, type ScrapeProtocol } from "#kits/scrape/protocol";
import { type Infer, s } from "#lang/schema";

const TEXT_PROTOCOLS = SCRAPE_PROTOCOLS.filter((each) => each !== "PrometheusProto");

export const scrapeArguments = httpClientRules(
  s.object({
    targets: s.targets().doc("What to scrape."),
    forward_to: s.list(s.consumer("metrics")).doc("Where samples go."),
    job_name: s.string().default("").doc("Value of the `job` label; the component's id when empty."),
    honor_labels: s.bool().default(false).doc("Labels of the page win over those of the target."),
    honor_timestamps: s.bool().default(true).doc("Keep the timestamps of the page."),
    track_timestamps_staleness: s.bool().default(false).doc("Mark series with timestamps stale when they vanish."),
    params: s.map(s.list(s.string())).optional().doc("Query parameters of the request."),
    scrape_classic_histograms: s
      .bool()
      .default(false)
      .doc("Keep classic histograms that are native as well, or converted."),
    scrape_native_histograms: s.bool().default(false).doc("Read native histograms."),
    scrape_failure_log_file: s
      .string()
      .default("")
      .doc("File to which failed scrapes are logged, one JSON object a line."),
    scrape_interval: s.duration().default("1m").doc("Time between two scrapes of a target."),
    scrape_timeout: s.duration().default("10s").doc("Longest time that one scrape may take."),
    scrape_protocols: s
      .list(s.oneOf(SCRAPE_PROTOCOLS))
      .default(TEXT_PROTOCOLS)
      .doc("Formats to ask for, in order of preference."),
    metrics_path: s.string().default("/metrics").doc("Path on each target."),
    scheme: s.string().default("http").doc("Scheme of the URL of each target."),
    body_size_limit: s.byteSize().default("0B").doc("Unpacked size from which on a page fails; 0 for no limit."),
    sample_limit: s.int(0).default(0).doc("Samples beyond which a page fails; 0 for no limit."),
    target_limit: s.int(0).default(0).doc("Targets beyond which all scrapes fail; 0 for no limit."),
    label_limit: s.int(0).default(0).doc("Labels of a series beyond which its page fails; 0 for no limit."),
    label_name_length_limit: s
      .int(0)
      .default(0)
      .doc("Bytes of a label's name beyond which its page fails; 0 for no limit."),
    label_value_length_limit: s
      .int(0)
      .default(0)
      .doc("Bytes of a label's value beyond which its page fails; 0 for no limit."),
    ...httpClientFields,
    extra_metrics: s.bool().default(false).doc("Report timeout, sample limit and body size of each scrape as well."),
    enable_protobuf_negotiation: s
      .bool()
      .default(false)
      .deprecated("use `scrape_protocols` instead")
      .doc("Ask for protobuf first."),
    metric_name_validation_scheme: s.oneOf(["legacy", "utf8"]).default("legacy").doc("Which names are allowed."),
    metric_name_escaping_scheme: s
      .oneOf(["", ...ESCAPING_SCHEMES])
      .default("")
      .doc(
        "How targets should escape other names; `underscores`, or `allow-utf-8` when the validation scheme is `utf8`.",
      ),
    scrape_fallback_protocol: s
      .oneOf(["", ...SCRAPE_PROTOCOLS])
      .default("PrometheusText0.0.4")
      .doc("Format of pages whose content type does not say it."),
    convert_classic_histograms_to_nhcb: s
      .bool()
      .default(false)
      .doc("Turn classic histograms into native ones with custom buckets."),
    enable_compression: s.bool().default(true).doc("Ask for gzip."),
    native_histogram_bucket_limit: s
      .int(0)
      .default(0)
      .doc(
        "Buckets beyond which those of a native histogram are merged, and its page fails if they cannot be; 0 for no limit.",
      ),
    native_histogram_min_bucket_factor: s
      .float()
      .default(0)
      .doc("Growth from bucket to bucket below which those of a native histogram are merged; 0 for any growth."),
    honor_metadata: s
      .bool()
      .default(false)
      .experimental()
      .doc("Hand on metadata.")
      .withoutEffect("metadata is always handed on"),
    enable_type_and_unit_labels: s
      .bool()
      .default(false)
      .experimental()
      .doc("Add type and unit of a metric as the labels `__type__` and `__unit__`."),
    start_timestamp_zero_ingestion: s
      .bool()
      .default(false)
      .experimental()
      .doc("Add a zero where a counter, histogram or summary says that it began, if that is since the agent's start."),
    clustering: s
      .block(
        s.object({
          enabled: s
            .bool()
            .doc(
              "Share the targets among the nodes of the cluster. Without `--cluster.enabled`, as in Alloy, this agent is the only node and scrapes them all.",
            ),
        }),
      )
      .presentByDefault({ enabled: false })
      .doc("Sharing of targets among agents."),
  }),
)
  .rule("scrape_timeout", (a) => a.scrape_timeout <= a.scrape_interval, "is greater than `scrape_interval`")
  .rule("scrape_interval", (a) => a.scrape_interval > 0, "must be greater than 0")
  .rule("scrape_timeout", (a) => a.scrape_timeout > 0, "must be greater than 0")
  .rule(
    "scrape_protocols",
    (a) => new Set(a.scrape_protocols).size === a.scrape_protocols.length,
    "has a protocol twice: make sure the scrape protocols provided are unique",
  )
  .rule(
    "enable_protobuf_negotiation",
    (a) => !a.enable_protobuf_negotiation || isDefault(a.scrape_protocols),
    "and `scrape_protocols` exclude each other: only one can be set at a time",
  )
  .rule(
    "scrape_native_histograms",
    (a) =>
      !a.scrape_native_histograms || isDefault(a.scrape_protocols) || a.scrape_protocols.includes("PrometheusProto"),
    'needs "PrometheusProto" in `scrape_protocols`',
  )
  .rule(
    "native_histogram_min_bucket_factor",
    (a) => a.native_histogram_min_bucket_factor >= 0,
    "must not be negative: 1.1 lets buckets grow by at least a tenth",
  )
  .rule(
    "metric_name_escaping_scheme",
    (a) => a.metric_name_escaping_scheme !== "allow-utf-8" || a.metric_name_validation_scheme === "utf8",
    'cannot be "allow-utf-8" while `metric_name_validation_scheme` is not "utf8"',
  );

export type ScrapeArguments = Infer<typeof scrapeArguments>;

/** Whether native histograms are read: on demand, or by the old argument that once implied it. */
export function readsNativeHistograms(args: ScrapeArguments): boolean {
  return args.scrape_native_histograms || args.enable_protobuf_negotiation;
}

/** The protocols to ask for: protobuf first where native histograms are wanted and nothing else is said. */
export function offeredProtocols(args: ScrapeArguments): readonly ScrapeProtocol[] {
  return readsNativeHistograms(args) && isDefault(args.scrape_protocols) ? SCRAPE_PROTOCOLS : args.scrape_protocols;
}

function isDefault(protocols: readonly ScrapeProtocol[]): boolean {
  return protocols.join() === TEXT_PROTOCOLS.join();
}
