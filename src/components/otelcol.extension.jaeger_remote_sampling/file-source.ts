import { readFile } from "node:fs/promises";
import { normalize } from "node:path";
import {
  readSamplingStrategies,
  SamplingError,
  type SamplingStrategies,
  type SamplingStrategy,
} from "#formats/jaeger/sampling";
import { clientDefaults, HttpClient } from "#kits/http/client";
import type { OtlpClient } from "#pipeline/batch";

/** Time for a server to answer, as in Jaeger. */
const DOWNLOAD_MS = 1_000;
/** Nobody has a document that is larger. */
const MAX_BYTES = 16 << 20;
const DEFAULTS = "null";

/** Where strategies come from. */
export interface StrategySource {
  /** Resolves once there are strategies. Rejects with an error that says what failed and what to do. */
  ready(signal: AbortSignal): Promise<void>;
  /** Rejects with an error if nobody can tell. `client` is who asks. */
  strategyFor(service: string, client: OtlpClient, signal: AbortSignal): SamplingStrategy | Promise<SamplingStrategy>;
  close(): Promise<void>;
}

/** Strategies of a document that does not change. */
export class StaticSource implements StrategySource {
  readonly #strategies: SamplingStrategies;

  constructor(strategies: SamplingStrategies) {
    this.#strategies = strategies;
  }
  async ready(): Promise<void> {}
  strategyFor(service: string): SamplingStrategy {
    return strategyOf(this.#strategies, service);
  }
  async close(): Promise<void> {}
}

/** Strategies of a file, or of what a server answers. */
export class FileSource implements StrategySource {
  readonly #file: string;
  readonly #forEveryService: boolean;
  readonly #warn: (warning: string) => void;
  readonly #client: HttpClient | undefined;
  #strategies: SamplingStrategies | undefined;
  #text: string | undefined;

  /**
   * `forEveryService` as in readSamplingStrategies. In Alloy it is true from the first time on that the file is read again,
   * and never without `reload_interval`.
   */
  constructor(
    file: string,
    options: {
      readonly forEveryService: boolean;
      readonly userAgent: string;
      readonly warn: (warning: string) => void;
    },
  ) {
    this.#file = file;
    this.#forEveryService = options.forEveryService;
    this.#warn = options.warn;
    const url = URL.parse(file);
    const isUrl = url !== null && url.host !== "";
    this.#client = isUrl ? HttpClient.create(clientDefaults(), { userAgent: options.userAgent }) : undefined;
  }

  async ready(signal: AbortSignal): Promise<void> {
    if (this.#strategies === undefined) await this.reload(signal);
  }

  /** Reads the strategies again. Rejects with an error; those that were read before stay. Resolves with whether they changed. */
  async reload(signal: AbortSignal): Promise<boolean> {
    const text = this.#client === undefined ? await this.#read() : await this.#download(this.#client, signal);
    if (text === this.#text) return false;
    try {
      this.#strategies = readSamplingStrategies(text, this.#forEveryService);
    } catch (error) {
      if (!(error instanceof SamplingError)) throw error;
      throw new Error(`${this.#file} has no strategies: ${error.message}`);
    }
    this.#text = text;
    for (const warning of this.#strategies.warnings) this.#warn(warning);
    return true;
  }

  strategyFor(service: string): SamplingStrategy {
    return strategyOf(this.#strategies!, service);
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  async #read(): Promise<string> {
    try {
      return await readFile(normalize(this.#file), "utf8");
    } catch (error) {
      const remedies: Readonly<Record<string, string>> = {
        ENOENT: "create it or change `file`",
        EACCES: "let the agent's user read it",
        EISDIR: "it is a folder; change `file`",
      };
      const { code = "", message } = error as NodeJS.ErrnoException;
      throw new Error(`cannot read ${this.#file}: ${remedies[code] ?? message}`);
    }
  }

  /** A server that is unavailable means the defaults, as in Jaeger, unless it has told of strategies before. */
  async #download(client: HttpClient, signal: AbortSignal): Promise<string> {
    const request = { method: "GET", url: this.#file, timeoutMs: DOWNLOAD_MS, maxBytes: MAX_BYTES } as const;
    const { status, body } = await client.request(request, signal);
    if (status === 200) return body.toString();
    if (status === 503) return this.#text ?? DEFAULTS;
    throw new Error(
      `the server of \`file\` answers ${status} and has to answer 200: check the URL and the server's log`,
    );
  }
}

function strategyOf({ services, fallback }: SamplingStrategies, service: string): SamplingStrategy {
  return services.get(service) ?? fallback;
}
