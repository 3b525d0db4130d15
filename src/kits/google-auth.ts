import { createSign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { errorText } from "#base/log";
import type { RequestSigner } from "./http-client.ts";

/**
 * Tokens of Google Cloud, as golang.org/x/oauth2/google gets them: with the key of a service account, with what
 * `gcloud auth application-default login` left, or from the metadata of the machine. Not Google's own library: that asks
 * one fixed address whatever `token_uri` the key names, and brings 23 packages.
 */

const TOKEN_URL = "https://oauth2.googleapis.com/token";
const METADATA_HOST = "metadata.google.internal";
const ANSWER_MS = 10_000;
/** A token is used until so long before its end. */
const SPARE_MS = 3 * 60_000;
const JWT_SECONDS = 3_600;
const JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";

interface Token {
  readonly text: string;
  /** Epoch milliseconds. */
  readonly expires: number;
}

/**
 * Authenticates requests with the credentials in `credentialsFile`, or, if it is empty, with those that Google's own
 * programs would use here: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata of the machine.
 */
export function googleSigner(
  scope: string,
  credentialsFile: string,
  environment: NodeJS.ProcessEnv = process.env,
): RequestSigner {
  let token: Token | undefined;
  let asking: Promise<Token> | undefined;
  return async () => {
    if (token === undefined || token.expires - SPARE_MS < Date.now()) {
      asking ??= ask(scope, credentialsFile, environment).finally(() => {
        asking = undefined;
      });
      token = await asking;
    }
    return { authorization: `Bearer ${token.text}` };
  };
}

async function ask(scope: string, credentialsFile: string, environment: NodeJS.ProcessEnv): Promise<Token> {
  try {
    const file = credentialsFile || environment.GOOGLE_APPLICATION_CREDENTIALS || "";
    if (file !== "") return await fromFile(file, await readFile(file, "utf8"), scope);
    const wellKnown = join(
      environment.CLOUDSDK_CONFIG || join(environment.HOME || homedir(), ".config", "gcloud"),
      "application_default_credentials.json",
    );
    const text = await readFile(wellKnown, "utf8").catch(() => undefined);
    return text === undefined ? await fromMetadata(scope, environment) : await fromFile(wellKnown, text, scope);
  } catch (error) {
    throw new Error(
      `Google gives no token: ${errorText(error)}. Set \`credentials_file\` to the key of a service account, or give the machine one`,
      { cause: error },
    );
  }
}

function fromFile(path: string, text: string, scope: string): Promise<Token> {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text);
  } catch {
    throw new Error(`${path} is no JSON`);
  }
  const field = (name: string): string => {
    const value = fields[name];
    if (typeof value !== "string" || value === "") throw new Error(`${path} has no \`${name}\``);
    return value;
  };
  const type = field("type");
  const url = typeof fields.token_uri === "string" ? fields.token_uri : TOKEN_URL;
  if (type === "service_account") {
    const now = Math.floor(Date.now() / 1_000);
    const header = { alg: "RS256", typ: "JWT", kid: fields.private_key_id };
    const claims = { iss: field("client_email"), scope, aud: url, iat: now, exp: now + JWT_SECONDS };
    const unsigned = `${base64url(header)}.${base64url(claims)}`;
    const signature = createSign("RSA-SHA256").update(unsigned).sign(field("private_key"), "base64url");
    return exchange(url, { grant_type: JWT_GRANT, assertion: `${unsigned}.${signature}` });
  }
  if (type === "authorized_user") {
    return exchange(url, {
      grant_type: "refresh_token",
      client_id: field("client_id"),
      client_secret: field("client_secret"),
      refresh_token: field("refresh_token"),
    });
  }
  throw new Error(
    `${path} is of the type ${JSON.stringify(type)}; it has to be "service_account" or "authorized_user"`,
  );
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function exchange(url: string, form: Readonly<Record<string, string>>): Promise<Token> {
  return request(url, { method: "POST", body: new URLSearchParams(form) });
}

function fromMetadata(scope: string, environment: NodeJS.ProcessEnv): Promise<Token> {
  const host = environment.GCE_METADATA_HOST || METADATA_HOST;
  const query = new URLSearchParams({ scopes: scope });
  const url = `http://${host}/computeMetadata/v1/instance/service-accounts/default/token?${query}`;
  return request(url, { headers: { "Metadata-Flavor": "Google" } });
}

async function request(url: string, init: RequestInit): Promise<Token> {
  const { origin } = new URL(url);
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
  const answer = await response.json().catch(() => ({}));
  const { access_token, expires_in, error, error_description } = answer as Record<string, unknown>;
  if (!response.ok || typeof access_token !== "string") {
    throw new Error(`${origin} answered ${response.status}: ${error_description ?? error ?? "no token in the answer"}`);
  }
  return { text: access_token, expires: Date.now() + Number(expires_in ?? 0) * 1_000 };
}
