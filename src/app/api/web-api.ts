import type { HttpRequest, HttpResponse } from "#pipeline/component";
import { ComponentNode } from "#runtime/component-node";
import { type PlacedNode, Topology } from "#runtime/topology";
import type { Agent } from "../agent.ts";
import { servePipe } from "../pipe/route.ts";
import { findComponent, listComponents } from "./components.ts";
import { explainJson } from "./explain.ts";
import { debugStream } from "./live-debugging.ts";
import { ownSamples } from "./own-samples.ts";
import { pipelineJson } from "./pipeline.ts";
import { decode, json, text } from "./responses.ts";
import { statusJson } from "./status.ts";

/** What is below `/api/v0/web/`: Alloy's paths, and this agent's own (docs/api.md). `path` begins with the slash after `web`. */
export async function webApi(
  agent: Agent,
  path: string,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  if (path === "/live") return agent.live.serve(request, signal);
  if (path === "/pipe") return servePipe(agent, request, signal);
  return (
    (await alloyPath(agent, path, request, signal)) ??
    ownPath(agent, path, request) ??
    text(404, "404 page not found\n")
  );
}

/** As Alloy answers. */
function alloyPath(
  agent: Agent,
  path: string,
  request: HttpRequest,
  signal: AbortSignal,
): HttpResponse | Promise<HttpResponse> | undefined {
  const { controller, monitor: figures } = agent;
  if (path === "/components") return json(listComponents(controller, "", figures));
  if (path === "/peers") return json([]);
  if (path.startsWith("/remotecfg/")) return text(500, "remote configuration is not supported yet\n");
  const module = /^\/modules\/(.+)\/components$/.exec(path);
  if (module !== null) {
    const listed = listComponents(controller, decode(module[1]!), figures);
    return listed === undefined ? text(404, "module not found\n") : json(listed);
  }
  if (path.startsWith("/components/")) {
    const found = findComponent(controller, decode(path.slice("/components/".length)), figures);
    return found === undefined ? text(404, "component not found\n") : json(found);
  }
  if (path.startsWith("/debug/")) return debugStream(agent, decode(path.slice("/debug/".length)), request, signal);
  if (path === "/graph" || path.startsWith("/graph/"))
    return graphStream(agent, decode(path.slice("/graph/".length)), request, signal);
  return undefined;
}

/** Not in Alloy: the truth about data flow, for the page, the terminal and scripts. */
function ownPath(agent: Agent, path: string, request: HttpRequest): HttpResponse | undefined {
  const figures = agent.monitor;
  const { root } = agent.controller;
  if (path === "/status") return json(statusJson(agent, figures));
  if (path === "/pipeline") {
    const id = request.query.get("module") ?? "";
    const found = pipelineJson(new Topology(root), id, figures);
    return found === undefined ? text(404, `there is no module "${id}"\n`) : json(found);
  }
  const asked = /^\/(explain|history)\/(.+)$/.exec(path);
  if (asked === null) return undefined;
  const id = decode(asked[2]!);
  const missing = text(404, `there is no component "${id}"; GET status lists those there are\n`);
  if (asked[1] === "history") {
    const found = agent.controller.component(id) && figures.history(id);
    return found === undefined ? missing : json(found);
  }
  const samples = (placed: PlacedNode) => ownSamples(agent.metrics.collect(), placed);
  const found = explainJson(new Topology(root), id, figures, samples);
  return found === undefined ? missing : json(found);
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
