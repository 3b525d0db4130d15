import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, data: string) => createHmac("sha256", key).update(data).digest();

/** Whose signature a request bears, and for what. */
export interface VerifiedSignature {
  readonly accessKey: string;
  readonly region: string;
  readonly service: string;
}

/**
 * Checks a request's Signature Version 4 as AWS does: works it out anew from what came, by AWS's documentation. Throws if
 * it differs from the one in the header. `encodesPath` is false for S3.
 */
export function verifySignature(
  request: Pick<IncomingMessage, "method" | "url" | "headers">,
  body: Buffer,
  secretKey: string,
  encodesPath = true,
): VerifiedSignature {
  const header = String(request.headers.authorization);
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/.exec(
      header,
    );
  if (match === null) throw new Error(`no signature: ${header}`);
  const [, accessKey, day, region, service, names, signature] = match as unknown as string[];
  const date = String(request.headers["x-amz-date"]);
  if (
    Math.abs(Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z")) - Date.now()) > 60_000
  ) {
    throw new Error(`signed at another time: ${date}`);
  }
  const url = new URL(request.url!, "http://local");
  // Redundant slashes do not count, nor does the amount of white space in a header.
  const path = encodesPath
    ? url.pathname.replace(/\/+/g, "/").split("/").map(encodeURIComponent).join("/")
    : url.pathname;
  const query = [...url.searchParams]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join("&");
  const headers = names!
    .split(";")
    .map((name) => `${name}:${String(request.headers[name]).trim().replace(/\s+/g, " ")}\n`);
  const canonical = [request.method, path, query, headers.join(""), names, sha256(body)].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const key = hmac(hmac(hmac(hmac(`AWS4${secretKey}`, day!), region!), service!), "aws4_request");
  const expected = createHmac("sha256", key).update(text).digest("hex");
  if (expected !== signature) throw new Error(`the signature is wrong for\n${canonical}`);
  return { accessKey: accessKey!, region: region!, service: service! };
}
