import { useEffect, useRef } from "preact/hooks";
import { BOX_HEIGHT, BOX_WIDTH, type Layout } from "./layout.ts";
import { lookOf, type Pipeline } from "./pipeline.ts";
import type { Viewport } from "./viewport.ts";

interface MinimapProps {
  readonly pipeline: Pipeline;
  readonly layout: Layout;
  readonly viewport: { readonly current: Viewport | undefined };
}

const MOST_WIDTH = 180;
const MOST_HEIGHT = 120;
/** What matters must not get lost among a thousand. */
const PROBLEM_MARGIN = 30;
/** Smaller graphs are seen as a whole. */
const LEAST_NODES = 40;

/** All of a large graph in small, with the part that is seen: problems show up wherever one looks. A press goes there. */
export function Minimap({ pipeline, layout, viewport }: MinimapProps) {
  const map = useRef<SVGSVGElement>(null);
  const frame = useRef<SVGRectElement>(null);
  const isUsed = pipeline.nodes.size >= LEAST_NODES;
  useEffect(() => {
    if (!isUsed) return;
    const move = () => {
      const seen = viewport.current?.window;
      if (seen === undefined) return;
      for (const name of ["x", "y", "width", "height"] as const)
        frame.current?.setAttribute(name, String(Math.round(seen[name])));
    };
    move();
    return viewport.current?.onChange(move);
  }, [isUsed]);
  if (!isUsed) return null;
  const scale = Math.min(MOST_WIDTH / layout.width, MOST_HEIGHT / layout.height);
  const press = (event: PointerEvent) => {
    if (event.buttons !== 1) return;
    const { left, top } = map.current!.getBoundingClientRect();
    viewport.current?.centre({ x: (event.clientX - left) / scale, y: (event.clientY - top) / scale });
  };
  const paths = statePaths(pipeline, layout, PROBLEM_MARGIN);
  return (
    <svg
      ref={map}
      class="minimap"
      width={layout.width * scale}
      height={layout.height * scale}
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      aria-hidden="true"
      onPointerDown={press}
      onPointerMove={press}
    >
      {[...paths].map(([look, path]) => (
        <path key={look} class={`map-${look}`} d={path} />
      ))}
      <rect ref={frame} class="map-window" />
    </svg>
  );
}

/** All boxes of one state as one shape, for each state; the worst come last. Problems are larger by `margin`. */
export function statePaths(pipeline: Pipeline, layout: Layout, margin: number): ReadonlyMap<string, string> {
  const paths = new Map<string, string>(["none", "ok", "idle", "degraded", "failing"].map((look) => [look, ""]));
  for (const [id, { x, y }] of layout.boxes) {
    const node = pipeline.nodes.get(id);
    if (node === undefined) continue;
    const look = lookOf(node);
    const more = look === "failing" || look === "degraded" ? margin : 0;
    const width = BOX_WIDTH + 2 * more;
    const path = `M${Math.round(x) - more} ${Math.round(y) - more}h${width}v${BOX_HEIGHT + 2 * more}h${-width}z`;
    paths.set(look, paths.get(look) + path);
  }
  return paths;
}
