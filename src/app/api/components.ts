import { blockName } from "#lang/ast";
import { isObjectValue, type Value } from "#lang/value";
import { ArgumentNode } from "#runtime/block-nodes";
import { ComponentNode } from "#runtime/component-node";
import { type Controller, innerModules, type ListedNode } from "#runtime/controller";
import type { Module } from "#runtime/module";
import type { GraphNode } from "#runtime/node";
import { alloyJsonBody, alloyJsonDebug } from "./alloy-json.ts";
import { type FlowFigures, flowJson, healthJson } from "./flow.ts";
import type { AlloyJsonStatement, FlowJson, HealthJson } from "./json.ts";
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
  readonly health: HealthJson;
  readonly original: string;
  readonly arguments?: readonly AlloyJsonStatement[];
  readonly exports?: readonly AlloyJsonStatement[];
  readonly debugInfo?: readonly AlloyJsonStatement[];
  readonly createdModuleIDs?: readonly string[];
  readonly liveDebuggingEnabled: boolean;
  readonly flow?: FlowJson;
}

/** All nodes of one module; `undefined` if there is no such module. The root's id is empty. */
export function listComponents(
  controller: Controller,
  moduleId: string,
  figures: FlowFigures,
): readonly ComponentJson[] | undefined {
  const own = [...controller.nodes()].filter(({ module }) => module.environment.moduleId === moduleId);
  if (moduleId !== "" && own.length === 0) return undefined;
  const context = own[0] === undefined ? undefined : contextOf(own[0].module);
  return own.map((listed) => componentJson(listed, context!, figures, false));
}

/** One node by its id (`mod.a/loki.write.default`), in full. */
export function findComponent(controller: Controller, id: string, figures: FlowFigures): ComponentJson | undefined {
  for (const listed of controller.nodes()) {
    if (listed.module.environment.idOf(listed.node.localId) === id)
      return componentJson(listed, contextOf(listed.module), figures, true);
  }
  return undefined;
}

/** A module's blocks by their ids, and the ids of the blocks that refer to each. */
interface Context {
  readonly entries: ReadonlyMap<string, Module["entries"][number]>;
  readonly dependants: ReadonlyMap<string, readonly string[]>;
}

function contextOf(module: Module): Context {
  const dependants = new Map<string, string[]>();
  for (const { planned } of module.entries) {
    for (const id of planned.dependencies) {
      const known = dependants.get(id);
      if (known === undefined) dependants.set(id, [planned.id]);
      else known.push(planned.id);
    }
  }
  return { entries: new Map(module.entries.map((entry) => [entry.planned.id, entry])), dependants };
}

function componentJson(
  { node, module }: ListedNode,
  context: Context,
  figures: FlowFigures,
  full: boolean,
): ComponentJson {
  const entry = context.entries.get(node.localId)!;
  const { block } = entry.planned;
  const { health } = node;
  const modules = innerModules(node).map((inner) => inner.environment.moduleId);
  const component = node instanceof ComponentNode ? node : undefined;
  return {
    name: blockName(block),
    type: "block",
    localID: node.localId,
    moduleID: module.environment.moduleId,
    ...(block.label === undefined ? {} : { label: block.label.text }),
    referencesTo: [...entry.planned.dependencies],
    referencedBy: context.dependants.get(node.localId) ?? [],
    dataFlowEdgesTo: dataFlowEdges(context, node.localId),
    health: healthJson(health),
    original: redactSpan(block.span, [block]),
    ...(full
      ? {
          arguments: alloyJsonBody(hideNamed(component?.argumentValues ?? null)),
          exports: exportsJson(node),
          debugInfo: debugInfoJson(node),
        }
      : {}),
    ...(modules.length === 0 ? {} : { createdModuleIDs: modules }),
    liveDebuggingEnabled: component !== undefined,
    ...(component === undefined ? {} : { flow: flowJson(component, figures) }),
  };
}

export function exportsJson(node: GraphNode): readonly AlloyJsonStatement[] {
  const isSecret = node instanceof ArgumentNode && isSecretName(node.label);
  return alloyJsonBody(hideNamed(node.exports ?? null, isSecret));
}

export function debugInfoJson(node: GraphNode): readonly AlloyJsonStatement[] {
  return node instanceof ComponentNode ? alloyJsonDebug(node.host?.instance.debugInfo?.()) : [];
}

/**
 * Data flows along references, to the block that is referred to if that exports a consumer (`forward_to`), and away from
 * it otherwise (`targets`).
 */
function dataFlowEdges({ entries, dependants }: Context, id: string): readonly string[] {
  const edges: string[] = [];
  for (const dependency of entries.get(id)!.planned.dependencies) {
    if (exportsConsumer(entries.get(dependency)?.node.exports)) edges.push(dependency);
  }
  if (exportsConsumer(entries.get(id)!.node.exports)) return edges;
  return [...edges, ...(dependants.get(id) ?? [])];
}

const CONSUMER_FIELDS = new Set(["receiver", "input"]);

function exportsConsumer(exports: Value | undefined): boolean {
  if (exports === undefined || !isObjectValue(exports)) return false;
  return [...exports].some(([name]) => CONSUMER_FIELDS.has(name));
}
