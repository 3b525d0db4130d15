import type { PipelineEdgeJson, PipelineNodeJson } from "../../agent.ts";
import { State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";
import { bytesText, numberText, rateText } from "../../text.ts";
import { lookOf, type Pipeline, troubleOf, waitText } from "./pipeline.ts";

interface EdgeTableProps {
  readonly pipeline: Pipeline;
  /** In the order of the drawing. */
  readonly ids: readonly string[];
  readonly hits: ReadonlySet<string> | undefined;
}

/** The same as the drawing, in words: every node with where its data goes. */
export function EdgeTable({ pipeline, ids, hits }: EdgeTableProps) {
  const nodes = ids.flatMap((id) => pipeline.nodes.get(id) ?? []);
  const shown = hits === undefined ? nodes : nodes.filter(({ id }) => hits.has(id));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="graph-table" aria-label="The graph as a table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">State</th>
            <th scope="col">To</th>
            <th scope="col">What</th>
            <th scope="col" class="number">
              Items
            </th>
            <th scope="col" class="number graph-optional">
              Bytes
            </th>
            <th scope="col" class="number">
              Dropped
            </th>
            <th scope="col" class="number graph-optional">
              Waiting
            </th>
          </tr>
        </thead>
        <tbody>{shown.map((node) => rowsOf(pipeline, node))}</tbody>
      </table>
    </section>
  );
}

function rowsOf(pipeline: Pipeline, node: PipelineNodeJson) {
  const edges = pipeline.outOf.get(node.id)!;
  const count = Math.max(1, edges.length);
  const look = lookOf(node);
  const trouble = troubleOf(node);
  return Array.from({ length: count }, (_, i) => (
    <tr key={`${node.id} ${edges[i]?.to ?? ""}`}>
      {i === 0 && (
        <>
          <th scope="rowgroup" rowSpan={count}>
            <Link to={`component/${node.id}`}>{node.localId}</Link>
          </th>
          <td rowSpan={count}>
            {look === "none" ? <span class="quiet">–</span> : <State state={look} />}
            {trouble !== "" && <div class="graph-cause quiet">{trouble}</div>}
          </td>
        </>
      )}
      <EdgeCells edge={edges[i]} pipeline={pipeline} />
    </tr>
  ));
}

function EdgeCells({ edge, pipeline }: { readonly edge: PipelineEdgeJson | undefined; readonly pipeline: Pipeline }) {
  if (edge === undefined) {
    return (
      <td colSpan={6} class="quiet">
        nothing
      </td>
    );
  }
  const isData = edge.kind === "data";
  return (
    <>
      <td>{pipeline.nodes.get(edge.to)!.localId}</td>
      <td class="quiet">{isData ? (edge.signal ?? "data") : edge.kind}</td>
      <td class="number">{isData && rateText(edge.itemsPerSecond)}</td>
      <td class="number graph-optional">{isData && `${bytesText(Math.round(edge.bytesPerSecond))}/s`}</td>
      <td class="number">{edge.dropped > 0 && <span class="flow-losing">{numberText(edge.dropped)}</span>}</td>
      <td class="number graph-optional">{waitText(edge) !== "" && numberText(edge.waiting)}</td>
    </>
  );
}
