import type { PeerCertificate } from "node:tls";
import { errorText } from "#base/log";

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

/** An error of the network stack in words. `certificate` is what the server showed, if it came to that. */
export function explainFailure(error: unknown, url: URL, certificate: CertificateFacts | undefined): HttpClientError {
  if (error instanceof HttpClientError) return error;
  const cause = rootOf(error);
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const fail = (kind: HttpFailure, text: string) => new HttpClientError(kind, text, { cause: error });
  switch (code) {
    case "ENOTFOUND":
      return fail("dns", `the host ${url.hostname} is unknown (DNS has no address for it)`);
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
    case "UND_ERR_SOCKET":
      return fail(
        "connection",
        `${url.host} closed the connection before it answered (${message})${
          url.protocol === "https:" && certificate !== undefined
            ? "; if it asks for a client certificate, set cert_file"
            : ""
        }`,
      );
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return fail("tls", `${url.host} does not speak TLS on this port: use http:// or another port`);
    case "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION":
      return fail("tls", `${url.host} offers no TLS version that min_version allows`);
    case "ERR_TLS_CERT_ALTNAME_INVALID": {
      const names = certificate?.subjectaltname ?? certificate?.subject.CN ?? "no name";
      return fail(
        "tls",
        `the certificate of ${url.host} is for other names (${names}): use one of them or set server_name`,
      );
    }
    case "CERT_HAS_EXPIRED":
      return fail("tls", `the certificate of ${url.host} has expired${dated(" on ", certificate?.valid_to)}: renew it`);
    case "CERT_NOT_YET_VALID":
      return fail(
        "tls",
        `the certificate of ${url.host} is not valid before ${certificate?.valid_from ?? "a later time"}: check the clock`,
      );
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY": {
      const issuer = certificate === undefined ? "" : ` (issued by ${nameOf(certificate.issuer)})`;
      return fail("tls", `the certificate of ${url.host} is not signed by a trusted authority${issuer}: set ca_file`);
    }
    default:
      if (/^(ERR_SSL|ERR_TLS|CERT_|EPROTO)/.test(code)) return fail("tls", `TLS with ${url.host} failed: ${message}`);
      if (code.startsWith("HPE_") || (cause as Error).name === "HTTPParserError")
        return fail("connection", `${url.host} sent no valid HTTP: ${message}`);
      return fail("connection", `the request to ${url.host} failed: ${errorText(error)}`);
  }
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
