import type { Logger } from "#base/log";
import { clientDefaults, HttpClient, type HttpClientOptions, type HttpClientRequest } from "../http/client.ts";
import type { HttpClientArguments } from "../http/client-schema.ts";
import { shownUrl } from "../http/url.ts";

/** The schema of the attributes' names, as the Collector's detectors at v0.158.0 have it. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0";

export type AttributeValue = string | bigint | readonly string[];

export interface Detected {
  /** By name. What a user has switched off is left out by `detectorOf`; empty texts say nothing and are left out too. */
  readonly attributes: Readonly<Record<string, AttributeValue | undefined>>;
  /** Attributes that cannot be switched off one by one: tags, labels, what a variable or a file says. */
  readonly extras?: ReadonlyMap<string, string>;
  /** Where the names come from; SCHEMA_URL by default, empty for names that a user chose. */
  readonly schemaUrl?: string;
}

/** Looks for a platform, and what is known of this machine there. */
export interface Detector {
  /** Rejects with a MetadataUnavailable where the platform is not there, and with another error where it fails. */
  detect(signal: AbortSignal): Promise<Detected>;
}

/** The platform is not there, as far as can be told. Most agents run on none of those that are asked for. */
export class MetadataUnavailable extends Error {
  override readonly name = "MetadataUnavailable";
}

/** What detectors may reach. */
export interface DetectorContext {
  readonly environment: NodeJS.ProcessEnv;
  readonly log: Logger;
  readonly http: MetadataClient;
  readonly userAgent: string;
  /** Where link-local metadata services that have no variable for it are, in place of their own address. */
  readonly metadataBase?: string | undefined;
  /** In front of the paths of files that tell of the host. */
  readonly root?: string | undefined;
}

/** Metadata services answer at once, or are not there. */
const ANSWER_MS = 2_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

type Request = Pick<HttpClientRequest, "url"> & Partial<Pick<HttpClientRequest, "method" | "headers" | "timeoutMs">>;

/** Asks metadata services and APIs on the local network. Never through a proxy. */
export class MetadataClient {
  readonly #client: HttpClient;

  constructor(args: HttpClientArguments, options: HttpClientOptions) {
    this.#client = HttpClient.create(args, { connectTimeoutMs: ANSWER_MS, ...options });
  }
  static plain(userAgent: string): MetadataClient {
    return new MetadataClient(clientDefaults(), { userAgent });
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** The body of an answer; undefined for a 404. Rejects with an Error that says what was asked and what the answer was. */
  async find(request: Request, signal: AbortSignal): Promise<string | undefined> {
    const { method = "GET", timeoutMs = ANSWER_MS } = request;
    const answer = await this.#client.request({ maxBytes: MAX_ANSWER_BYTES, ...request, method, timeoutMs }, signal);
    if (answer.status === 404) return undefined;
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${shownUrl(String(request.url))} is answered with ${answer.status}`);
    return answer.body.toString();
  }
  async text(request: Request, signal: AbortSignal): Promise<string> {
    const body = await this.find(request, signal);
    if (body === undefined)
      throw new Error(`${request.method ?? "GET"} ${shownUrl(String(request.url))} is answered with 404`);
    return body;
  }
  /** An object; rejects for anything else. */
  async json(request: Request, signal: AbortSignal): Promise<JsonObject> {
    const value: unknown = JSON.parse(await this.text(request, signal));
    if (typeof value !== "object" || value === null)
      throw new Error(`${shownUrl(String(request.url))} is answered with no object`);
    return new JsonObject(value);
  }
}

/** An object of which nothing is known: fields are looked for by path, and what is not there is empty. */
export class JsonObject {
  readonly #value: object;
  constructor(value: object) {
    this.#value = value;
  }
  at(...path: readonly string[]): unknown {
    let value: unknown = this.#value;
    for (const name of path) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  }
  /** Text, or a number as text; empty for anything else. */
  text(...path: readonly string[]): string {
    const value = this.at(...path);
    return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
  }
  /** Fields of an object that are texts. */
  texts(...path: readonly string[]): ReadonlyMap<string, string> {
    const value = this.at(...path);
    const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  }
  list(...path: readonly string[]): readonly JsonObject[] {
    const value = this.at(...path);
    if (!Array.isArray(value)) return [];
    return value.flatMap((each) => (typeof each === "object" && each !== null ? [new JsonObject(each)] : []));
  }
}

/** Runs the first question of a detector: no answer to it means that the platform is not there. */
export async function orUnavailable<T>(platform: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new MetadataUnavailable(
      `${platform} metadata unavailable: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
}
