import { blockName } from "#lang/ast";
import { decodeBody, encodeBody } from "#lang/decode";
import { references } from "#lang/evaluate";
import { lineOf } from "#lang/position";
import type { AnyBody } from "#lang/schema";
import type { Value } from "#lang/value";
import { ArgumentNode } from "#runtime/block-nodes";
import { argumentSchema } from "#runtime/blocks/argument";
import { CONFIG_BLOCKS } from "#runtime/blocks/blocks";
import { exportSchema } from "#runtime/blocks/export";
import { foreachSchema } from "#runtime/blocks/foreach";
import { importFileSchema } from "#runtime/blocks/import-file";
import { importStringSchema } from "#runtime/blocks/import-string";
import { ComponentNode } from "#runtime/component-node";
import { innerModules } from "#runtime/controller";
import { CustomNode } from "#runtime/custom-node";
import type { PlacedNode, Topology } from "#runtime/topology";
import { wiringOf } from "#runtime/wiring";
import { type ArgumentPlace, argumentJson, attributeOf, listArguments, sorted } from "./argument-list.ts";
import { debugInfoJson, exportsJson } from "./components.ts";
import { type FlowFigures, flowJson, healthJson } from "./flow.ts";
import type { ArgumentJson, ExplainJson } from "./json.ts";
import { hideNamed, isRedacted, isSecretName, redactSpan } from "./redact.ts";

/** One node with where its values come from; undefined if there is none with this id. `metrics` are its own series. */
export function explainJson(
  topology: Topology,
  id: string,
  figures: FlowFigures,
  metrics: (placed: PlacedNode) => ExplainJson["metrics"],
): ExplainJson | undefined {
  const placed = topology.nodes.get(id);
  if (placed === undefined) return undefined;
  const { node, planned, module } = placed;
  const { block } = planned;
  return {
    id,
    localId: planned.id,
    moduleId: module.environment.moduleId,
    name: blockName(block),
    label: block.label?.text ?? "",
    kind: planned.kind,
    health: healthJson(node.health),
    flow: node instanceof ComponentNode ? flowJson(node, figures) : null,
    source: {
      file: block.span.source.name,
      line: lineOf(block.span.source, block.span.start),
      text: redactSpan(block.span, [block]),
    },
    arguments: argumentsOf(topology, placed),
    exports: exportsJson(node),
    debugInfo: debugInfoJson(node),
    referencesTo: [...new Set(topology.references(placed).map(({ to }) => to.id))],
    referencedBy: usersOf(topology, placed),
    modules: innerModules(node).map((inner) => inner.environment.moduleId),
    metrics: metrics(placed),
    wiring: wiringOf(topology).get(id) ?? "",
  };
}

function usersOf(topology: Topology, placed: PlacedNode): readonly string[] {
  const users: string[] = [];
  for (const other of topology.nodes.values()) {
    if (topology.references(other).some(({ to }) => to === placed)) users.push(other.id);
  }
  return users;
}

function argumentsOf(topology: Topology, placed: PlacedNode): readonly ArgumentJson[] {
  const { node, planned } = placed;
  const place: ArgumentPlace = {
    block: planned.block,
    references: ({ value }) => [
      ...new Set(references(value).flatMap((each) => topology.resolve(each, placed)?.to.id ?? [])),
    ],
  };
  if (node instanceof ComponentNode) {
    const values = node.argumentValues;
    return values === undefined ? [] : listArguments(node.definition.args, hideNamed(values), place);
  }
  if (node instanceof CustomNode) return customArguments(node, place);
  const schema = schemaOf(planned.kind, blockName(planned.block));
  const values = schema === undefined ? undefined : evaluated(schema, placed);
  return values === undefined ? [] : listArguments(schema!, hideWritten(values, place), place);
}

function schemaOf(kind: PlacedNode["planned"]["kind"], name: string): AnyBody | undefined {
  switch (kind) {
    case "config":
      return CONFIG_BLOCKS.get(name);
    case "foreach":
      return foreachSchema;
    case "import":
      return name === "import.file" ? importFileSchema : importStringSchema;
    case "argument":
      return argumentSchema;
    case "export":
      return exportSchema;
    default:
      return undefined;
  }
}

/** The arguments of a block that is no component, evaluated again, since their nodes keep none. */
function evaluated(schema: AnyBody, { planned, module }: PlacedNode): Value | undefined {
  const { scope } = module;
  if (scope === undefined) return undefined;
  const body = planned.block.body.filter(
    (each) => each.kind === "attribute" || schema.fields.get(blockName(each))?.node !== "raw",
  );
  const { minimumStability } = module.environment.services;
  const decoded = decodeBody(schema, body, scope, { name: blockName(planned.block), minimumStability });
  return decoded.value === undefined ? undefined : encodeBody(schema, decoded.value);
}

/** What custom components are given, by the `argument` blocks inside of them. */
function customArguments(node: CustomNode, place: ArgumentPlace): readonly ArgumentJson[] {
  const found: ArgumentJson[] = [];
  for (const { node: inner } of node.module.entries) {
    if (!(inner instanceof ArgumentNode) || !(inner.exports instanceof Map)) continue;
    const statement = attributeOf(place.block.body, inner.label);
    const values = hideWritten(
      new Map([[inner.label, (inner.exports as ReadonlyMap<string, Value>).get("value") ?? null]]),
      place,
    );
    found.push(argumentJson(inner.label, values.get(inner.label)!, statement, place));
  }
  return sorted(found);
}

/** No schema says what of these values is secret: it is what has such a name, and what the text hides. */
function hideWritten(values: Value, { block }: ArgumentPlace): ReadonlyMap<string, Value> {
  // In these it is the label that names the value.
  const labelled = blockName(block) === "argument" ? "default" : blockName(block) === "export" ? "value" : undefined;
  const shown = new Map<string, Value>();
  for (const [name, value] of values as ReadonlyMap<string, Value>) {
    const statement = attributeOf(block.body, name);
    const isHidden = statement !== undefined && isRedacted(statement.value.span, [block]);
    shown.set(name, hideNamed(value, isHidden || isSecretName(name === labelled ? block.label!.text : name)));
  }
  return shown;
}
