import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, checkServerIdentity, rootCertificates, type SecureVersion } from "node:tls";
import { inspectTls, NO_TLS_FACTS, type TlsFacts } from "../tls-facts.ts";
import type { PostgresDataSource, SslMode } from "./data-source.ts";

/** How to secure one connection. */
export interface PostgresTls {
  readonly options: ConnectionOptions;
  /** What the certificates say, for messages. */
  readonly facts: TlsFacts;
}

/**
 * TLS for a connection to `host` by `mode`, which may be one that `prefer` or `allow` stand for; files are read anew each
 * time. `require` checks the authority where a root certificate is given or lies at `~/.postgresql/root.crt`, as in
 * libpq. Rejects for files that cannot be used. Matches `ssl.go` of Go's `lib/pq`.
 */
export async function postgresTls(source: PostgresDataSource, host: string, mode: SslMode): Promise<PostgresTls> {
  const home = join(homedir(), ".postgresql");
  const { sslInline } = source;
  const isVerified = mode === "verify-ca" || mode === "verify-full";
  let ca = "";
  let caName = "sslrootcert";
  if (sslInline) ca = source.sslRootCert;
  else if (source.sslRootCert === "system") ca = rootCertificates.join("\n");
  else {
    const path = source.sslRootCert || join(home, "root.crt");
    caName = source.sslRootCert === "" ? path : `sslrootcert ${path}`;
    // Only a file that somebody named and that is to be checked against must be there.
    ca = await read(path, caName, source.sslRootCert !== "" && isVerified);
  }
  const certName = sslInline ? "sslcert" : `sslcert ${source.sslCert || join(home, "postgresql.crt")}`;
  const keyName = sslInline ? "sslkey" : `sslkey ${source.sslKey || join(home, "postgresql.key")}`;
  const cert = sslInline
    ? source.sslCert
    : await read(source.sslCert || join(home, "postgresql.crt"), certName, source.sslCert !== "");
  const key =
    sslInline || cert === ""
      ? source.sslKey
      : await read(source.sslKey || join(home, "postgresql.key"), keyName, source.sslKey !== "");
  const facts =
    source.sslRootCert === "system"
      ? NO_TLS_FACTS
      : inspectTls({ ca, cert, key, names: { ca: caName, cert: certName, key: keyName } });

  const checks = isVerified || ca !== "";
  return {
    facts,
    options: {
      rejectUnauthorized: checks,
      ...(ca === "" ? {} : { ca }),
      ...(cert === "" ? {} : { cert, key }),
      ...(source.sslMinVersion === "" ? {} : { minVersion: source.sslMinVersion as SecureVersion }),
      ...(source.sslMaxVersion === "" ? {} : { maxVersion: source.sslMaxVersion as SecureVersion }),
      // The name is that of the data source, also when the connection goes to its hostaddr.
      checkServerIdentity: (_, certificate) =>
        mode === "verify-full" ? checkServerIdentity(host, certificate) : undefined,
    },
  };
}

async function read(path: string, name: string, isNeeded: boolean): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !isNeeded) return "";
    throw new Error(`${name} cannot be read: ${code === "ENOENT" ? "there is no such file" : code}`, { cause: error });
  }
}
