import { gauge } from "#kits/exporter/page";

/** The metrics of blackbox_exporter (prober/*.go): names, help and labels. */

export const probeSuccess = gauge("probe_success", "Displays whether or not the probe was a success");
export const probeDuration = gauge("probe_duration_seconds", "Returns how long the probe took to complete in seconds");

export const address = {
  lookupTime: gauge("probe_dns_lookup_time_seconds", "Returns the time taken for probe dns lookup in seconds"),
  protocol: gauge("probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6"),
  hash: gauge(
    "probe_ip_addr_hash",
    "Specifies the hash of IP address. It's useful to detect if the IP address changes.",
  ),
};

export const failedDueToRegex = gauge("probe_failed_due_to_regex", "Indicates if probe failed due to regex");

export const tlsInfo = {
  earliestExpiry: gauge("probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime"),
  chainExpiry: gauge("probe_ssl_last_chain_expiry_timestamp_seconds", "Returns last SSL chain expiry in timestamp"),
  version: gauge("probe_tls_version_info", "Returns the TLS version used or NaN when unknown", "version"),
  certificate: gauge(
    "probe_ssl_last_chain_info",
    "Contains SSL leaf certificate information",
    ...["fingerprint_sha256", "issuer", "subject", "subjectalternative"],
  ),
};

export const http = {
  duration: gauge(
    "probe_http_duration_seconds",
    "Duration of http request by phase, summed over all redirects",
    "phase",
  ),
  contentLength: gauge("probe_http_content_length", "Length of http content response"),
  bodyLength: gauge("probe_http_uncompressed_body_length", "Length of uncompressed response body"),
  redirects: gauge("probe_http_redirects", "The number of redirects"),
  ssl: gauge("probe_http_ssl", "Indicates if SSL was used for the final redirect"),
  statusCode: gauge("probe_http_status_code", "Response HTTP status code"),
  version: gauge("probe_http_version", "Returns the version of HTTP of the probe response"),
  lastModified: gauge(
    "probe_http_last_modified_timestamp_seconds",
    "Returns the Last-Modified HTTP response header in unixtime",
  ),
};

export const dns = {
  duration: gauge("probe_dns_duration_seconds", "Duration of DNS request by phase", "phase"),
  answers: gauge("probe_dns_answer_rrs", "Returns number of entries in the answer resource record list"),
  authorities: gauge("probe_dns_authority_rrs", "Returns number of entries in the authority resource record list"),
  additionals: gauge("probe_dns_additional_rrs", "Returns number of entries in the additional resource record list"),
  succeeded: gauge("probe_dns_query_succeeded", "Displays whether or not the query was executed successfully"),
  serial: gauge("probe_dns_serial", "Returns the serial number of the zone"),
};

export const icmp = {
  duration: gauge("probe_icmp_duration_seconds", "Duration of icmp request by phase", "phase"),
  hopLimit: gauge("probe_icmp_reply_hop_limit", "Replied packet hop limit (TTL for ipv4)"),
};

export const grpc = {
  duration: gauge("probe_grpc_duration_seconds", "Duration of gRPC request by phase", "phase"),
  ssl: gauge("probe_grpc_ssl", "Indicates if SSL was used for the connection"),
  statusCode: gauge("probe_grpc_status_code", "Response gRPC status code"),
  response: gauge("probe_grpc_healthcheck_response", "Response HealthCheck response", "serving_status"),
};
