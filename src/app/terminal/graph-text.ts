import type { PipelineEdgeJson, PipelineJson, PipelineNodeJson } from "../api/json.ts";
import { shortNumber } from "./quantities.ts";

/** A module's graph in the languages of drawing programs. */

/** Fill and line of each state; nodes without data have those of `none`. */
const STATE_COLORS = {
  ok: { fill: "#d8f3dc", line: "#2d6a4f" },
  idle: { fill: "#e7ecef", line: "#6c757d" },
  degraded: { fill: "#fff3bf", line: "#b08900" },
  failing: { fill: "#ffd6d6", line: "#b00020" },
  none: { fill: "#ffffff", line: "#6c757d" },
} as const;

/** Brackets that draw each role's shape. */
const MERMAID_SHAPES: Readonly<Record<PipelineNodeJson["role"], readonly [open: string, close: string]>> = {
  source: ["([", "])"],
  processor: ["[", "]"],
  sink: ["[(", ")]"],
  value: ["{{", "}}"],
  module: ["[[", "]]"],
  config: [">", "]"],
};

/** A flowchart for Mermaid, from left to right. */
export function mermaidText({ nodes, edges }: PipelineJson): string {
  // Names of blocks may be words of Mermaid's, such as "end".
  const names = new Map(nodes.map((node, i) => [node.id, `n${i}`]));
  const lines = ["flowchart LR"];
  for (const node of nodes) {
    const [open, close] = MERMAID_SHAPES[node.role];
    const label = [node.name, node.label].filter((part) => part !== "").map(mermaidString);
    lines.push(`  ${names.get(node.id)}${open}"${label.join("<br/>")}"${close}`);
  }
  for (const edge of edges) {
    const arrow = edge.kind === "data" ? "-->" : "-.->";
    const label = edgeLabel(edge);
    lines.push(
      `  ${names.get(edge.from)} ${arrow}${label === "" ? "" : `|"${mermaidString(label)}"|`} ${names.get(edge.to)}`,
    );
  }
  for (const [state, { fill, line }] of Object.entries(STATE_COLORS)) {
    const own = nodes.filter((node) => (node.state ?? "none") === state).map((node) => names.get(node.id));
    if (own.length === 0) continue;
    lines.push(`  classDef ${state} fill:${fill},stroke:${line},color:#000000`, `  class ${own.join(",")} ${state}`);
  }
  const miswired = nodes.filter((node) => node.wiring !== "");
  if (miswired.length > 0) {
    lines.push("  classDef wiring stroke:#b00020,stroke-width:3px,stroke-dasharray:6 4");
    lines.push(`  class ${miswired.map((node) => names.get(node.id)).join(",")} wiring`);
  }
  // Braces in a comment are taken for a directive.
  for (const { id, wiring } of miswired) lines.push(`  %% ${oneLine(`${id}: ${wiring}`).replace(/[{}]/g, "")}`);
  return `${lines.join("\n")}\n`;
}

/** Mermaid has no escape in strings but character entities, which begin with # there. */
function mermaidString(text: string): string {
  return oneLine(text).replace(/["#<>&;|`]/g, (character) => `#${character.codePointAt(0)};`);
}

const DOT_SHAPES: Readonly<Record<PipelineNodeJson["role"], string>> = {
  source: "invhouse",
  processor: "box",
  sink: "cylinder",
  value: "hexagon",
  module: "box3d",
  config: "note",
};

/** A digraph for Graphviz, from left to right. */
export function dotText({ moduleId, nodes, edges }: PipelineJson): string {
  const lines = [
    `digraph ${dotString(moduleId === "" ? "pipeline" : moduleId)} {`,
    "  rankdir=LR;",
    '  node [fontname="sans-serif", style=filled];',
    '  edge [fontname="sans-serif"];',
  ];
  for (const node of nodes) {
    const { fill, line } = STATE_COLORS[node.state ?? "none"];
    const label = [node.name, node.label].filter((part) => part !== "").join("\n");
    const attributes = [`label=${dotString(label)}`, `shape=${DOT_SHAPES[node.role]}`, `fillcolor="${fill}"`];
    if (node.wiring === "") attributes.push(`color="${line}"`);
    else attributes.push('color="#b00020"', 'style="filled,dashed"', "penwidth=3", `tooltip=${dotString(node.wiring)}`);
    lines.push(`  ${dotString(node.id)} [${attributes.join(", ")}];`);
  }
  for (const edge of edges) {
    const label = edgeLabel(edge);
    const attributes = [
      ...(label === "" ? [] : [`label=${dotString(label)}`]),
      ...(edge.kind === "data" ? [] : ["style=dashed"]),
    ];
    const shown = attributes.length === 0 ? "" : ` [${attributes.join(", ")}]`;
    lines.push(`  ${dotString(edge.from)} -> ${dotString(edge.to)}${shown};`);
  }
  return `${[...lines, "}"].join("\n")}\n`;
}

function dotString(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\r?\n/g, "\\n")}"`;
}

/** What flows along an edge, as far as anything does. */
function edgeLabel({ kind, signal, itemsPerSecond, dropped, waiting }: PipelineEdgeJson): string {
  if (kind !== "data") return kind === "targets" ? "targets" : "";
  const parts = [signal ?? ""];
  if (itemsPerSecond > 0) parts.push(`${shortNumber(itemsPerSecond)}/s`);
  if (dropped > 0) parts.push(`${shortNumber(dropped)} dropped`);
  if (waiting > 0) parts.push(`${shortNumber(waiting)} waiting`);
  return parts.filter((part) => part !== "").join(", ");
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
