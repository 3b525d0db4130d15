import { createSign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { errorText } from "#base/log";
import type { RequestSigner } from "./http/client.ts";
import { KeptToken, type Token } from "./kept-token.ts";

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

/** What tokens are asked for: to use APIs with these scopes, or to say to this audience who one is. */
export type GoogleTokenKind = { readonly scopes: readonly string[] } | { readonly audience: string };

/** Whom requests are for and who pays for them; empty where the credentials do not tell. */
export interface GoogleProjects {
  readonly project: string;
  readonly quotaProject: string;
}

/** Credentials as they lie in a file, or undefined for those of the machine. */
interface Found {
  readonly path: string;
  readonly fields: ReadonlyMap<string, unknown>;
}

/**
 * An identity at Google Cloud: the credentials in `credentialsFile`, or, if it is empty, those that Google's own programs
 * would use here: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata of the machine.
 */
export class GoogleIdentity {
  readonly #kind: GoogleTokenKind;
  readonly #credentialsFile: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #token = new KeptToken(SPARE_MS, () => this.#ask());

  constructor(kind: GoogleTokenKind, credentialsFile: string, environment: NodeJS.ProcessEnv = process.env) {
    this.#kind = kind;
    this.#credentialsFile = credentialsFile;
    this.#environment = environment;
  }

  /** A token that is valid for a while. Rejects with an Error that says what to do. */
  token(): Promise<string> {
    return this.#token.text();
  }

  /**
   * The projects to name in requests: those that are `given`, and for those that are empty what the environment and the
   * credentials tell. Asks the machine's metadata only for a project that nobody names. Rejects if what it needs cannot
   * be read.
   */
  async projects(given: GoogleProjects): Promise<GoogleProjects> {
    if (given.project !== "" && given.quotaProject !== "") return given;
    return this.#explained(async () => {
      const found = await this.#find();
      const text = (name: string) => {
        const value = found?.fields.get(name);
        return typeof value === "string" ? value : "";
      };
      const named = given.project || this.#environment.GOOGLE_CLOUD_PROJECT || text("project_id");
      const project = named === "" && found === undefined ? await this.#metadata("project/project-id") : named;
      return { project, quotaProject: given.quotaProject || text("quota_project_id") };
    });
  }

  #ask(): Promise<Token> {
    return this.#explained(async () => {
      const found = await this.#find();
      return found === undefined ? this.#fromMetadata() : fromCredentials(found, this.#kind);
    });
  }

  async #explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const file = this.#credentialsFile === "" ? "GOOGLE_APPLICATION_CREDENTIALS" : "`credentials_file`";
      throw new Error(
        `Google gives no token: ${errorText(error)}. Set ${file} to the key of a service account, or give the machine one`,
        { cause: error },
      );
    }
  }

  async #find(): Promise<Found | undefined> {
    const environment = this.#environment;
    const file = this.#credentialsFile || environment.GOOGLE_APPLICATION_CREDENTIALS || "";
    if (file !== "") return parseCredentials(file, await readFile(file, "utf8"));
    const wellKnown = join(
      environment.CLOUDSDK_CONFIG || join(environment.HOME || homedir(), ".config", "gcloud"),
      "application_default_credentials.json",
    );
    const text = await readFile(wellKnown, "utf8").catch(() => undefined);
    return text === undefined ? undefined : parseCredentials(wellKnown, text);
  }

  async #fromMetadata(): Promise<Token> {
    const account = "instance/service-accounts/default";
    if ("audience" in this.#kind) {
      const query = new URLSearchParams({ audience: this.#kind.audience, format: "full" });
      return identityToken(await this.#metadata(`${account}/identity?${query}`));
    }
    const query = new URLSearchParams({ scopes: this.#kind.scopes.join(",") });
    return accessToken(JSON.parse(await this.#metadata(`${account}/token?${query}`)));
  }

  #metadata(path: string): Promise<string> {
    const host = this.#environment.GCE_METADATA_HOST || METADATA_HOST;
    return request(`http://${host}/computeMetadata/v1/${path}`, { headers: { "Metadata-Flavor": "Google" } });
  }
}

/** Authenticates requests to an API with this scope; `credentialsFile` as `GoogleIdentity` has it. */
export function googleSigner(scope: string, credentialsFile: string, environment?: NodeJS.ProcessEnv): RequestSigner {
  const identity = new GoogleIdentity({ scopes: [scope] }, credentialsFile, environment);
  return async () => ({ authorization: `Bearer ${await identity.token()}` });
}

function parseCredentials(path: string, text: string): Found {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw new Error(`${path} is no JSON`);
  }
  return { path, fields: new Map(Object.entries(fields ?? {})) };
}

async function fromCredentials({ path, fields }: Found, kind: GoogleTokenKind): Promise<Token> {
  const field = (name: string): string => {
    const value = fields.get(name);
    if (typeof value !== "string" || value === "") throw new Error(`${path} has no \`${name}\``);
    return value;
  };
  const type = field("type");
  const url = fields.has("token_uri") ? field("token_uri") : TOKEN_URL;
  const isIdentity = "audience" in kind;
  if (type === "service_account") {
    const now = Math.floor(Date.now() / 1_000);
    const header = { alg: "RS256", typ: "JWT", kid: fields.get("private_key_id") };
    const wanted = isIdentity ? { target_audience: kind.audience } : { scope: kind.scopes.join(" ") };
    const claims = { iss: field("client_email"), ...wanted, aud: url, iat: now, exp: now + JWT_SECONDS };
    const unsigned = `${base64url(header)}.${base64url(claims)}`;
    const signature = createSign("RSA-SHA256").update(unsigned).sign(field("private_key"), "base64url");
    const answer = await exchange(url, { grant_type: JWT_GRANT, assertion: `${unsigned}.${signature}` });
    return isIdentity ? identityToken(answer.get("id_token")) : accessToken(Object.fromEntries(answer));
  }
  if (type === "authorized_user" && !isIdentity) {
    const answer = await exchange(url, {
      grant_type: "refresh_token",
      client_id: field("client_id"),
      client_secret: field("client_secret"),
      refresh_token: field("refresh_token"),
    });
    return accessToken(Object.fromEntries(answer));
  }
  const types = isIdentity ? '"service_account" for identity tokens' : '"service_account" or "authorized_user"';
  throw new Error(`${path} is of the type ${JSON.stringify(type)}; it has to be ${types}`);
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

async function exchange(url: string, form: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, unknown>> {
  const text = await request(url, { method: "POST", body: new URLSearchParams(form) });
  return new Map(Object.entries(JSON.parse(text)));
}

function accessToken({ access_token, expires_in }: Readonly<Record<string, unknown>>): Token {
  if (typeof access_token !== "string") throw new Error("there is no token in the answer");
  return { text: access_token, expires: Date.now() + Number(expires_in ?? 0) * 1_000 };
}

/** A JWT says itself when it ends. */
function identityToken(text: unknown): Token {
  if (typeof text !== "string") throw new Error("there is no identity token in the answer");
  const claims = JSON.parse(Buffer.from(text.split(".")[1] ?? "", "base64url").toString() || "{}") as { exp?: unknown };
  return { text, expires: Number(claims.exp ?? 0) * 1_000 };
}

/** The text of an answer. Rejects with what the other side says. */
async function request(url: string, init: RequestInit): Promise<string> {
  const { origin } = new URL(url);
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await response.text();
  if (response.ok) return text;
  let said: Readonly<Record<string, unknown>> = {};
  try {
    said = JSON.parse(text);
  } catch {
    // The status has to do.
  }
  throw new Error(
    `${origin} answered ${response.status}: ${said.error_description ?? said.error ?? "no reason given"}`,
  );
}
