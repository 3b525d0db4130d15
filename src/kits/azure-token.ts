import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { errorText } from "#base/log";
import type { Secret } from "#lang/value";
import { KeptToken, type Token } from "./kept-token.ts";

/** Tokens of Microsoft Entra ID, as azidentity gets them. */

const ANSWER_MS = 5_000;
const CLI_MS = 10_000;
/** A token is used until so long before its end. */
const SPARE_MS = 5 * 60_000;
const AUTHORITY = "https://login.microsoftonline.com";
/** Where virtual machines find their identity. */
const IMDS = "http://169.254.169.254/metadata/identity/oauth2/token";

/** What a token is asked for with. */
export type AzureCredential =
  /** What the agent's environment says, tried in the order of azidentity's DefaultAzureCredential on a server. */
  | { readonly kind: "environment"; readonly tenant: string }
  | { readonly kind: "client_secret"; readonly tenant: string; readonly client: string; readonly secret: Secret }
  | { readonly kind: "workload_identity"; readonly tenant: string; readonly client: string; readonly tokenFile: string }
  | { readonly kind: "managed_identity"; readonly client: string };

export interface AzureTokenOptions {
  readonly scopes: readonly string[];
  /** Where to log in, if it is not the public cloud. */
  readonly authority?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
}

export class AzureTokens {
  readonly #credential: AzureCredential;
  readonly #scopes: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #authority: string;
  readonly #token = new KeptToken(SPARE_MS, () => this.#ask());

  constructor(credential: AzureCredential, { scopes, authority, environment = process.env }: AzureTokenOptions) {
    this.#credential = credential;
    this.#scopes = scopes;
    this.#environment = environment;
    this.#authority = (environment.AZURE_AUTHORITY_HOST ?? authority ?? AUTHORITY).replace(/\/$/, "");
  }

  /** A token that is still good for a while. Rejects with an Error that says what was tried, and what to do. */
  token(): Promise<string> {
    return this.#token.text();
  }

  async #ask(): Promise<Token> {
    const credential = this.#credential;
    if (credential.kind === "environment") return this.#tryAll(credential.tenant);
    try {
      switch (credential.kind) {
        case "client_secret":
          return await this.#withSecret(credential.tenant, credential.client, credential.secret.reveal());
        case "workload_identity":
          return await this.#withFile(credential.tenant, credential.client, credential.tokenFile);
        case "managed_identity":
          return await this.#managed(credential.client);
      }
    } catch (error) {
      const name = credential.kind.replace("_", " ");
      throw new Error(`Azure gives no token (${name}: ${errorText(error)}): check the ids, and what they allow`);
    }
  }

  async #tryAll(wantedTenant: string): Promise<Token> {
    const {
      AZURE_TENANT_ID,
      AZURE_CLIENT_ID: client,
      AZURE_CLIENT_SECRET: secret,
      AZURE_FEDERATED_TOKEN_FILE: file,
    } = this.#environment;
    const tenant = wantedTenant || AZURE_TENANT_ID;
    const attempts: [name: string, ask: () => Promise<Token>][] = [];
    if (tenant && client && secret) attempts.push(["client secret", () => this.#withSecret(tenant, client, secret)]);
    if (tenant && client && file) attempts.push(["workload identity", () => this.#withFile(tenant, client, file)]);
    attempts.push(["managed identity", () => this.#managed(client ?? "")], ["Azure CLI", () => this.#cli()]);
    const problems: string[] = [];
    for (const [name, ask] of attempts) {
      try {
        return await ask();
      } catch (error) {
        problems.push(`${name}: ${errorText(error)}`);
      }
    }
    throw new Error(
      `Azure gives no token (${problems.join("; ")}): set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the agent's environment, or give the machine an identity`,
    );
  }

  #withSecret(tenant: string, client: string, secret: string): Promise<Token> {
    return this.#login(tenant, { client_id: client, client_secret: secret });
  }

  async #withFile(tenant: string, client: string, file: string): Promise<Token> {
    const assertion = (await readFile(file, "utf8")).trim();
    const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    const credentials = { client_id: client, client_assertion_type: type, client_assertion: assertion };
    return this.#login(tenant, credentials);
  }

  #login(tenant: string, credentials: Readonly<Record<string, string>>): Promise<Token> {
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      scope: this.#scopes.join(" "),
      ...credentials,
    });
    const url = `${this.#authority}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`;
    return askForToken(url, { method: "POST", body });
  }

  #managed(client: string): Promise<Token> {
    const { IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_POD_IDENTITY_AUTHORITY_HOST: pod } = this.#environment;
    const isAppService = IDENTITY_ENDPOINT !== undefined && IDENTITY_HEADER !== undefined;
    const query = new URLSearchParams({
      "api-version": isAppService ? "2019-08-01" : "2018-02-01",
      resource: (this.#scopes[0] ?? "").replace(/\/\.default$/, ""),
      ...(client !== "" && { client_id: client }),
    });
    const imds = pod === undefined ? IMDS : `${pod.replace(/\/$/, "")}/metadata/identity/oauth2/token`;
    const headers: Record<string, string> = isAppService
      ? { "X-IDENTITY-HEADER": IDENTITY_HEADER }
      : { Metadata: "true" };
    return askForToken(`${isAppService ? IDENTITY_ENDPOINT : imds}?${query}`, { headers });
  }

  async #cli(): Promise<Token> {
    const resource = (this.#scopes[0] ?? "").replace(/\/\.default$/, "");
    const words = ["account", "get-access-token", "--output", "json", "--resource", resource];
    const { stdout } = await promisify(execFile)("az", words, {
      timeout: CLI_MS,
      env: this.#environment,
    }).catch((error) => {
      throw (error as NodeJS.ErrnoException).code === "ENOENT" ? new Error("the program az is not there") : error;
    });
    const { accessToken, expires_on } = JSON.parse(stdout) as { accessToken?: string; expires_on?: number };
    if (accessToken === undefined) throw new Error("az gave no token");
    return { text: accessToken, expires: (expires_on ?? 0) * 1_000 };
  }
}

async function askForToken(url: string, init: RequestInit): Promise<Token> {
  const { origin } = new URL(url);
  const timeout = AbortSignal.timeout(ANSWER_MS);
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: timeout });
  } catch (error) {
    throw timeout.aborted ? new Error(`${origin} did not answer within ${ANSWER_MS / 1_000} s`) : error;
  }
  const text = await response.text();
  let answer: {
    access_token?: unknown;
    expires_in?: unknown;
    expires_on?: unknown;
    error_description?: unknown;
    error?: unknown;
  } = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // what it is instead is said below
  }
  if (!response.ok || typeof answer.access_token !== "string") {
    const why = String(answer.error_description ?? answer.error ?? "no token in the answer").split("\n", 1)[0];
    throw new Error(`${origin} answered ${response.status}: ${why}`);
  }
  const expires =
    answer.expires_on === undefined
      ? Date.now() + Number(answer.expires_in ?? 0) * 1_000
      : Number(answer.expires_on) * 1_000;
  return { text: answer.access_token, expires };
}
