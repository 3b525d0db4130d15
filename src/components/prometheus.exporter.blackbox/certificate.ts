import { createHash } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { type DerElement, readDer, readDerText, readObjectId, writeDer } from "./der.ts";
import { tlsInfo } from "./metrics.ts";
import type { ProbeMetrics } from "./probe.ts";

/** What probes tell of the certificates that a server shows: prober/tls.go. */

/** Go's `time.Time{}.Unix()`: what upstream shows for a chain that was not verified. */
const NO_TIME = -62_135_596_800;
/** Chains are followed no further. */
const LONGEST_CHAIN = 20;

/** What the other side of a secure connection showed. */
export interface Peer {
  /** From the server's own certificate to the last issuer that is known. */
  readonly chain: readonly DetailedPeerCertificate[];
  readonly isVerified: boolean;
  readonly protocol: string | null;
}

/** Looks at a connection while it is open; later it has forgotten. */
export function peerOf(socket: TLSSocket): Peer {
  return { chain: chainOf(socket), isVerified: socket.authorized, protocol: socket.getProtocol() };
}

/** Sets the metrics of a secure connection. `withChain` is for probes that tell of the verified chain too. */
export function setTlsMetrics(metrics: ProbeMetrics, { chain, isVerified, protocol }: Peer, withChain: boolean): void {
  const [own] = chain;
  if (own === undefined) return; // no TLS that probes speak is without a certificate
  const ends = chain.map((each) => Math.floor(Date.parse(each.valid_to) / 1000));
  // A root at the end comes from this side; servers hardly ever send theirs.
  const sent = chain.length > 1 && isOwnIssuer(chain.at(-1)!) ? ends.slice(0, -1) : ends;
  metrics.set(tlsInfo.earliestExpiry, Math.min(...sent));
  if (withChain) metrics.set(tlsInfo.chainExpiry, isVerified ? Math.min(...ends) : NO_TIME);
  metrics.set(tlsInfo.version, 1, VERSIONS.get(protocol ?? "") ?? "unknown");
  const { issuer, subject, dnsNames } = describeCertificate(own.raw);
  const fingerprint = createHash("sha256").update(own.raw).digest("hex");
  metrics.set(tlsInfo.certificate, 1, fingerprint, issuer, subject, dnsNames.join(","));
}

const VERSIONS: ReadonlyMap<string, string> = new Map([
  ["TLSv1", "TLS 1.0"],
  ["TLSv1.1", "TLS 1.1"],
  ["TLSv1.2", "TLS 1.2"],
  ["TLSv1.3", "TLS 1.3"],
]);

function chainOf(socket: TLSSocket): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  let current: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true) ?? undefined;
  while (current?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(current);
    if (current.issuerCertificate === current) break;
    current = current.issuerCertificate;
  }
  return chain;
}

function isOwnIssuer(certificate: DetailedPeerCertificate): boolean {
  return certificate.issuerCertificate === certificate;
}

export interface CertificateText {
  readonly issuer: string;
  readonly subject: string;
  readonly dnsNames: readonly string[];
}

const ALTERNATIVE_NAMES = "2.5.29.17";

/** Names in a certificate as Go writes them (crypto/x509/pkix). Throws a RangeError for what is no certificate. */
export function describeCertificate(der: Uint8Array): CertificateText {
  const [certificate] = readDer(der);
  const [body] = readDer(certificate?.body ?? der);
  const fields = readDer(body?.body ?? der).filter(({ tag }) => tag !== 0xa0); // the version may be left out
  const [, , issuer, , subject] = fields;
  if (issuer === undefined || subject === undefined) throw new RangeError("this is no certificate");
  return {
    issuer: distinguishedName(issuer),
    subject: distinguishedName(subject),
    dnsNames: alternativeNames(fields.find(({ tag }) => tag === 0xa3)),
  };
}

function alternativeNames(extensions: DerElement | undefined): string[] {
  if (extensions === undefined) return [];
  for (const { body } of readDer(readDer(extensions.body)[0]?.body ?? new Uint8Array())) {
    const parts = readDer(body);
    if (readObjectId(parts[0]!.body) !== ALTERNATIVE_NAMES) continue;
    const [names] = readDer(parts.at(-1)!.body);
    return readDer(names!.body)
      .filter(({ tag }) => tag === 0x82)
      .map(({ body: name }) => Buffer.from(name).toString("latin1"));
  }
  return [];
}

/** Attributes that Go's `pkix.Name` has fields for, in the order in which its `String` writes them. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ["2.5.4.5", "SERIALNUMBER"],
  ["2.5.4.3", "CN"],
  ["2.5.4.17", "POSTALCODE"],
  ["2.5.4.9", "STREET"],
  ["2.5.4.8", "ST"],
  ["2.5.4.7", "L"],
  ["2.5.4.11", "OU"],
  ["2.5.4.10", "O"],
  ["2.5.4.6", "C"],
]);
/** Of these the last one counts. */
const SINGLE = new Set(["2.5.4.5", "2.5.4.3"]);

function distinguishedName(name: DerElement): string {
  const named = new Map<string, string[]>();
  const others: string[] = [];
  for (const set of readDer(name.body)) {
    for (const attribute of readDer(set.body)) {
      const [type, value] = readDer(attribute.body);
      const id = readObjectId(type!.body);
      const text = readDerText(value!);
      if (text === undefined) continue;
      if (!NAMED.has(id)) others.push(`${id}=#${Buffer.from(encodeText(text)).toString("hex")}`);
      else if (SINGLE.has(id)) named.set(id, [text]);
      else named.set(id, [...(named.get(id) ?? []), text]);
    }
  }
  const parts: string[] = [];
  for (const [id, short] of NAMED) {
    const values = named.get(id)?.filter((text) => text !== "" || !SINGLE.has(id)) ?? [];
    if (values.length > 0) parts.push(values.map((text) => `${short}=${escapeName(text)}`).join("+"));
  }
  return [...parts, ...others.reverse()].join(",");
}

/** Go writes what it has no name for as it would encode it. */
function encodeText(text: string): Uint8Array {
  const isPrintable = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text);
  return writeDer(isPrintable ? 0x13 : 0x0c, Buffer.from(text));
}

function escapeName(text: string): string {
  return text.replace(/[,+"\\<>;]|^[ #]| $/g, "\\$&");
}
