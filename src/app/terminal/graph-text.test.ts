import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { PipelineJson } from "../api/json.ts";
import { anyPipeline, healthyNode } from "./graph-text.testing.ts";
import { dotText, mermaidText } from "./graph-text.ts";

/** Statements of the flowcharts that we write; a text in quotes has no quote, no bracket and no line end of its own. */
const MERMAID = [
  /^flowchart LR$/,
  /^ {2}n\d+(?:\(\[|\[|\[\(|\{\{|\[\[|>)"(?:[^"<>\n]|<br\/>)*"(?:\]\)|\]|\)\]|\}\}|\]\])$/,
  /^ {2}n\d+ (?:-->|-\.->)(?:\|"[^"|\n]*"\|)? n\d+$/,
  /^ {2}classDef [a-z]+ [\w#:,.\- ]+$/,
  /^ {2}class n\d+(?:,n\d+)* [a-z]+$/,
  /^ {2}%% [^{}\n]*$/,
];

test("Mermaid: every line is a statement, whatever the names", () => {
  fc.assert(
    fc.property(anyPipeline, (drawn) => {
      const lines = mermaidText(drawn).split("\n");
      assert.equal(lines.pop(), "");
      for (const line of lines)
        assert.ok(
          MERMAID.some((pattern) => pattern.test(line)),
          line,
        );
      assert.equal(
        lines.filter((line) => / -->| -\.->/.test(line) && !line.includes("%%")).length >= drawn.edges.length,
        true,
      );
    }),
  );
});

/** Reads what we write of the DOT language: quoted ids, attribute lists, edges. Throws where it is none. */
function parseDot(dot: string) {
  const tokens = [...dot.matchAll(/"((?:[^"\\]|\\.)*)"|(->)|([A-Za-z_]\w*|\d+)|([{}[\];,=])|(\s+)|(.)/gsu)]
    .filter((match) => match[5] === undefined)
    .map((match) => {
      assert.equal(match[6], undefined, `stray ${match[6]}`);
      return match[1] === undefined
        ? match[0]
        : { id: match[1].replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)) };
    });
  let at = 0;
  const take = (wanted: string) => assert.equal(tokens[at++], wanted);
  const id = () => {
    const token = tokens[at++];
    assert.ok(typeof token === "object" || /^\w+$/.test(token ?? ""), String(token));
    return typeof token === "object" ? token.id : token!;
  };
  const attributes = () => {
    const found = new Map<string, string>();
    if (tokens[at] !== "[") return found;
    take("[");
    while (tokens[at] !== "]") {
      const name = id();
      take("=");
      found.set(name, id());
      if (tokens[at] === ",") take(",");
    }
    take("]");
    return found;
  };
  const nodes = new Map<string, Map<string, string>>();
  const edges: [string, string][] = [];
  take("digraph");
  id();
  take("{");
  while (tokens[at] !== "}") {
    const isString = typeof tokens[at] === "object";
    const name = id();
    if (tokens[at] === "->") {
      take("->");
      edges.push([name, id()]);
      attributes();
    } else if (tokens[at] === "=") {
      take("=");
      id();
    } else {
      const found = attributes();
      if (isString) nodes.set(name, found);
    }
    take(";");
  }
  take("}");
  assert.equal(at, tokens.length);
  return { nodes, edges };
}

test("DOT: it can be read back, whatever the names", () => {
  fc.assert(
    fc.property(anyPipeline, (drawn) => {
      const { nodes, edges } = parseDot(dotText(drawn));
      const plain = (name: string) => name.replace(/\r\n/g, "\n");
      assert.deepEqual(
        [...nodes.keys()],
        drawn.nodes.map(({ id }) => plain(id)),
      );
      assert.deepEqual(
        edges,
        drawn.edges.map(({ from, to }) => [plain(from), plain(to)]),
      );
    }),
  );
});

test("states are classes, dead wiring is seen, and rates are on the edges", () => {
  const drawn: PipelineJson = {
    moduleId: "",
    nodes: [
      {
        id: "a.b.c",
        localId: "a.b.c",
        name: "a.b",
        label: "c",
        kind: "component",
        role: "source",
        health: healthyNode,
        state: "ok",
        cause: "",
        rates: null,
        wiring: "",
        modules: [],
      },
      {
        id: "d.e.f",
        localId: "d.e.f",
        name: "d.e",
        label: "f",
        kind: "component",
        role: "sink",
        health: healthyNode,
        state: "failing",
        cause: "",
        rates: null,
        wiring: "nothing feeds {it}",
        modules: [],
      },
    ],
    edges: [
      {
        from: "a.b.c",
        to: "d.e.f",
        kind: "data",
        signal: "logs",
        itemsPerSecond: 12_345,
        bytesPerSecond: 1,
        items: 1,
        dropped: 3,
        waiting: 0,
      },
    ],
  };
  assert.equal(
    mermaidText(drawn),
    `flowchart LR
  n0(["a.b<br/>c"])
  n1[("d.e<br/>f")]
  n0 -->|"logs, 12k/s, 3 dropped"| n1
  classDef ok fill:#d8f3dc,stroke:#2d6a4f,color:#000000
  class n0 ok
  classDef failing fill:#ffd6d6,stroke:#b00020,color:#000000
  class n1 failing
  classDef wiring stroke:#b00020,stroke-width:3px,stroke-dasharray:6 4
  class n1 wiring
  %% d.e.f: nothing feeds it
`,
  );
  assert.match(dotText(drawn), /"a\.b\.c" -> "d\.e\.f" \[label="logs, 12k\/s, 3 dropped"\];/);
});
