import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "#pipeline/component";
import { type HttpClient, HttpClientError } from "../http/client.ts";
import { DEADLINE_EXCEEDED, type ScrapeResponse, type ScrapeTransport } from "./loop.ts";

const NOTHING = Buffer.alloc(0);

/** What answers scrapes of the agent's own pages. */
export interface LocalPages {
  readonly memoryAddress: string;
  fetchLocal(path: string, headers: ReadonlyMap<string, string>, signal: AbortSignal): Promise<HttpResponse>;
}

/** A transport that asks the agent's own pages without a socket, and all other targets over HTTP. */
export function scrapeTransport(local: LocalPages, client: HttpClient): ScrapeTransport {
  return async ({ url, headers, timeoutMs }, read, signal) => {
    if (url.host === local.memoryAddress) {
      const wanted = new Map(Object.entries(headers).filter(([name]) => name !== "accept-encoding"));
      return read(localResponse(await local.fetchLocal(`${url.pathname}${url.search}`, wanted, signal)));
    }
    let failure: unknown;
    const readBody = async (body: AsyncIterable<Buffer>, answered: ReadonlyMap<string, string>, status: number) => {
      try {
        await read({
          status,
          statusText: STATUS_CODES[status] ?? "",
          contentType: answered.get("content-type"),
          contentEncoding: answered.get("content-encoding"),
          body,
        });
      } catch (error) {
        failure = error;
        throw error;
      }
      return NOTHING;
    };
    try {
      await client.request({ method: "GET", url, headers, timeoutMs, readBody }, signal);
    } catch (error) {
      if (failure instanceof Error && !isNetworkFailure(failure)) throw failure; // what `read` says of the page
      if (error instanceof HttpClientError && error.kind === "timeout") throw new Error(DEADLINE_EXCEEDED);
      // Its message says it all; what the network stack called it is no help.
      throw error instanceof HttpClientError ? new Error(error.message) : error;
    }
  };
}

/** Whether an error of the body is one of the connection, which the client explains better. */
function isNetworkFailure(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code !== undefined;
}

function localResponse({ status, headers, body }: HttpResponse): ScrapeResponse {
  let contentType: string | undefined;
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (name.toLowerCase() === "content-type") contentType = value;
  }
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return {
    status,
    statusText: STATUS_CODES[status] ?? "",
    contentType,
    contentEncoding: undefined,
    body: (async function* () {
      yield bytes;
    })(),
  };
}
