import type { PeerCertificate } from "node:tls";
import { errorText } from "#base/log";
import { NO_TLS_FACTS, ownCertificateProblem, type TlsFacts } from "../tls-facts.ts";

/** What kind of failure it was; no response came (or not a whole one), so that every kind but `configuration` may pass later. */
export type HttpFailure =
  | "dns"
  | "refused"
  | "timeout"
  | "tls"
  | "proxy"
  | "connection"
  | "too_large"
  | "encoding"
  | "redirect"
  | "authentication"
  | "configuration";

/** A request without a usable response. The message says what failed, why, and what to do where that is known. */
export class HttpClientError extends Error {
  override readonly name = "HttpClientError";
  readonly kind: HttpFailure;
  constructor(kind: HttpFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** The parts of a server's certificate that explain why it was refused. */
export interface CertificateFacts {
  readonly subject: PeerCertificate["subject"];
  readonly issuer: PeerCertificate["issuer"];
  readonly subjectaltname: string | undefined;
  readonly valid_from: string;
  readonly valid_to: string;
}

/** What is known about a connection beside the error that it failed with. */
export interface ConnectionFacts {
  /** What the server showed, if it came to that. */
  readonly certificate?: CertificateFacts | undefined;
  readonly tls?: TlsFacts;
  /** What to configure for a server without TLS, and for one with it, where that is not the URL's scheme. */
  readonly usePlain?: string;
  readonly useTls?: string;
  /** The server has answered before, so that the scheme must be right. */
  readonly hasAnswered?: boolean;
  /** The arguments that name files with certificates, where those are not `ca_file` and `cert_file`. */
  readonly fileArguments?: { readonly ca: string; readonly cert: string };
}

const FILE_ARGUMENTS = { ca: "ca_file", cert: "cert_file" };

const HTTP2_HINT = "it speaks HTTP/2 on this port, as gRPC does (for OTLP, 4317 is gRPC and 4318 HTTP)";

/** An error of the network stack in words. */
export function explainFailure(error: unknown, url: URL, facts: ConnectionFacts = {}): HttpClientError {
  if (error instanceof HttpClientError) return error;
  const cause = rootOf(error);
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const { certificate, tls = NO_TLS_FACTS, usePlain = "use http://", useTls = "use https://", hasAnswered } = facts;
  const { fileArguments = FILE_ARGUMENTS } = facts;
  const isSecure = url.protocol === "https:";
  const fail = (kind: HttpFailure, text: string) => new HttpClientError(kind, text, { cause: error });
  switch (code) {
    case "ENOTFOUND":
      return fail("dns", `the host ${url.hostname} is unknown (DNS has no address for it): check the spelling`);
    case "EAI_AGAIN":
      return fail("dns", `looking up ${url.hostname} failed: the DNS server does not answer`);
    case "ECONNREFUSED":
      return fail("refused", `${url.host} refuses connections: nothing listens there`);
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return fail("connection", `there is no network route to ${url.host} (${code})`);
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
      return fail("timeout", `connecting to ${url.host} timed out`);
    case "UND_ERR_HEADERS_TIMEOUT":
    case "UND_ERR_BODY_TIMEOUT":
      return fail("timeout", `${url.host} did not answer in time`);
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_SOCKET": {
      const mayBeOurs = certificate !== undefined || tls.own !== undefined;
      const maybe = isSecure
        ? mayBeOurs
          ? ownCertificateHint(tls, fileArguments.cert)
          : ""
        : `; if it wants TLS, ${useTls}`;
      const hint = hasAnswered ? "" : maybe;
      return fail("connection", `${url.host} closed the connection before it answered (${message})${hint}`);
    }
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
    case "ERR_SSL_HTTP_REQUEST":
      return fail("tls", `${url.host} does not speak TLS on this port: ${usePlain} or another port`);
    case "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION":
      return fail("tls", `${url.host} offers no TLS version that min_version allows`);
    case "ERR_HTTP2_ERROR":
      return fail("connection", notHttp2(url.host));
    case "ERR_TLS_CERT_ALTNAME_INVALID": {
      const name = /Host: ([^ ]+)\. is not|IP: ([^ ]+) is not/.exec(message);
      const wanted = name === null ? url.hostname : (name[1] ?? name[2]);
      const names = certificate?.subjectaltname?.replace(/\b(DNS|IP Address):/g, "") ?? certificate?.subject.CN ?? "";
      return fail(
        "tls",
        `the certificate of ${url.host} is for other names: ${wanted} is not among [${names}]; ask for one of these or set server_name to it`,
      );
    }
    case "CERT_HAS_EXPIRED": {
      const ownsDate = certificate !== undefined && Date.parse(certificate.valid_to) > Date.now();
      if (ownsDate) return fail("tls", `an authority that ${url.host} has its certificate from has itself expired`);
      return fail("tls", `the certificate of ${url.host} has expired${dated(" on ", certificate?.valid_to)}: renew it`);
    }
    case "CERT_NOT_YET_VALID":
      return fail(
        "tls",
        `the certificate of ${url.host} is not valid before ${certificate?.valid_from ?? "a later time"}: check the clock`,
      );
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return fail("tls", untrusted(url, certificate, tls, fileArguments.ca));
    default: {
      const alert = /_ALERT_([A-Z_]+)$/.exec(code)?.[1];
      if (alert === "NO_APPLICATION_PROTOCOL") return fail("tls", notHttp2(url.host));
      if (alert !== undefined)
        return fail(
          "tls",
          `${url.host} broke TLS off: ${alertText(alert)}${ownCertificateHint(tls, fileArguments.cert)}`,
        );
      if (/^(ERR_SSL|ERR_TLS|CERT_|EPROTO)/.test(code)) return fail("tls", `TLS with ${url.host} failed: ${message}`);
      if (code.startsWith("HPE_") || (cause as Error).name === "HTTPParserError") {
        const data = (cause as { data?: unknown }).data;
        const found = protocolOf(data);
        const hint =
          found === "tls" ? `it speaks TLS on this port, ${useTls}` : found === "http2" ? HTTP2_HINT : message;
        return fail("connection", `${url.host} sent no valid HTTP: ${hint}`);
      }
      return fail("connection", `the request to ${url.host} failed: ${errorText(error)}`);
    }
  }
}

function untrusted(
  url: URL,
  certificate: CertificateFacts | undefined,
  { authorities }: TlsFacts,
  caArgument: string,
): string {
  const isSelfSigned = certificate !== undefined && nameOf(certificate.issuer) === nameOf(certificate.subject);
  const by = isSelfSigned ? "it is self-signed" : certificate && `issued by ${nameOf(certificate.issuer)}`;
  const issuer = by === undefined ? "" : ` (${by})`;
  const what = `the certificate of ${url.host} is not signed by a trusted authority${issuer}`;
  if (authorities === undefined) return `${what}: set ${caArgument}`;
  const held = authorities.subjects.slice(0, 3).join(", ") + (authorities.subjects.length > 3 ? ", …" : "");
  if (authorities.areLeaves) {
    return `${what}: ${authorities.name} holds a server's certificate (${held}), not that of the authority that signed it`;
  }
  return `${what}: ${authorities.name} holds ${held}`;
}

/** What a server may have against this side's certificate. */
function ownCertificateHint(tls: TlsFacts, certArgument: string): string {
  const problem = ownCertificateProblem(tls, Date.now());
  if (problem !== undefined) return `; ${problem}`;
  if (tls.own === undefined) return `; if it asks for a client certificate, set ${certArgument}`;
  return `; it may not trust the certificate in ${tls.own.name} (${tls.own.subject})`;
}

function notHttp2(host: string): string {
  return `${host} does not speak HTTP/2, as gRPC does, on this port (for OTLP, 4317 is gRPC and 4318 HTTP)`;
}

function alertText(alert: string): string {
  return alert.toLowerCase().replaceAll("_", " ");
}

/** What a server speaks whose first bytes these are: an alert or a handshake of TLS, or settings of HTTP/2. */
function protocolOf(data: unknown): "tls" | "http2" | undefined {
  const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data instanceof Uint8Array ? data : undefined;
  if (bytes === undefined) return undefined;
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 0x03) return "tls";
  return bytes[0] === 0 && bytes[3] === 4 ? "http2" : undefined;
}

/** The error beneath wrappers: of several failed addresses, the last. */
function rootOf(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 5; depth++) {
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors.at(-1);
    else if (current instanceof Error && (current as NodeJS.ErrnoException).code === undefined && current.cause) {
      current = current.cause;
    } else break;
  }
  return current;
}

function dated(prefix: string, date: string | undefined): string {
  return date === undefined ? "" : prefix + date;
}

function nameOf(subject: PeerCertificate["subject"] | undefined): string {
  return String(subject?.CN ?? subject?.O ?? "an unnamed authority");
}
