import { type TlsClientConfig, tlsClientConfigSchema } from "#kits/http/client-schema";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { type Infer, s } from "#lang/schema";

const ciscoSchema = s
  .object({
    enable_all: s.bool().default(false).doc("All of the following."),
    message_counter: s.bool().default(false).doc("Messages begin with a counter."),
    sequence_number: s.bool().default(false).doc("Messages have a service sequence number."),
    hostname: s.bool().default(false).doc("Messages have the name of their origin before the time."),
    second_fractions: s.bool().default(false).doc("Times have fractions of a second."),
  })
  .rule(
    "enable_all",
    (a) => a.enable_all || a.message_counter || a.sequence_number || a.hostname || a.second_fractions,
    "or another of the options must be set: at least one option in rfc3164_cisco_components has to be enabled",
  );

const listenerSchema = s
  .object({
    address: s.string().doc("`host:port` to listen on."),
    protocol: s.oneOf(["tcp", "udp"]).default("tcp").doc("`tcp` or `udp`."),
    idle_timeout: s.duration().default("2m").doc("How long a TCP connection may be silent before it is closed."),
    label_structured_data: s
      .bool()
      .default(false)
      .doc("Make labels of structured data: `__syslog_message_sd_ID_NAME`, for `relabel_rules`."),
    labels: s.map(s.string()).default({}).doc("Labels for all entries of the listener."),
    use_incoming_timestamp: s
      .bool()
      .default(false)
      .doc("Keep the time in the message, rather than that of its arrival."),
    use_rfc5424_message: s
      .bool()
      .default(false)
      .doc("Forward the whole message of RFC 5424 as the line, not just its text."),
    rfc3164_default_to_current_year: s
      .bool()
      .default(false)
      .doc("Give times of RFC 3164, which have no year, the current one."),
    rfc5424_allow_empty_msg: s.bool().default(false).doc("Forward messages of RFC 5424 without a text, too."),
    max_message_length: s
      .int()
      .default(8192)
      .doc("Longest message in bytes with octet counting, and longest datagram. Lines may have 1 MiB."),
    tls_config: s
      .block(tlsClientConfigSchema)
      .presentByDefault()
      .doc("TLS for TCP: the listener's certificate and key; with a CA, clients need certificates of it."),
    syslog_format: s.oneOf(["rfc5424", "rfc3164", "raw"]).default("rfc5424").doc("What the messages look like."),
    raw_format_options: s
      .block(
        s.object({
          use_null_terminator_delimiter: s.bool().default(false).doc("Lines end with a NUL rather than a newline."),
        }),
      )
      .doc("Options of the format `raw`."),
    rfc3164_cisco_components: s.block(ciscoSchema).doc("What Cisco IOS adds to messages of RFC 3164."),
    udp_queue_size: s
      .int()
      .default(10)
      .doc(
        "Datagrams that may wait to be processed; 1 MiB of them may do so in any case, beyond that they are dropped.",
      ),
    udp_host_cache_size: s.int().default(128).doc("How many names of senders of datagrams are remembered."),
  })
  .rule(
    "tls_config",
    ({ tls_config: tls }) => !wantsTls(tls) || (hasCertificate(tls) && hasKey(tls)),
    "is not complete: certificate and key must be configured",
  )
  .rule(
    "rfc3164_cisco_components",
    (a) => a.rfc3164_cisco_components === undefined || a.syslog_format === "rfc3164",
    'has no effect when syslog format is not "rfc3164"',
  )
  .rule("rfc5424_allow_empty_msg", (a) => !a.rfc5424_allow_empty_msg || a.syslog_format === "rfc5424", noEffect)
  .rule("use_rfc5424_message", (a) => !a.use_rfc5424_message || a.syslog_format !== "raw", noEffect)
  .rule(
    "rfc3164_default_to_current_year",
    (a) => !a.rfc3164_default_to_current_year || a.syslog_format !== "raw",
    noEffect,
  )
  .rule("use_incoming_timestamp", (a) => !a.use_incoming_timestamp || a.syslog_format !== "raw", noEffect)
  .rule(
    "raw_format_options",
    (a) => a.raw_format_options === undefined || a.syslog_format === "raw",
    'has no effect when syslog format is not "raw"',
  )
  .suspect((a) => {
    if (a.syslog_format !== "rfc3164" || !a.use_incoming_timestamp || a.rfc3164_default_to_current_year) return [];
    const message = "gives entries the year 0, since times of RFC 3164 have none: Loki refuses such entries";
    return [{ field: "use_incoming_timestamp", message, hint: "set `rfc3164_default_to_current_year = true`" }];
  })
  .suspect((a) => {
    if (a.protocol !== "udp" || !wantsTls(a.tls_config)) return [];
    const message = 'has no effect with `protocol = "udp"`: what comes is not encrypted';
    return [{ field: "tls_config", message, hint: 'use `protocol = "tcp"`' }];
  })
  .suspect(({ tls_config: tls }) => {
    if (tls.server_name === "" && !tls.insecure_skip_verify) return [];
    const message =
      "has `server_name` or `insecure_skip_verify`, which have no effect: clients are not asked for names";
    return [
      { field: "tls_config", message, hint: "leave them out; `ca_file` says whose certificates clients must have" },
    ];
  });

export const argumentsSchema = s.object({
  forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  relabel_rules: s
    .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
    .optional()
    .doc(
      "Rules of a `loki.relabel`: they make labels of those that begin with `__syslog_` and are removed afterwards.",
    ),
  listener: s.blocks(listenerSchema).required().doc("A port to listen on."),
});

export type ListenerArguments = Infer<typeof listenerSchema>;

export function wantsTls(tls: TlsClientConfig): boolean {
  return hasCertificate(tls) || hasKey(tls) || tls.ca_file !== "" || tls.ca_pem !== "";
}
function hasCertificate(tls: TlsClientConfig): boolean {
  return tls.cert_file !== "" || tls.cert_pem !== "";
}
function hasKey(tls: TlsClientConfig): boolean {
  return tls.key_file !== "" || tls.key_pem.reveal() !== "";
}

function noEffect({ syslog_format }: { readonly syslog_format: string }): string {
  return `has no effect when syslog format is set to "${syslog_format}"`;
}
