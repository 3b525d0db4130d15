import type { HttpRequest, HttpResponse } from "#pipeline/component";
import { ComponentNode } from "#runtime/component-node";
import type { Agent } from "../agent.ts";
import { time } from "./flow.ts";
import { withoutUrlSecrets } from "./redact.ts";
import { text } from "./responses.ts";

/**
 * `/-/ready`, as Alloy's: whether a configuration is in force. With `?strict=true` also whether every component is healthy
 * and no data flow fails; components that have no data yet, or only some trouble, are ready.
 */
export function ready(agent: Agent, request: HttpRequest): HttpResponse {
  const strict = flag(request, "strict");
  if (strict === undefined) return badFlag(request, "strict");
  if (!agent.ready) return text(503, "Alloy is not ready.\n");
  if (!strict) return text(200, "Alloy is ready.\n");
  const problems = [...lifecycleProblems(agent), ...failingFlows(agent)];
  if (problems.length === 0) return text(200, "Alloy is ready.\n");
  return problemText(503, "Alloy is not ready: these components are not healthy, or their data flow fails.", problems);
}

/** `/-/healthy`, as Alloy's: names unhealthy components. With `?flow=true` a failing data flow counts as well. */
export function healthy(agent: Agent, request: HttpRequest): HttpResponse {
  const withFlow = flag(request, "flow");
  if (withFlow === undefined) return badFlag(request, "flow");
  const sick = agent.controller.root.nodes.filter((node) => node.health.state === "unhealthy");
  const names = sick.map((node) => node.localId).join(", ");
  const failing = withFlow ? failingFlows(agent) : [];
  if (failing.length > 0) {
    return problemText(
      500,
      `${sick.length === 0 ? "" : `unhealthy components: ${names}\n`}failing data flows:`,
      failing,
    );
  }
  if (sick.length === 0) return text(200, "All Alloy components are healthy.\n");
  return text(500, `unhealthy components: ${names}\n`);
}

function lifecycleProblems(agent: Agent): string[] {
  const problems: string[] = [];
  for (const { node, module } of agent.controller.nodes()) {
    const { state, message } = node.health;
    if (state === "unhealthy" || (node instanceof ComponentNode && state !== "healthy")) {
      problems.push(`${module.environment.idOf(node.localId)}: ${state}: ${message}`);
    }
  }
  return problems;
}

function failingFlows(agent: Agent): string[] {
  const problems: string[] = [];
  for (const { node } of agent.controller.nodes()) {
    if (!(node instanceof ComponentNode)) continue;
    node.flow.judge();
    const { state, cause, since } = node.flow.status;
    if (state === "failing") problems.push(`${node.id}: failing since ${time(since)}: ${cause}`);
  }
  return problems;
}

function problemText(status: number, headline: string, problems: readonly string[]): HttpResponse {
  return text(status, withoutUrlSecrets(`${headline}\n${problems.join("\n")}\n`));
}

/** A parameter that is on or off; off when it is left out, undefined for another value. */
function flag(request: HttpRequest, name: string): boolean | undefined {
  switch (request.query.get(name)) {
    case "true":
    case "1":
      return true;
    case null:
    case "false":
    case "0":
      return false;
    default:
      return undefined;
  }
}

function badFlag(request: HttpRequest, name: string): HttpResponse {
  return text(400, `${name} must be true or false (or 1 or 0), got "${request.query.get(name)}"\n`);
}
