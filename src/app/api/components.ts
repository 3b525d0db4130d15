import { blockName } from "#lang/ast";
import { isObjectValue, type Value } from "#lang/value";
import { ArgumentNode } from "#runtime/block-nodes";
import { ComponentNode } from "#runtime/component-node";
import { type Controller, innerModules, type ListedNode } from "#runtime/controller";
import type { Health } from "#runtime/health";
import { alloyJsonBody, alloyJsonDebug } from "./alloy-json.ts";
import type { AlloyJsonStatement } from "./json.ts";
import { hideNamed, isSecretName, redactSpan } from "./redact.ts";

/** One node in the form of Alloy's web API, with this agent's additions under `flow`. */
export interface ComponentJson {
  readonly name: string;
  readonly type: "block";
  readonly localID: string;
  readonly moduleID: string;
  readonly label?: string;
  readonly referencesTo: readonly string[];
  readonly referencedBy: readonly string[];
  readonly dataFlowEdgesTo: readonly string[];
  readonly health: { readonly state: string; readonly message: string; readonly updatedTime: string };
  readonly original: string;
  readonly arguments?: readonly AlloyJsonStatement[];
  readonly exports?: readonly AlloyJsonStatement[];
  readonly debugInfo?: readonly AlloyJsonStatement[];
  readonly createdModuleIDs?: readonly string[];
  readonly liveDebuggingEnabled: boolean;
  readonly flow?: FlowJson;
}

export interface FlowJson {
  readonly state: string;
  readonly cause: string;
  readonly since: string;
  readonly lastSuccess: string | null;
  readonly lastError: { readonly time: string; readonly message: string } | null;
  readonly received: { readonly items: number; readonly bytes: number };
  readonly sent: readonly { readonly to: string; readonly items: number; readonly bytes: number }[];
  readonly dropped: readonly { readonly signal: string; readonly reason: string; readonly items: number }[];
  readonly queue: { readonly bytes: number; readonly oldest: string | null } | null;
}

/** All nodes of one module; `undefined` if there is no such module. The root's id is empty. */
export function listComponents(controller: Controller, moduleId: string): readonly ComponentJson[] | undefined {
  const all = [...controller.nodes()];
  if (moduleId !== "" && !all.some(({ module }) => module.environment.moduleId === moduleId)) return undefined;
  const own = all.filter(({ module }) => module.environment.moduleId === moduleId);
  return own.map((listed) => componentJson(listed, false));
}

/** One node by its id (`mod.a/loki.write.default`), in full. */
export function findComponent(controller: Controller, id: string): ComponentJson | undefined {
  for (const listed of controller.nodes()) {
    if (listed.module.environment.idOf(listed.node.localId) === id) return componentJson(listed, true);
  }
  return undefined;
}

export function flowJson(node: ComponentNode): FlowJson {
  const { flow } = node;
  const queue = flow.queue;
  return {
    ...flow.status,
    since: time(flow.status.since),
    lastSuccess: flow.lastSuccess === 0 ? null : time(flow.lastSuccess),
    lastError: flow.lastError === undefined ? null : { ...flow.lastError, time: time(flow.lastError.time) },
    received: { items: flow.received.items, bytes: flow.received.bytes },
    sent: [...flow.sent].map(([to, { items, bytes }]) => ({ to, items, bytes })),
    dropped: [...flow.dropped].flatMap(([signal, reasons]) =>
      [...reasons].map(([reason, items]) => ({ signal, reason, items })),
    ),
    queue: queue === undefined ? null : { bytes: queue.bytes, oldest: queue.oldest ? time(queue.oldest) : null },
  };
}

export function healthJson({ state, message, updated }: Health): ComponentJson["health"] {
  return { state, message, updatedTime: time(updated) };
}

function componentJson({ node, module }: ListedNode, full: boolean): ComponentJson {
  const entry = module.entries.find((each) => each.node === node)!;
  const { block } = entry.planned;
  const { health } = node;
  const modules = innerModules(node).map((inner) => inner.environment.moduleId);
  const component = node instanceof ComponentNode ? node : undefined;
  const isSecretArgument = node instanceof ArgumentNode && isSecretName(node.label);
  return {
    name: blockName(block),
    type: "block",
    localID: node.localId,
    moduleID: module.environment.moduleId,
    ...(block.label === undefined ? {} : { label: block.label.text }),
    referencesTo: [...entry.planned.dependencies],
    referencedBy: module.entries
      .filter((each) => each.planned.dependencies.has(node.localId))
      .map((each) => each.planned.id),
    dataFlowEdgesTo: dataFlowEdges(listedEntries(module), node.localId),
    health: healthJson(health),
    original: redactSpan(block.span, [block]),
    ...(full
      ? {
          arguments: alloyJsonBody(hideNamed(component?.argumentValues ?? null)),
          exports: alloyJsonBody(hideNamed(node.exports ?? null, isSecretArgument)),
          debugInfo: alloyJsonDebug(component?.host?.instance.debugInfo?.()),
        }
      : {}),
    ...(modules.length === 0 ? {} : { createdModuleIDs: modules }),
    liveDebuggingEnabled: component !== undefined,
    ...(component === undefined ? {} : { flow: flowJson(component) }),
  };
}

function listedEntries(module: ListedNode["module"]) {
  return new Map(module.entries.map((entry) => [entry.planned.id, entry]));
}

/**
 * Data flows along references, to the block that is referred to if that exports a consumer (`forward_to`), and away from
 * it otherwise (`targets`).
 */
function dataFlowEdges(entries: ReturnType<typeof listedEntries>, id: string): readonly string[] {
  const edges: string[] = [];
  for (const dependency of entries.get(id)!.planned.dependencies) {
    if (exportsConsumer(entries.get(dependency)?.node.exports)) edges.push(dependency);
  }
  if (exportsConsumer(entries.get(id)!.node.exports)) return edges;
  for (const [other, entry] of entries) if (entry.planned.dependencies.has(id)) edges.push(other);
  return edges;
}

const CONSUMER_FIELDS = new Set(["receiver", "input"]);

function exportsConsumer(exports: Value | undefined): boolean {
  if (exports === undefined || !isObjectValue(exports)) return false;
  return [...exports].some(([name]) => CONSUMER_FIELDS.has(name));
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
