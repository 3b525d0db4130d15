import { createPrivateKey, X509Certificate } from "node:crypto";

/** Certificates and key of a client or server as they were read; empty for those that are not given. */
export interface TlsMaterial {
  readonly ca: string | Uint8Array;
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
  /** What messages call them: `ca_file /etc/ca.pem`. */
  readonly names: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** What the certificates of one side say, to explain why a connection fails. */
export interface TlsFacts {
  readonly authorities:
    | {
        readonly name: string;
        readonly subjects: readonly string[];
        /** None of them may sign other certificates: a server's certificate was given in place of an authority's. */
        readonly areLeaves: boolean;
      }
    | undefined;
  readonly own: { readonly name: string; readonly subject: string; readonly validTo: Date } | undefined;
}

export const NO_TLS_FACTS: TlsFacts = { authorities: undefined, own: undefined };

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/**
 * Reads what the certificates say. Throws an error that names the argument for what no connection could ever be made
 * with: a file of another kind, a key that is not the certificate's.
 */
export function inspectTls({ ca, cert, key, names }: TlsMaterial): TlsFacts {
  const authorities = ca.length === 0 ? [] : certificates(ca, names.ca);
  const [own] = cert.length === 0 ? [] : certificates(cert, names.cert);
  if (own !== undefined) checkKey(own, key, names);
  return {
    authorities:
      authorities.length === 0
        ? undefined
        : {
            name: names.ca,
            subjects: authorities.map(nameOf),
            areLeaves: authorities.every((each) => !each.ca && !each.checkIssued(each)),
          },
    own: own && { name: names.cert, subject: nameOf(own), validTo: new Date(own.validTo) },
  };
}

/** What is wrong with the own certificate; undefined if nothing is. */
export function ownCertificateProblem({ own }: TlsFacts, now: number): string | undefined {
  if (own === undefined || own.validTo.getTime() > now) return undefined;
  return `the certificate in ${own.name} (${own.subject}) expired on ${day(own.validTo)}: renew it`;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function certificates(pem: string | Uint8Array, name: string): X509Certificate[] {
  const text = typeof pem === "string" ? pem : Buffer.from(pem).toString("latin1");
  const blocks = text.match(CERTIFICATE);
  if (blocks === null) {
    const kind = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1];
    const found = kind === undefined ? "it is no PEM file" : `what it holds is a ${kind}`;
    throw new Error(`${name} holds no PEM block of the type CERTIFICATE: ${found}`);
  }
  const read: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      read.push(new X509Certificate(block));
    } catch (error) {
      // A bundle may have odd ones in it, which no connection needs.
      if (blocks.length > 1 && index > 0) continue;
      throw new Error(`${name}: its certificate cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }
  return read;
}

function checkKey(certificate: X509Certificate, pem: string | Uint8Array, names: TlsMaterial["names"]): void {
  const text = typeof pem === "string" ? pem : Buffer.from(pem).toString("latin1");
  if (text === "") throw new Error(`${names.cert} has no key: set \`key_file\``);
  if (/-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED/.test(text)) {
    throw new Error(`${names.key} is protected by a passphrase, which cannot be given here: store the key without one`);
  }
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(text);
  } catch (error) {
    throw new Error(`${names.key} holds no private key in PEM`, { cause: error });
  }
  if (!certificate.checkPrivateKey(key)) {
    throw new Error(`${names.key} is not the key of the certificate in ${names.cert} (${nameOf(certificate)})`);
  }
}

/** `CN=…`, or the whole subject on one line where there is none. */
function nameOf({ subject }: X509Certificate): string {
  const lines = (subject ?? "").split("\n");
  return lines.find((each) => each.startsWith("CN=")) ?? (lines.join(", ") || "without a subject");
}
