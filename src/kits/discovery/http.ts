import type { ComponentInstance } from "#pipeline/component";
import { HttpClient, type HttpClientResponse } from "../http/client.ts";
import type { HttpClientArguments } from "../http/client-schema.ts";
import { shownUrl } from "../http/url.ts";
import { Answer, AnswerError } from "./answer.ts";
import { DiscoveryPoller, type Refresh } from "./poller.ts";
import type { DiscoveryContext } from "./targets.ts";

/** Largest answer with targets that is read: some hundred thousand of them. */
export const MAX_TARGETS_BYTES = 64 * 1024 * 1024;
/** Of an answer that is an error so much is shown. */
const SHOWN_WORDS = 200;

export interface DiscoveryRequest {
  readonly url: string;
  readonly timeoutMs: number;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks an HTTP API that knows targets. Failures say what failed, why, and what to do. */
export class DiscoveryHttp {
  readonly #client: HttpClient;

  /** Connects to nothing yet. `socketPath` is that of a Unix socket to ask in place of the host. */
  constructor(args: HttpClientArguments, version: string, socketPath?: string) {
    this.#client = HttpClient.create(args, { userAgent: `Invar/${version}`, ...(socketPath && { socketPath }) });
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** The answer to a GET, which has to be 200. */
  async get(request: DiscoveryRequest, signal: AbortSignal): Promise<HttpClientResponse> {
    const response = await this.#client.request({ method: "GET", maxBytes: MAX_TARGETS_BYTES, ...request }, signal);
    if (response.status === 200) return response;
    const words = response.body.toString("utf8", 0, SHOWN_WORDS).trim();
    const remedy = remedyOf(response.status);
    throw new Error(
      `${shownPlace(request.url)} answers ${response.status}${words === "" ? "" : ` (${words})`}${remedy && `: ${remedy}`}`,
    );
  }

  /** As `get`, for JSON: what `read` makes of it. */
  async json<T>(
    request: DiscoveryRequest,
    signal: AbortSignal,
    read: (answer: Answer, headers: HttpClientResponse["headers"]) => T,
  ): Promise<T> {
    const { body, headers } = await this.get(request, signal);
    try {
      return read(new Answer(JSON.parse(body.toString())), headers);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof AnswerError)) throw error;
      const problem = error instanceof AnswerError ? error.message : "it is no JSON";
      throw new Error(`${shownPlace(request.url)} does not answer as expected: ${problem}; check the address`);
    }
  }
}

/** For messages: without what may be a secret, and without the query. */
function shownPlace(url: string): string {
  return shownUrl(url).split("?")[0]!;
}

function remedyOf(status: number): string {
  if (status === 401 || status === 403) return "check the credentials and what they allow";
  if (status === 404) return "check the path";
  if (status === 429) return "raise `refresh_interval`";
  return status >= 500 ? "the server fails; look at its log" : "";
}

/** A discovery that asks an HTTP API in intervals: the life of its client and poller. */
export function pollOverHttp<A extends HttpClientArguments & { readonly refresh_interval: number }>(
  ctx: DiscoveryContext,
  mechanism: string,
  args: A,
  refreshOf: (args: A, http: DiscoveryHttp) => Refresh,
): ComponentInstance<A> {
  let http = new DiscoveryHttp(args, ctx.services.version);
  ctx.stack.defer(() => http.close());
  const poller = new DiscoveryPoller(ctx, mechanism, args.refresh_interval, refreshOf(args, http));
  return {
    async update(next) {
      const before = http;
      http = new DiscoveryHttp(next, ctx.services.version);
      poller.update(next.refresh_interval, refreshOf(next, http));
      await before.close();
    },
  };
}
