import fc from "fast-check";
import type { PipelineEdgeJson, PipelineJson, PipelineNodeJson } from "../api/json.ts";

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom(
    "loki.write",
    'say "hi"',
    "back\\slash",
    "end",
    "a\nb",
    "{x}",
    "#35;",
    "|",
    "-->",
    "<b>",
    "%%{",
    "]]",
  ),
);
export const healthyNode = { state: "healthy", message: "", updatedTime: "" } as const;
const node: fc.Arbitrary<PipelineNodeJson> = fc.record({
  id: text,
  localId: text,
  name: text,
  label: text,
  kind: fc.constant("component" as const),
  role: fc.constantFrom("source" as const, "processor", "sink", "value", "module", "config"),
  health: fc.constant(healthyNode),
  state: fc.constantFrom("ok" as const, "idle", "degraded", "failing", null),
  cause: text,
  rates: fc.constant(null),
  wiring: fc.oneof(fc.constant(""), text),
  modules: fc.constant([]),
});
const figure = fc.integer({ min: 0, max: 100_000 });
/** Graphs with names that try to break out of the languages of drawing programs. */
export const anyPipeline: fc.Arbitrary<PipelineJson> = fc
  .uniqueArray(node, { selector: ({ id }) => id, minLength: 1, maxLength: 6 })
  .chain((nodes) => {
    const id = fc.constantFrom(...nodes.map((each) => each.id));
    const edge: fc.Arbitrary<PipelineEdgeJson> = fc.record({
      from: id,
      to: id,
      kind: fc.constantFrom("data" as const, "targets", "reference"),
      signal: fc.constantFrom("logs" as const, "metrics", null),
      itemsPerSecond: figure,
      bytesPerSecond: figure,
      items: figure,
      dropped: figure,
      waiting: figure,
    });
    return fc.record({ moduleId: text, nodes: fc.constant(nodes), edges: fc.array(edge, { maxLength: 8 }) });
  });
