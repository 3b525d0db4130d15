import type { HttpResponse } from "#pipeline/component";
import type { ScrapeResponse, ScrapeTransport } from "./scrape-loop.ts";

/** What answers scrapes of the agent's own pages. */
export interface LocalPages {
  readonly memoryAddress: string;
  fetchLocal(path: string, headers: ReadonlyMap<string, string>, signal: AbortSignal): Promise<HttpResponse>;
}

/** A transport that asks the agent's own pages without a socket and everything else through `remote`. */
export function scrapeTransport(local: LocalPages, remote: ScrapeTransport): ScrapeTransport {
  return async (url, headers, signal) => {
    if (url.host !== local.memoryAddress) return remote(url, headers, signal);
    const path = `${url.pathname}${url.search}`;
    const wanted = new Map(Object.entries(headers).filter(([name]) => name !== "accept-encoding"));
    return localResponse(await local.fetchLocal(path, wanted, signal));
  };
}

function localResponse({ status, headers, body }: HttpResponse): ScrapeResponse {
  let contentType: string | undefined;
  for (const [name, value] of Object.entries(headers ?? {})) if (name.toLowerCase() === "content-type") contentType = value;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return {
    status,
    statusText: "",
    contentType,
    contentEncoding: undefined,
    body: (async function* () {
      yield bytes;
    })(),
  };
}
