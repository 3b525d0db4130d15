import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "#pipeline/component";
import { type HttpClient, HttpClientError } from "./http-client.ts";
import { BodySizeError } from "./scrape-body.ts";
import type { ScrapeResponse, ScrapeTransport } from "./scrape-loop.ts";

/** What answers scrapes of the agent's own pages. */
export interface LocalPages {
  readonly memoryAddress: string;
  fetchLocal(path: string, headers: ReadonlyMap<string, string>, signal: AbortSignal): Promise<HttpResponse>;
}

/** A transport that asks the agent's own pages without a socket, and all other targets over HTTP. */
export function scrapeTransport(local: LocalPages, client: HttpClient): ScrapeTransport {
  return async ({ url, headers, timeoutMs, bodySizeLimit }, signal) => {
    if (url.host === local.memoryAddress) {
      const wanted = new Map(Object.entries(headers).filter(([name]) => name !== "accept-encoding"));
      return localResponse(await local.fetchLocal(`${url.pathname}${url.search}`, wanted, signal));
    }
    try {
      const response = await client.request({ method: "GET", url, headers, timeoutMs, maxBytes: bodySizeLimit }, signal);
      const contentType = response.headers.get("content-type");
      return answer(response.status, contentType, response.body);
    } catch (error) {
      if (error instanceof HttpClientError && error.kind === "too_large") throw new BodySizeError();
      if (error instanceof HttpClientError && error.kind === "timeout") throw new Error("context deadline exceeded");
      throw error;
    }
  };
}

function localResponse({ status, headers, body }: HttpResponse): ScrapeResponse {
  let contentType: string | undefined;
  for (const [name, value] of Object.entries(headers ?? {})) if (name.toLowerCase() === "content-type") contentType = value;
  return answer(status, contentType, typeof body === "string" ? Buffer.from(body) : body);
}

function answer(status: number, contentType: string | undefined, bytes: Uint8Array): ScrapeResponse {
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
