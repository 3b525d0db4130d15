import { useMemo } from "preact/hooks";
import type { PipelineJson } from "../../agent.ts";
import { Link } from "../../router.tsx";
import { BOX_HEIGHT, BOX_WIDTH, type Structure } from "../graph/layout.ts";
import { statePaths } from "../graph/minimap.tsx";
import { type Pipeline, pipelineOf } from "../graph/pipeline.ts";
import { useLayout } from "../graph/use-layout.ts";

/** Wide, since it lies across the page. */
const ASPECT = 4;
const MOST_HEIGHT = 240;
/** Pixels; boxes no larger than this get no names. */
const LEAST_NAMED_HEIGHT = 26;

/** The pipeline at a glance: a small drawing that leads to the large one. */
export function Sketch({ value }: { readonly value: PipelineJson }) {
  const pipeline = useMemo(() => withoutLoners(pipelineOf(value)), [value]);
  const structure = useMemo<Structure>(
    () => ({ nodes: [...pipeline.nodes.keys()], edges: [...pipeline.edges.values()] }),
    [pipeline],
  );
  const layout = useLayout(structure, ASPECT, "sketch");
  if (layout === undefined || layout.boxes.size === 0) return <div class="sketch" />;
  const room = Math.min(document.documentElement.clientWidth, 1400) - 80;
  const scale = Math.min(room / layout.width, MOST_HEIGHT / layout.height, 0.62);
  const paths = statePaths(pipeline, layout, 0);
  const lines = [...pipeline.edges.keys()].map((key) => layout.routes.get(key)?.path ?? "").join("");
  const isNamed = BOX_HEIGHT * scale >= LEAST_NAMED_HEIGHT;
  return (
    <Link to="graph" class={isNamed ? "sketch" : "sketch sketch-small"}>
      <span class="hidden">The pipeline as a graph of {value.nodes.length} nodes</span>
      <svg
        width={layout.width * scale}
        height={layout.height * scale}
        viewBox={`-4 -4 ${layout.width + 8} ${layout.height + 8}`}
        aria-hidden="true"
      >
        <path class="sketch-lines" d={lines} />
        {[...paths].map(([look, path]) => (
          <path key={look} class={`sketch-${look}`} d={path} />
        ))}
        {isNamed &&
          [...layout.boxes].map(([id, { x, y }]) => {
            const node = pipeline.nodes.get(id);
            if (node === undefined) return null;
            return (
              <g key={id} transform={`translate(${x + BOX_WIDTH / 2} ${y + BOX_HEIGHT / 2})`}>
                <text class="sketch-name" y="-6">
                  {short(node.name)}
                </text>
                <text class="sketch-label" y="18">
                  {short(node.label)}
                </text>
              </g>
            );
          })}
      </svg>
    </Link>
  );
}

/** Blocks that are connected to nothing say nothing about what flows, and only take room; unless there is nothing else. */
function withoutLoners(pipeline: Pipeline): Pipeline {
  const isConnected = (id: string) => pipeline.into.get(id)!.length + pipeline.outOf.get(id)!.length > 0;
  const nodes = [...pipeline.nodes.values()].filter(({ id, role }) => role !== "config" && isConnected(id));
  if (nodes.length === 0) return pipeline;
  return pipelineOf({ moduleId: pipeline.moduleId, nodes, edges: [...pipeline.edges.values()] });
}

function short(text: string): string {
  return text.length > 26 ? `${text.slice(0, 25)}…` : text;
}
