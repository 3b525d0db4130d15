import { errorText } from "#base/log";
import { expositionContentType, negotiateExposition, writeExposition } from "#formats/exposition-writer";
import { DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import type { HttpHandler, HttpRequest, HttpResponse } from "#pipeline/component";
import { ComponentNode } from "#runtime/component-node";
import type { Agent } from "../agent.ts";
import { cpuProfile, heapProfile } from "../profiling/profiler.ts";
import { findComponent, flowJson, healthJson, listComponents } from "./components.ts";
import { liveDebugging } from "./live-debugging.ts";
import { hideSecrets, withoutUserInfo } from "./redact.ts";
import { supportBundle } from "./support-bundle.ts";

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
    if (path === "/-/ready") return agent.ready ? text(200, "Alloy is ready.\n") : text(503, "Alloy is not ready.\n");
    if (path === "/-/healthy") return healthy(agent);
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

function healthy(agent: Agent): HttpResponse {
  const sick = agent.controller.root.nodes.filter((node) => node.health.state === "unhealthy");
  if (sick.length === 0) return text(200, "All Alloy components are healthy.\n");
  return text(500, `unhealthy components: ${sick.map((node) => node.localId).join(", ")}\n`);
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
          findComponent(agent.controller, module.environment.idOf(node.localId)),
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
    const handler = component.host?.instance.http;
    if (handler === undefined) return text(404, `component "${component.id}" serves nothing over HTTP\n`);
    return handler(
      { ...request, path: `/${parts.slice(length).join("/")}`, body: (limit) => request.body(limit) },
      signal,
    );
  }
  return text(404, `failed to find component "${parts.join("/")}"\n`);
}

async function webApi(agent: Agent, path: string, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const { controller } = agent;
  if (path === "/components") return json(listComponents(controller, ""));
  if (path === "/peers") return json([]);
  if (path.startsWith("/remotecfg/")) return text(500, "remote configuration is not supported yet\n");
  const module = /^\/modules\/(.+)\/components$/.exec(path);
  if (module !== null) {
    const listed = listComponents(controller, decode(module[1]!));
    return listed === undefined ? text(404, "module not found\n") : json(listed);
  }
  if (path.startsWith("/components/")) {
    const found = findComponent(controller, decode(path.slice("/components/".length)));
    return found === undefined ? text(404, "component not found\n") : json(found);
  }
  if (path.startsWith("/debug/")) return debugStream(agent, decode(path.slice("/debug/".length)), request, signal);
  if (path === "/graph" || path.startsWith("/graph/"))
    return graphStream(agent, decode(path.slice("/graph/".length)), request, signal);
  if (path === "/status") return json(statusOf(agent));
  return text(404, "404 page not found\n");
}

function debugStream(agent: Agent, id: string, request: HttpRequest, signal: AbortSignal): HttpResponse {
  const probability = Number(request.query.get("sampleProb") ?? 1);
  if (!(probability >= 0 && probability <= 1)) return text(400, "sampleProb must be between 0 and 1\n");
  if (!agent.liveDebugging) {
    return text(500, "live debugging is disabled: write livedebugging { enabled = true } into the configuration\n");
  }
  const component = agent.controller.component(id);
  if (component === undefined) return text(500, `component "${id}" does not exist or cannot be watched\n`);
  return {
    status: 200,
    headers: { "Content-Type": "text/plain" },
    body: "",
    stream: liveDebugging(component.tap, probability, signal),
  };
}

/** Rates along the edges, once per window. */
function graphStream(agent: Agent, moduleId: string, request: HttpRequest, signal: AbortSignal): HttpResponse {
  const seconds = Number(request.query.get("window") ?? 5);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 60) return text(400, "window must be 1 to 60 seconds\n");
  async function* stream(): AsyncIterable<string> {
    let before = edges(agent, moduleId);
    while (!signal.aborted) {
      await agent.clock.sleep(seconds * 1000, signal);
      const now = edges(agent, moduleId);
      const rates = [...now].map(([key, edge]) => ({
        componentID: edge.from,
        targetComponentIDs: [edge.to],
        type: edge.signal,
        rate: (edge.items - (before.get(key)?.items ?? 0)) / seconds,
      }));
      before = now;
      yield `${JSON.stringify(rates)}|;|`;
    }
  }
  return { status: 200, headers: { "Content-Type": "text/plain" }, body: "", stream: stream() };
}

function edges(agent: Agent, moduleId: string) {
  const all = new Map<string, { from: string; to: string; signal: string; items: number }>();
  for (const { node, module } of agent.controller.nodes()) {
    if (!(node instanceof ComponentNode) || module.environment.moduleId !== moduleId) continue;
    for (const [to, counts] of node.flow.sent) {
      all.set(`${node.localId}>${to}`, { from: node.localId, to, signal: counts.signal ?? "", items: counts.items });
    }
  }
  return all;
}

/** Not in Alloy: every component with its flow, for scripts and the terminal. */
function statusOf(agent: Agent) {
  const components = [];
  for (const { node } of agent.controller.nodes()) {
    if (node instanceof ComponentNode)
      components.push({ id: node.id, health: healthJson(node.health), flow: flowJson(node) });
  }
  return { ready: agent.ready, version: agent.options.version, lastReload: agent.lastReload, components };
}

/** Messages and targets may quote URLs with passwords in them, so these are hidden in every answer. */
function json(value: unknown): HttpResponse {
  return { status: 200, headers: { "Content-Type": "application/json" }, body: withoutUserInfo(JSON.stringify(value)) };
}

function text(status: number, body: string): HttpResponse {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
