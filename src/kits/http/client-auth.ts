import { shownAnswer } from "../otelcol/shown-answer.ts";
import { HttpClientError } from "./client-errors.ts";
import type { WatchedFiles } from "./client-files.ts";
import type { HttpClientArguments, Oauth2Arguments } from "./client-schema.ts";
import { shownUrl } from "./url.ts";

/** Asks the token URL; the caller owns connections and time limits. */
export type TokenRequest = (
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly body: Buffer }>;

/** Gives the `Authorization` header of each request. */
export class Authentication {
  readonly #config: HttpClientArguments;
  readonly #files: WatchedFiles;
  readonly #tokens: TokenSource | undefined;

  constructor(
    config: HttpClientArguments,
    files: WatchedFiles,
    tokenRequest: TokenRequest | undefined,
    now: () => number,
  ) {
    this.#config = config;
    this.#files = files;
    this.#tokens = config.oauth2 && new TokenSource(config.oauth2, files, tokenRequest!, now);
  }

  /** The header's value, or undefined for none. Rejects with an HttpClientError when credentials cannot be had. */
  async header(signal: AbortSignal): Promise<string | undefined> {
    const { basic_auth, authorization, bearer_token, bearer_token_file } = this.#config;
    if (this.#tokens !== undefined) return this.#tokens.header(signal);
    try {
      if (basic_auth !== undefined) {
        const { username, password, password_file } = basic_auth;
        const secret =
          password_file === "" ? password.reveal() : await this.#files.readSecret(password_file, "password_file");
        return basic(username, secret);
      }
      if (authorization !== undefined) {
        const { type, credentials, credentials_file } = authorization;
        const secret =
          credentials_file === ""
            ? credentials.reveal()
            : await this.#files.readSecret(credentials_file, "credentials_file");
        return `${type.trim() || "Bearer"} ${secret}`;
      }
      if (bearer_token_file !== "") {
        return `Bearer ${await this.#files.readSecret(bearer_token_file, "bearer_token_file")}`;
      }
    } catch (error) {
      throw new HttpClientError("authentication", (error as Error).message, { cause: error });
    }
    return bearer_token.reveal() === "" ? undefined : `Bearer ${bearer_token.reveal()}`;
  }

  /** The server refused the last header: what was cached is fetched again. */
  refused(): void {
    this.#tokens?.forget();
  }
}

/** The header's value for a user and a password. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** A token is renewed this long before it ends, as in golang.org/x/oauth2. */
const EXPIRY_MARGIN_MS = 10_000;

/** OAuth 2.0 client credentials (RFC 6749, section 4.4), with the token kept until shortly before it ends. */
class TokenSource {
  readonly #config: Oauth2Arguments;
  readonly #files: WatchedFiles;
  readonly #request: TokenRequest;
  readonly #now: () => number;
  #token: { readonly header: string; readonly until: number; readonly secret: string } | undefined;
  #fetching: Promise<string> | undefined;
  /** Whether the server takes id and secret in the body; it is tried when the header is refused. */
  #inBody = false;

  constructor(config: Oauth2Arguments, files: WatchedFiles, request: TokenRequest, now: () => number) {
    this.#config = config;
    this.#files = files;
    this.#request = request;
    this.#now = now;
  }

  forget(): void {
    this.#token = undefined;
  }

  async header(signal: AbortSignal): Promise<string> {
    const secret = await this.#secret();
    if (this.#token !== undefined && this.#token.secret === secret && this.#now() < this.#token.until) {
      return this.#token.header;
    }
    this.#fetching ??= this.#fetch(secret, signal).finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #secret(): Promise<string> {
    const { client_secret, client_secret_file } = this.#config;
    if (client_secret_file === "") return client_secret.reveal();
    try {
      return await this.#files.readSecret(client_secret_file, "client_secret_file");
    } catch (error) {
      throw new HttpClientError("authentication", (error as Error).message, { cause: error });
    }
  }

  async #fetch(secret: string, signal: AbortSignal): Promise<string> {
    let answer = await this.#ask(secret, signal);
    if (answer.status >= 400 && answer.status < 500) {
      this.#inBody = !this.#inBody;
      answer = await this.#ask(secret, signal);
    }
    const text = answer.body.toString("utf8");
    const { token_url } = this.#config;
    if (answer.status < 200 || answer.status >= 300) {
      const detail = shownAnswer(text, new Map([["secret", secret]]))
        .replace(/\s+/g, " ")
        .slice(0, 200);
      throw new HttpClientError(
        "authentication",
        `${shownUrl(token_url)} gave no token: status ${answer.status}: ${detail}`,
      );
    }
    const { type, token, expiresInMs } = readToken(text, token_url);
    const header = `${type} ${token}`;
    this.#token = { header, secret, until: this.#now() + expiresInMs - EXPIRY_MARGIN_MS };
    return header;
  }

  #ask(secret: string, signal: AbortSignal) {
    const { client_id, scopes, endpoint_params } = this.#config;
    const form = new URLSearchParams({ grant_type: "client_credentials" });
    if (scopes !== undefined && scopes.length > 0) form.set("scope", scopes.join(" "));
    for (const [name, value] of endpoint_params ?? []) form.set(name, value);
    const headers: Record<string, string> = { "content-type": "application/x-www-form-urlencoded" };
    if (this.#inBody) {
      form.set("client_id", client_id);
      form.set("client_secret", secret);
    } else {
      headers.authorization = basic(formEncode(client_id), formEncode(secret));
    }
    return this.#request(headers, form.toString(), signal);
  }
}

function formEncode(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}

function readToken(text: string, url: string): { type: string; token: string; expiresInMs: number } {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    fields = Object.fromEntries(new URLSearchParams(text));
  }
  const { access_token, token_type, expires_in } = (fields ?? {}) as Record<string, unknown>;
  if (typeof access_token !== "string" || access_token === "") {
    throw new HttpClientError("authentication", `the answer of ${shownUrl(url)} has no access_token`);
  }
  const seconds = Number(expires_in);
  const type = typeof token_type === "string" && token_type.toLowerCase() !== "bearer" ? token_type : "Bearer";
  return { type: type || "Bearer", token: access_token, expiresInMs: seconds > 0 ? seconds * 1000 : Infinity };
}
