import type { Regex } from "#base/regex";
import type { TlsClientConfig } from "#kits/http/client-schema";
import { DNS_CLASSES, DNS_TYPES } from "./dns-names.ts";
import { isEncodingAccepted } from "./http-encoding.ts";
import { type ModuleClient, readClient, readTls } from "./module-client.ts";
import { ModuleFileError, readYamlFields, type YamlFields } from "./yaml-fields.ts";

/**
 * The module file of blackbox_exporter (config/config.go), at the version that Alloy has, and the `unix` prober and the
 * `labels` of later ones.
 */

export type IpProtocol = "ip4" | "ip6";

export interface IpPreference {
  readonly preferred: IpProtocol;
  readonly fallback: boolean;
}
export interface HeaderMatch {
  readonly header: string;
  readonly regex: Regex;
  readonly allowMissing: boolean;
}
export interface HttpProbe extends ModuleClient {
  readonly ip: IpPreference;
  readonly validStatusCodes: readonly number[];
  readonly validHttpVersions: readonly string[];
  readonly skipResolveWithProxy: boolean;
  readonly failIfSsl: boolean;
  readonly failIfNotSsl: boolean;
  readonly method: string;
  /** As written; `Host` among them is the host to ask for. */
  readonly ownHeaders: ReadonlyMap<string, string>;
  readonly failIfBodyMatches: readonly Regex[];
  readonly failIfBodyNotMatches: readonly Regex[];
  readonly failIfHeaderMatches: readonly HeaderMatch[];
  readonly failIfHeaderNotMatches: readonly HeaderMatch[];
  readonly body: string;
  readonly bodyFile: string;
  readonly compression: string;
  /** Bytes; 0 for no limit. */
  readonly bodySizeLimit: number;
}
export interface QueryResponse {
  readonly expect: Regex | undefined;
  readonly send: string;
  readonly startTls: boolean;
  /** Labels of `probe_expect_info`, filled from the match. */
  readonly labels: readonly { readonly name: string; readonly value: string }[];
}
export interface StreamProbe {
  readonly queryResponse: readonly QueryResponse[];
  readonly tls: boolean;
  readonly tlsConfig: TlsClientConfig;
}
export interface TcpProbe extends StreamProbe {
  readonly ip: IpPreference;
  readonly sourceAddress: string;
}
export interface IcmpProbe {
  readonly ip: IpPreference;
  readonly sourceAddress: string;
  readonly payloadSize: number;
  readonly dontFragment: boolean;
  readonly ttl: number;
}
export interface RecordValidator {
  readonly failIfMatches: readonly Regex[];
  readonly failIfAllMatch: readonly Regex[];
  readonly failIfNotMatches: readonly Regex[];
  readonly failIfNoneMatches: readonly Regex[];
}
export interface DnsProbe {
  readonly ip: IpPreference;
  readonly sourceAddress: string;
  readonly overTls: boolean;
  readonly tlsConfig: TlsClientConfig;
  readonly transport: string;
  readonly queryName: string;
  readonly queryClass: string;
  readonly queryType: string;
  readonly recursion: boolean;
  readonly validRcodes: readonly string[];
  readonly answer: RecordValidator;
  readonly authority: RecordValidator;
  readonly additional: RecordValidator;
}
export interface GrpcProbe {
  readonly ip: IpPreference;
  readonly service: string;
  readonly tls: boolean;
  readonly tlsConfig: TlsClientConfig;
}

export interface Module {
  readonly name: string;
  /** Of `PROBERS`, unless the file has something else there: then every probe is refused. */
  readonly prober: string;
  /** Milliseconds; 0 for the scrape's own time. */
  readonly timeoutMs: number;
  readonly http: HttpProbe;
  readonly tcp: TcpProbe;
  readonly icmp: IcmpProbe;
  readonly dns: DnsProbe;
  readonly grpc: GrpcProbe;
  readonly unix: StreamProbe;
}

export const PROBERS = ["http", "tcp", "dns", "icmp", "grpc", "unix"] as const;

/** What newer versions of blackbox_exporter than Alloy's have. */
const NEWER = "is of a newer blackbox_exporter than the one in Alloy, and is not supported";
const MOST_MODULES = 10_000;
/** What fits into an IPv4 packet. */
const LARGEST_PAYLOAD = 65_507;

/** Reads a module file. Throws a ModuleFileError that names the line and the setting. */
export function parseModules(text: string): ReadonlyMap<string, Module> {
  if (text.trim() === "") throw new ModuleFileError("there is nothing in it: it needs `modules`");
  const file = readYamlFields(text);
  const entries = file.entries("modules");
  file.finish();
  if (entries.length > MOST_MODULES) throw new ModuleFileError(`there are more than ${MOST_MODULES} modules`);
  return new Map(entries.map(([name, fields]) => [name, readModule(name, fields)]));
}

const NO_FIELDS = readYamlFields("");

function readModule(name: string, fields: YamlFields): Module {
  fields.refuse(["websocket"], NEWER);
  const part = <T>(of: string, read: (section: YamlFields) => T): T => {
    const section = fields.section(of);
    if (section === undefined) return read(NO_FIELDS);
    const value = read(section);
    section.finish();
    return value;
  };
  const dns = fields.section("dns");
  if (dns !== undefined && dns.text("query_name") === "") {
    throw dns.error("query_name", "is missing: query name must be set for DNS module");
  }
  const module: Module = {
    name,
    prober: fields.text("prober"),
    timeoutMs: fields.duration("timeout"),
    http: part("http", readHttp),
    tcp: part("tcp", (section) => ({ ...readStream(section), ip: readIp(section), ...readSource(section) })),
    icmp: part("icmp", readIcmp),
    dns: part("dns", readDns),
    grpc: part("grpc", readGrpc),
    unix: part("unix", readStream),
  };
  fields.finish();
  return module;
}

function readIp(fields: YamlFields): IpPreference {
  const text = fields.text("preferred_ip_protocol");
  // As upstream: whatever is not ip6 is ip4.
  const preferred = text === "" || text === "ip6" ? "ip6" : "ip4";
  return { preferred, fallback: fields.flag("ip_protocol_fallback", true) };
}

function readSource(fields: YamlFields) {
  return { sourceAddress: fields.text("source_ip_address") };
}

function readHttp(fields: YamlFields): HttpProbe {
  fields.refuse(
    ["fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel", "enable_http3"],
    `${NEWER}; for the body there are \`fail_if_body_matches_regexp\` and \`fail_if_body_not_matches_regexp\``,
  );
  const client = readClient(fields);
  const noFollow = fields.isGiven("no_follow_redirects") ? fields.flag("no_follow_redirects", false) : undefined;
  const follow = noFollow === undefined ? client.client.follow_redirects : !noFollow;
  const ownHeaders = fields.textMap("headers");
  const compression = fields.text("compression");
  for (const [name, value] of ownHeaders) {
    if (name.toLowerCase() === "accept-encoding" && !isEncodingAccepted(compression, value)) {
      throw fields.error("headers", `has ${name}: ${value}, which does not accept \`compression: ${compression}\``);
    }
  }
  const probe: HttpProbe = {
    ...client,
    client: { ...client.client, follow_redirects: follow },
    ip: readIp(fields),
    validStatusCodes: fields.ints("valid_status_codes"),
    validHttpVersions: fields.texts("valid_http_versions"),
    skipResolveWithProxy: fields.flag("skip_resolve_phase_with_proxy", false),
    failIfSsl: fields.flag("fail_if_ssl", false),
    failIfNotSsl: fields.flag("fail_if_not_ssl", false),
    method: fields.text("method") || "GET",
    ownHeaders,
    failIfBodyMatches: fields.regexes("fail_if_body_matches_regexp"),
    failIfBodyNotMatches: fields.regexes("fail_if_body_not_matches_regexp"),
    failIfHeaderMatches: readHeaderMatches(fields, "fail_if_header_matches"),
    failIfHeaderNotMatches: readHeaderMatches(fields, "fail_if_header_not_matches"),
    body: fields.text("body"),
    bodyFile: fields.text("body_file"),
    compression,
    bodySizeLimit: Math.max(0, fields.byteSize("body_size_limit")),
  };
  if (probe.body !== "" && probe.bodyFile !== "") throw fields.error("body_file", "and `body` exclude each other");
  return probe;
}

function readHeaderMatches(fields: YamlFields, name: string): readonly HeaderMatch[] {
  return fields.sections(name).map((each) => {
    const header = each.text("header");
    const regex = each.regex("regexp");
    if (header === "") throw each.error("header", "is missing: name the header to match");
    if (regex === undefined || regex.source === "") throw each.error("regexp", "is missing: give what to match");
    const match = { header, regex, allowMissing: each.flag("allow_missing", false) };
    each.finish();
    return match;
  });
}

function readStream(fields: YamlFields): StreamProbe {
  const queryResponse = fields.sections("query_response").map((each): QueryResponse => {
    each.refuse(["expect_bytes"], NEWER);
    const step = {
      expect: each.regex("expect"),
      send: each.text("send"),
      startTls: each.flag("starttls", false),
      labels: each.sections("labels").map((label) => {
        const read = { name: label.text("name"), value: label.text("value") };
        if (!/^[a-zA-Z_]\w*$/.test(read.name)) throw label.error("name", "is no name of a label");
        label.finish();
        return read;
      }),
    };
    each.finish();
    return step;
  });
  return { queryResponse, tls: fields.flag("tls", false), tlsConfig: readTls(fields.section("tls_config")) };
}

function readIcmp(fields: YamlFields): IcmpProbe {
  const ttl = fields.int("ttl", 64);
  const payloadSize = fields.int("payload_size", 0);
  if (ttl < 0 || ttl > 255) throw fields.error("ttl", "must be between 0 and 255");
  if (payloadSize < 0 || payloadSize > LARGEST_PAYLOAD) {
    throw fields.error("payload_size", `must be between 0 and ${LARGEST_PAYLOAD}`);
  }
  return {
    ip: readIp(fields),
    ...readSource(fields),
    payloadSize,
    dontFragment: fields.flag("dont_fragment", false),
    ttl,
  };
}

function readDns(fields: YamlFields): DnsProbe {
  const probe = {
    ip: readIp(fields),
    ...readSource(fields),
    overTls: fields.flag("dns_over_tls", false),
    tlsConfig: readTls(fields.section("tls_config")),
    transport: fields.text("transport_protocol") || "udp",
    queryName: fields.text("query_name"),
    queryClass: fields.text("query_class") || "IN",
    queryType: fields.text("query_type") || "ANY",
    recursion: fields.flag("recursion_desired", true),
    validRcodes: fields.isGiven("valid_rcodes") ? fields.texts("valid_rcodes") : ["NOERROR"],
    answer: readValidator(fields.section("validate_answer_rrs")),
    authority: readValidator(fields.section("validate_authority_rrs")),
    additional: readValidator(fields.section("validate_additional_rrs")),
  };
  if (!DNS_CLASSES.has(probe.queryClass)) throw fields.error("query_class", `'${probe.queryClass}' is not valid`);
  if (!DNS_TYPES.has(probe.queryType)) throw fields.error("query_type", `'${probe.queryType}' is not valid`);
  return probe;
}

function readValidator(fields: YamlFields | undefined): RecordValidator {
  const given = fields ?? NO_FIELDS;
  const validator = {
    failIfMatches: given.regexes("fail_if_matches_regexp"),
    failIfAllMatch: given.regexes("fail_if_all_match_regexp"),
    failIfNotMatches: given.regexes("fail_if_not_matches_regexp"),
    failIfNoneMatches: given.regexes("fail_if_none_matches_regexp"),
  };
  fields?.finish();
  return validator;
}

function readGrpc(fields: YamlFields): GrpcProbe {
  fields.refuse(["metadata"], NEWER);
  return {
    ip: readIp(fields),
    service: fields.text("service"),
    tls: fields.flag("tls", false),
    tlsConfig: readTls(fields.section("tls_config")),
  };
}
