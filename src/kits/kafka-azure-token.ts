import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { errorText } from "#base/log";
import { KafkaError } from "./kafka-errors.ts";

/**
 * Tokens of Microsoft Entra ID for OAUTHBEARER (Azure Event Hubs): the credentials that azidentity's DefaultAzureCredential
 * looks for on a server, in its order, configured by its environment variables: a client secret, workload identity, managed
 * identity, and the login of the Azure CLI.
 */

const ANSWER_MS = 5_000;
const CLI_MS = 10_000;
/** A token is used until so long before its end. */
const SPARE_MS = 5 * 60_000;
const AUTHORITY = "https://login.microsoftonline.com";
/** Where virtual machines find their identity. */
const IMDS = "http://169.254.169.254/metadata/identity/oauth2/token";

interface Token {
  readonly text: string;
  /** Epoch milliseconds. */
  readonly expires: number;
}

export class AzureTokens {
  readonly #scopes: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  #token: Token | undefined;

  constructor(scopes: readonly string[], environment: NodeJS.ProcessEnv = process.env) {
    this.#scopes = scopes;
    this.#environment = environment;
  }

  /** A token that is still good for a while. Rejects with a KafkaError that says what was tried. */
  async token(signal: AbortSignal): Promise<string> {
    if (this.#token === undefined || this.#token.expires - SPARE_MS < Date.now()) this.#token = await this.#ask(signal);
    return this.#token.text;
  }

  async #ask(signal: AbortSignal): Promise<Token> {
    const {
      AZURE_TENANT_ID: tenant,
      AZURE_CLIENT_ID: client,
      AZURE_CLIENT_SECRET: secret,
      AZURE_FEDERATED_TOKEN_FILE: file,
    } = this.#environment;
    const attempts: [name: string, ask: () => Promise<Token>][] = [];
    if (tenant && client && secret)
      attempts.push(["client secret", () => this.#login(tenant, { client_id: client, client_secret: secret }, signal)]);
    if (tenant && client && file) {
      attempts.push([
        "workload identity",
        async () => {
          const assertion = (await readFile(file, "utf8")).trim();
          const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
          return this.#login(
            tenant,
            { client_id: client, client_assertion_type: type, client_assertion: assertion },
            signal,
          );
        },
      ]);
    }
    attempts.push(["managed identity", () => this.#managed(signal)], ["Azure CLI", () => this.#cli(signal)]);
    const problems: string[] = [];
    for (const [name, ask] of attempts) {
      try {
        return await ask();
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        problems.push(`${name}: ${errorText(error)}`);
      }
    }
    throw new KafkaError(
      "authentication",
      `Azure gives no token (${problems.join("; ")}): set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the agent's environment, or give the machine an identity`,
    );
  }

  #login(tenant: string, credentials: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Token> {
    const authority = (this.#environment.AZURE_AUTHORITY_HOST ?? AUTHORITY).replace(/\/$/, "");
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      scope: this.#scopes.join(" "),
      ...credentials,
    });
    return askForToken(
      `${authority}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`,
      { method: "POST", body },
      signal,
    );
  }

  #managed(signal: AbortSignal): Promise<Token> {
    const {
      IDENTITY_ENDPOINT,
      IDENTITY_HEADER,
      AZURE_CLIENT_ID,
      AZURE_POD_IDENTITY_AUTHORITY_HOST: pod,
    } = this.#environment;
    const isAppService = IDENTITY_ENDPOINT !== undefined && IDENTITY_HEADER !== undefined;
    const query = new URLSearchParams({
      "api-version": isAppService ? "2019-08-01" : "2018-02-01",
      resource: (this.#scopes[0] ?? "").replace(/\/\.default$/, ""),
      ...(AZURE_CLIENT_ID && { client_id: AZURE_CLIENT_ID }),
    });
    const imds = pod === undefined ? IMDS : `${pod.replace(/\/$/, "")}/metadata/identity/oauth2/token`;
    const headers: Record<string, string> = isAppService
      ? { "X-IDENTITY-HEADER": IDENTITY_HEADER }
      : { Metadata: "true" };
    return askForToken(`${isAppService ? IDENTITY_ENDPOINT : imds}?${query}`, { headers }, signal);
  }

  async #cli(signal: AbortSignal): Promise<Token> {
    const resource = (this.#scopes[0] ?? "").replace(/\/\.default$/, "");
    const words = ["account", "get-access-token", "--output", "json", "--resource", resource];
    const { stdout } = await promisify(execFile)("az", words, {
      signal,
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

async function askForToken(url: string, init: RequestInit, signal: AbortSignal): Promise<Token> {
  const { origin } = new URL(url);
  const timeout = AbortSignal.timeout(ANSWER_MS);
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.any([signal, timeout]) });
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
