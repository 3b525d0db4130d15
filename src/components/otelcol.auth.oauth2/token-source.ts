import { constants, createPrivateKey, randomUUID, type SignKeyObjectInput, sign } from "node:crypto";
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from "undici";
import type { Clock } from "#base/clock";
import { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { shownUrl } from "#kits/http/url";
import { FileValue } from "#kits/otelcol/file-value";
import { loadClientTls, type TlsClientArguments } from "#kits/otelcol/tls";
import { Capsule, Secret, type Value } from "#lang/value";

export const SIGNATURE_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
] as const;

/** golang.org/x/oauth2 does not use a token in its last seconds. */
const MIN_EXPIRY_BUFFER_MS = 10_000;
const JWT_LIFETIME_S = 3_600;
const MAX_ANSWER_BYTES = 1 << 20;

export interface TokenArguments {
  readonly client_id: string;
  readonly client_id_file: string;
  readonly client_secret: Secret;
  readonly client_secret_file: string;
  readonly client_certificate_key_id: string;
  readonly client_certificate_key: Secret;
  readonly client_certificate_key_file: string;
  readonly grant_type: string;
  readonly signature_algorithm: (typeof SIGNATURE_ALGORITHMS)[number];
  readonly iss: string;
  readonly audience: string;
  readonly claims: ReadonlyMap<string, Value>;
  readonly token_url: string;
  readonly endpoint_params: ReadonlyMap<string, readonly string[]>;
  readonly scopes: readonly string[];
  readonly timeout: number;
  readonly expiry_buffer: number;
  readonly tls: TlsClientArguments;
}

/** Fetches a token when there is none or the last one is about to expire; requests that need it meanwhile share one fetch. */
export class TokenSource {
  readonly #args: TokenArguments;
  readonly #clock: Clock;
  readonly #files: Readonly<Record<"id" | "secret" | "key", FileValue | undefined>>;
  #header = "";
  #expiresAt = -Infinity;
  #fetching: Promise<void> | undefined;
  #dispatcher: Dispatcher | undefined;
  #loadedAt = 0;

  constructor(args: TokenArguments, clock: Clock) {
    this.#args = args;
    this.#clock = clock;
    const file = (path: string) => (path === "" ? undefined : new FileValue(path, () => clock.monotonic()));
    this.#files = {
      id: file(args.client_id_file),
      secret: file(args.client_secret_file),
      key: file(args.client_certificate_key_file),
    };
  }

  /** The value of the `authorization` header. Rejects when no token is to be had. */
  async header(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    if (this.#clock.now() >= this.#expiresAt) {
      this.#fetching ??= this.#fetch().finally(() => {
        this.#fetching = undefined;
      });
      await this.#fetching;
    }
    return this.#header;
  }

  async close(): Promise<void> {
    await this.#dispatcher?.destroy();
  }

  async #fetch(): Promise<void> {
    const { token_url: url, timeout, expiry_buffer: buffer } = this.#args;
    try {
      const form = await this.#form();
      const answer = await (await this.#connections()).request({
        origin: new URL(url).origin,
        path: new URL(url).pathname + new URL(url).search,
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
        body: form.toString(),
        headersTimeout: timeout,
        bodyTimeout: timeout,
      });
      const text = (await answer.body.text()).slice(0, MAX_ANSWER_BYTES);
      // What the server says may repeat the secret, so that only its status and error code are shown.
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        throw new Error(`HTTP status ${answer.statusCode}${errorCode(text)}`);
      }
      const token = readToken(text, answer.headers["content-type"]);
      const lifetimeMs = token.expiresInS === undefined ? Infinity : token.expiresInS * 1000;
      this.#header = `${token.type} ${token.value}`;
      this.#expiresAt = this.#clock.now() + lifetimeMs - Math.max(MIN_EXPIRY_BUFFER_MS, buffer);
    } catch (error) {
      throw new Error(`no token from ${shownUrl(url)}: ${errorText(error)}`, { cause: error });
    }
  }

  async #form(): Promise<URLSearchParams> {
    const { grant_type, scopes, endpoint_params } = this.#args;
    const form = new URLSearchParams({ grant_type });
    const id = (await this.#files.id?.get()) ?? this.#args.client_id;
    if (grant_type === "client_credentials") {
      form.set("client_id", id);
      form.set("client_secret", (await this.#files.secret?.get()) ?? this.#args.client_secret.reveal());
    } else {
      form.set("assertion", await this.#assertion(id));
    }
    if (scopes.length > 0) form.set("scope", scopes.join(" "));
    for (const [name, values] of endpoint_params) for (const value of values) form.append(name, value);
    return form;
  }

  /** A signed JWT that says who asks (RFC 7523). */
  async #assertion(id: string): Promise<string> {
    const { signature_algorithm: alg, client_certificate_key_id: kid, iss, audience, token_url, claims } = this.#args;
    const seconds = Math.floor(this.#clock.now() / 1000);
    const header = { alg, typ: "JWT", ...(kid === "" ? {} : { kid }) };
    const payload = {
      ...Object.fromEntries([...claims].map(([name, value]) => [name, plainValue(value)])),
      iss: iss || id,
      sub: id,
      aud: audience || token_url,
      iat: seconds,
      exp: seconds + JWT_LIFETIME_S,
      jti: randomUUID(),
    };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const content = `${encode(header)}.${encode(payload)}`;
    const key = createPrivateKey((await this.#files.key?.get()) ?? this.#args.client_certificate_key.reveal());
    const options: SignKeyObjectInput = { key };
    if (alg.startsWith("PS")) {
      options.padding = constants.RSA_PKCS1_PSS_PADDING;
      options.saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    }
    if (alg.startsWith("ES")) options.dsaEncoding = "ieee-p1363";
    return `${content}.${sign(`sha${alg.slice(2)}`, Buffer.from(content), options).toString("base64url")}`;
  }

  /** With the certificates that are there now, once those in use are older than `reload_interval`. */
  async #connections(): Promise<Dispatcher> {
    const { reload_interval: interval } = this.#args.tls;
    const now = this.#clock.monotonic();
    const before = this.#dispatcher;
    if (before !== undefined && (interval === 0 || now - this.#loadedAt < interval)) return before;
    const connect = (await loadClientTls(this.#args.tls)).options as buildConnector.BuildOptions;
    const proxied = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"].some((name) => process.env[name]);
    this.#dispatcher = proxied ? new EnvHttpProxyAgent({ connect, requestTls: connect }) : new Agent({ connect });
    this.#loadedAt = now;
    await before?.close();
    return this.#dispatcher;
  }
}

function readToken(
  text: string,
  contentType: string | string[] | undefined,
): { value: string; type: string; expiresInS: number | undefined } {
  let fields: ReadonlyMap<string, unknown>;
  if (/x-www-form-urlencoded|text\/plain/.test(String(contentType)) && !text.trimStart().startsWith("{")) {
    fields = new Map(new URLSearchParams(text));
  } else fields = new Map(Object.entries(JSON.parse(text) as object));
  const value = fields.get("access_token");
  if (typeof value !== "string" || value === "") throw new Error("the answer has no access_token");
  const type = String(fields.get("token_type") ?? "Bearer");
  const expires = Number(fields.get("expires_in") ?? 0);
  return { value, type: /^bearer$/i.test(type) ? "Bearer" : type, expiresInS: expires > 0 ? expires : undefined };
}

function errorCode(text: string): string {
  try {
    const error = new Map(Object.entries(JSON.parse(text) as object)).get("error");
    return typeof error === "string" ? `, ${error}` : "";
  } catch {
    return "";
  }
}

/** A configuration value as JSON has it. */
function plainValue(value: Value): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(plainValue);
  if (value instanceof Map || value instanceof Labels) {
    return Object.fromEntries([...value].map(([name, each]) => [name, plainValue(each)]));
  }
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Capsule || typeof value === "object") return value === null ? null : String(value);
  return value;
}
