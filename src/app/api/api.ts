import { errorText } from "#base/log";
import { expositionContentType, negotiateExposition, writeExposition } from "#formats/exposition/writer";
import { DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import type { HttpHandler, HttpRequest, HttpResponse } from "#pipeline/component";
import type { Agent } from "../agent.ts";
import { cpuProfile, heapProfile } from "../profiling/profiler.ts";
import { findComponent } from "./components.ts";
import { healthy, ready } from "./probes.ts";
import { hideSecrets } from "./redact.ts";
import { decode, text } from "./responses.ts";
import { supportBundle } from "./support-bundle.ts";
import { webApi } from "./web-api.ts";

const COMPONENT_PREFIX = "/api/v0/component/";
const MAX_PROFILE_SECONDS = 300;
const MAX_BUNDLE_SECONDS = 30;

/** The agent's HTTP API: Alloy's paths and answers (`catalog/http.json`), and the page behind them. */
export function createApi(agent: Agent): HttpHandler {
  const prefix = agent.options.uiPathPrefix.replace(/\/+$/, "");
  return async (request, signal) => {
    if (!isTraced(request.path)) return route(request, signal);
    const attributes = { "http.request.method": request.method, "url.path": request.path };
    const span = agent.tracing.start(`${request.method} ${request.path}`, attributes);
    try {
      const response = await route(request, signal);
      span.end(response.status >= 500 ? new Error(`status ${response.status}`) : undefined);
      return response;
    } catch (error) {
      span.end(error);
      throw error;
    }
  };

  async function route(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { path } = request;
    if (path === "/metrics") return metrics(agent, request);
    if (path === "/-/ready") return ready(agent, request);
    if (path === "/-/healthy") return healthy(agent, request);
    if (path === "/-/reload") return reload(agent, request);
    if (path === "/-/support") return support(agent, request, signal);
    if (path.startsWith("/debug/pprof")) return profiles(agent, request, signal);
    if (path.startsWith(COMPONENT_PREFIX)) return componentHandler(agent, request, signal);
    if (!path.startsWith(`${prefix}/`) && path !== prefix) return text(404, "404 page not found\n");
    const own = path.slice(prefix.length);
    if (own.startsWith("/api/v0/web/")) return webApi(agent, own.slice("/api/v0/web".length), request, signal);
    return agent.page(own === "" ? "/" : own);
  }
}

/** What the page asks every few seconds would drown the traces that somebody wants to see. */
function isTraced(path: string): boolean {
  if (path.startsWith(COMPONENT_PREFIX)) return !path.startsWith(`${COMPONENT_PREFIX}invar.viewer.`);
  return (path.startsWith("/-/") && path !== "/-/ready") || path === "/metrics" || path.startsWith("/debug/pprof");
}

function metrics(agent: Agent, request: HttpRequest): HttpResponse {
  const format = negotiateExposition(request.headers.get("accept"));
  const body = writeExposition(agent.metrics.collect(), format);
  return { status: 200, headers: { "Content-Type": expositionContentType(format) }, body };
}

async function reload(agent: Agent, request: HttpRequest): Promise<HttpResponse> {
  if (request.method !== "GET" && request.method !== "POST") return text(405, "");
  try {
    await agent.reload();
    return text(200, "config reloaded\n");
  } catch (error) {
    return text(
      400,
      error instanceof DiagnosticError
        ? renderDiagnostics(hideSecrets(error.diagnostics), { color: false })
        : errorText(error),
    );
  }
}

async function support(agent: Agent, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  if (agent.options.disableSupportBundle) {
    return text(
      403,
      "support bundle generation is disabled; it can be re-enabled by removing the --server.http.disable-support-bundle flag\n",
    );
  }
  const seconds = Number(request.query.get("duration") ?? MAX_BUNDLE_SECONDS);
  if (!Number.isInteger(seconds) || seconds < 1) {
    return text(
      400,
      `duration value (in seconds) should be a positive integer, got "${request.query.get("duration")}"\n`,
    );
  }
  const sleep = (ms: number) => agent.clock.sleep(ms, signal);
  const ms = Math.min(seconds, MAX_BUNDLE_SECONDS) * 1000;
  const body = await supportBundle(
    {
      version: agent.options.version,
      startedMs: agent.startedMs,
      flags: agent.options.flags,
      sources: agent.sources,
      recentLogs: agent.logOutput.recent,
      components: () =>
        [...agent.controller.nodes()].map(({ node, module }) =>
          findComponent(agent.controller, module.environment.idOf(node.localId), agent.monitor),
        ),
      metrics: () => writeExposition(agent.metrics.collect(), "text"),
      cpuProfile: () => cpuProfile(ms, sleep),
      heapProfile: () => heapProfile(ms, sleep),
    },
    sleep(ms),
  );
  const headers = {
    "Content-Type": "application/zip",
    "Content-Disposition": 'attachment; filename="alloy-support-bundle.zip"',
  };
  return { status: 200, headers, body };
}

async function profiles(agent: Agent, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  if (!agent.options.enablePprof) return text(404, "profiles are off (--server.http.enable-pprof)\n");
  const name = request.path.slice("/debug/pprof".length).replace(/^\//, "");
  const given = request.query.get("seconds");
  const seconds = Number(given ?? (name === "profile" ? 30 : 5));
  if (!(seconds > 0 && seconds <= MAX_PROFILE_SECONDS)) {
    return text(400, `seconds must be more than 0 and at most ${MAX_PROFILE_SECONDS}, got "${given}"\n`);
  }
  const sleep = (ms: number) => agent.clock.sleep(ms, signal);
  const file = (body: Uint8Array): HttpResponse => ({
    status: 200,
    headers: { "Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="${name}"` },
    body,
  });
  switch (name) {
    case "":
      return text(
        200,
        "profile: CPU use over ?seconds=30\nheap, allocs: memory allocated over ?seconds=5 and still in use\ncmdline: the command line\n",
      );
    case "cmdline":
      return text(200, process.argv.join("\0"));
    case "profile":
      return file(await cpuProfile(seconds * 1000, sleep));
    case "heap":
    case "allocs":
      return file(await heapProfile(seconds * 1000, sleep));
    default:
      return text(404, `there is no profile "${name}" of a JavaScript process; see /debug/pprof/\n`);
  }
}

/** `/api/v0/component/ID/REST`, where the id itself may contain slashes: the longest id that fits is meant. */
async function componentHandler(agent: Agent, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const parts = request.path.slice(COMPONENT_PREFIX.length).split("/");
  for (let length = parts.length; length > 0; length--) {
    const component = agent.controller.component(parts.slice(0, length).map(decode).join("/"));
    if (component === undefined) continue;
    // What it holds is not of now: a scrape of it would look as if all was well.
    if (component.failure !== undefined) return text(503, `${component.failure}\n`);
    const handler = component.host?.instance.http;
    if (handler === undefined) return text(404, `component "${component.id}" serves nothing over HTTP\n`);
    return handler(
      { ...request, path: `/${parts.slice(length).join("/")}`, body: (limit) => request.body(limit) },
      signal,
    );
  }
  return text(404, `failed to find component "${parts.join("/")}"\n`);
}
