import type { YamlField, YamlMap, YamlNode } from "../yaml-tree.ts";

/** Between the keys of a path: confmap.KeyDelimiter of the Collector. */
const DELIMITER = "::";

/** Keys such as `exporters::otlp::endpoint` become maps in maps, as confmap makes them; what is there twice is merged. */
export function unfoldKeys(node: YamlNode): YamlNode {
  if (node.kind === "list") return { ...node, items: node.items.map(unfoldKeys) };
  if (node.kind === "scalar") return node;
  const fields = new Map<string, YamlField>();
  for (const [key, field] of node.fields) {
    const [first = "", ...rest] = key.split(DELIMITER);
    let value = unfoldKeys(field.value);
    for (const name of rest.reverse()) {
      value = { kind: "map", fields: new Map([[name, { value, line: field.line }]]), line: field.line };
    }
    const other = fields.get(first)?.value;
    const merged = other?.kind === "map" && value.kind === "map" ? merge(other, value) : value;
    fields.set(first, { ...field, value: merged });
  }
  return { ...node, fields };
}

function merge(into: YamlMap, from: YamlMap): YamlMap {
  const fields = new Map(into.fields);
  for (const [key, field] of from.fields) {
    const other = fields.get(key)?.value;
    const value = other?.kind === "map" && field.value.kind === "map" ? merge(other, field.value) : field.value;
    fields.set(key, { ...field, value });
  }
  return { ...into, fields };
}
