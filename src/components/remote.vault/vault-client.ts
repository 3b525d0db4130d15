import { systemClock } from "#base/clock";
import { clientDefaults, HttpClient } from "#kits/http/client";
import { shownUrl } from "#kits/http/url";
import type { VaultArguments } from "./arguments.ts";

const MAX_BYTES = 16 * 1024 * 1024;

/** A token or a secret as Vault answers. */
export interface VaultAnswer {
  readonly requestId: string;
  /** Seconds until it ends; 0 for no end. */
  readonly leaseSeconds: number;
  readonly leaseId: string;
  readonly isRenewable: boolean;
  readonly warnings: readonly string[];
  readonly data: ReadonlyMap<string, unknown>;
  readonly auth: { readonly token: string; readonly leaseSeconds: number; readonly isRenewable: boolean } | undefined;
}

/** Vault says no. */
export class VaultError extends Error {
  override readonly name = "VaultError";
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Requests to Vault's HTTP API, repeated as by its Go client when the server fails. TLS is set by the variables that all
 * of Vault's clients read (VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_SKIP_VERIFY, VAULT_TLS_SERVER_NAME).
 */
export class VaultClient {
  readonly #args: VaultArguments;
  readonly #http: HttpClient;
  token = "";

  constructor(args: VaultArguments, userAgent: string) {
    this.#args = args;
    const environment = process.env;
    const defaults = clientDefaults();
    const tls_config = {
      ...defaults.tls_config,
      ca_file: environment.VAULT_CACERT ?? "",
      cert_file: environment.VAULT_CLIENT_CERT ?? "",
      key_file: environment.VAULT_CLIENT_KEY ?? "",
      server_name: environment.VAULT_TLS_SERVER_NAME ?? "",
      insecure_skip_verify: /^(1|t|true)$/i.test(environment.VAULT_SKIP_VERIFY ?? ""),
    };
    this.#http = HttpClient.create({ ...defaults, tls_config, proxy_from_environment: true }, { userAgent });
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  read(path: string, signal: AbortSignal): Promise<VaultAnswer> {
    return this.#ask("GET", path, undefined, {}, signal);
  }

  write(
    path: string,
    body: object,
    signal: AbortSignal,
    options: { readonly namespace?: string; readonly token?: string } = {},
  ): Promise<VaultAnswer> {
    return this.#ask("PUT", path, JSON.stringify(body), options, signal);
  }

  async #ask(
    method: "GET" | "PUT",
    path: string,
    body: string | undefined,
    options: { readonly namespace?: string; readonly token?: string },
    signal: AbortSignal,
  ): Promise<VaultAnswer> {
    const { server, client_options } = this.#args;
    const namespace = options.namespace || this.#args.namespace;
    const token = options.token ?? this.token;
    const headers = {
      "x-vault-request": "true",
      ...(token !== "" && { "x-vault-token": token }),
      ...(namespace !== "" && { "x-vault-namespace": namespace }),
      ...(body !== undefined && { "content-type": "application/json" }),
    };
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    const url = `${server.replace(/\/+$/, "")}/v1/${encoded}`;
    const request = { method, url, headers, timeoutMs: client_options.timeout, maxBytes: MAX_BYTES };
    for (let attempt = 0; ; attempt++) {
      const response = await this.#http.request(body === undefined ? request : { ...request, body }, signal);
      const { status } = response;
      if (status < 300) return readAnswer(response.body, shownUrl(url));
      // 412 is a replica that has not seen a write yet.
      const isTransient = status === 412 || (status >= 500 && status !== 501);
      if (!isTransient || attempt >= client_options.max_retries) throw refusal(status, response.body, path);
      const { min_retry_wait, max_retry_wait } = client_options;
      await systemClock.sleep(Math.min(max_retry_wait, min_retry_wait * 2 ** attempt), signal);
    }
  }
}

function refusal(status: number, body: Buffer, path: string): VaultError {
  let errors = "";
  try {
    const answer = JSON.parse(body.toString()) as { errors?: unknown };
    if (Array.isArray(answer.errors)) errors = answer.errors.map(String).join("; ");
  } catch {
    // a proxy's page: the status says enough
  }
  const words = errors === "" ? `status ${status}` : `${status}: ${errors}`;
  return new VaultError(status, `Vault refuses ${path} (${words})${remedyOf(status)}`);
}

function remedyOf(status: number): string {
  if (status === 400) return ": check the `auth` block";
  if (status === 403) return ": check the credentials, and that their policy allows to read it";
  if (status === 404) return ": there is no such secret; check `path`, `key` and `namespace`";
  if (status === 503) return ": it is sealed or in standby";
  return "";
}

function readAnswer(body: Buffer, shown: string): VaultAnswer {
  let fields: Record<string, unknown>;
  try {
    fields = body.length === 0 ? {} : JSON.parse(body.toString());
  } catch {
    throw new Error(`${shown} does not answer as Vault does: it is no JSON; check \`server\``);
  }
  const auth = fields.auth as
    | { client_token?: unknown; lease_duration?: unknown; renewable?: unknown }
    | null
    | undefined;
  return {
    requestId: String(fields.request_id ?? ""),
    leaseId: String(fields.lease_id ?? ""),
    leaseSeconds: Number(fields.lease_duration ?? 0),
    isRenewable: fields.renewable === true,
    warnings: Array.isArray(fields.warnings) ? fields.warnings.map(String) : [],
    data: new Map(Object.entries((fields.data as object | null | undefined) ?? {})),
    auth:
      auth === null || auth === undefined
        ? undefined
        : {
            token: String(auth.client_token ?? ""),
            leaseSeconds: Number(auth.lease_duration ?? 0),
            isRenewable: auth.renewable === true,
          },
  };
}
