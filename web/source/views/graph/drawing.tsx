import { useLayoutEffect, useRef } from "preact/hooks";
import type { PipelineEdgeJson, PipelineNodeJson } from "../../agent.ts";
import { addressOf } from "../../router.tsx";
import { rateText } from "../../text.ts";
import { Box } from "./box.tsx";
import { Edge, EdgeMarkers, EdgeNote } from "./edge.tsx";
import { BOX_HEIGHT, BOX_WIDTH, type Layout } from "./layout.ts";
import { edgeTrouble, lookOf, lossText, type Pipeline, rateLine, spokenNode, troubleOf } from "./pipeline.ts";
import { overlaps, type Seen, useSeen } from "./use-seen.ts";
import { type View, Viewport } from "./viewport.ts";
import { columnNeighbour, flowNeighbour } from "./walk.ts";

interface DrawingProps {
  readonly pipeline: Pipeline;
  readonly layout: Layout;
  readonly selected: string;
  /** What is looked for: all else is dimmed. */
  readonly hits: ReadonlySet<string> | undefined;
  /** What the address says of the view. */
  readonly view: View;
  /** Set while there is a drawing. */
  readonly viewport: { current: Viewport | undefined };
  onView(view: View): void;
  onSelect(id: string): void;
  /** Selects, and takes the focus to what is known of the box. */
  onVisit(id: string): void;
  onOpen(id: string): void;
  onInside(moduleId: string): void;
}

/** More lines than this do not move, for that would cost more than it shows. */
const MOST_MOVING = 150;
const PAN_STEP = 80;

/** Boxes and lines. Moving about in it is the viewport's work; this draws anew only what changed. */
export function Drawing(props: DrawingProps) {
  const { pipeline, layout, selected, hits, view, viewport } = props;
  const svg = useRef<SVGSVGElement>(null);
  const world = useRef<SVGGElement>(null);
  const now = useRef(props);
  now.current = props;
  const settled = useRef("");

  useLayoutEffect(() => {
    const created = new Viewport(svg.current!, world.current!, (next) => {
      settled.current = viewText(next);
      now.current.onView(next);
    });
    viewport.current = created;
    return () => {
      created.close();
      viewport.current = undefined;
    };
  }, []);
  useLayoutEffect(() => {
    const { width, height } = layout;
    const centre = boxAt(layout, selected);
    viewport.current!.extend({ x: 0, y: 0, width, height }, centre);
  }, [layout]);
  // At first, and when a step in the history changes the address.
  useLayoutEffect(() => {
    if (viewText(view) === settled.current) return;
    settled.current = viewText(view);
    viewport.current!.show(view);
  }, [viewText(view)]);

  const seen = useSeen(viewport);
  const isFlowing = (edge: PipelineEdgeJson) => edge.kind === "data" && edge.itemsPerSecond > 0;
  let flowing = 0;
  for (const edge of pipeline.edges.values()) if (isFlowing(edge)) flowing += 1;

  const click = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const id = idAt(event.target);
    if (id === undefined) {
      props.onSelect("");
      return;
    }
    event.preventDefault();
    if (insideAt(event.target)) props.onInside(pipeline.nodes.get(id)!.modules[0]!);
    else if (event.detail === 0) props.onOpen(id);
    else props.onSelect(id);
  };
  const doubleClick = (event: MouseEvent) => {
    const id = idAt(event.target);
    if (id !== undefined && !insideAt(event.target)) props.onOpen(id);
  };
  const focus = (event: FocusEvent) => {
    const box = boxAt(layout, idAt(event.target) ?? "");
    if (box !== undefined && (event.target as Element).matches(":focus-visible")) viewport.current!.reveal(box, true);
  };
  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const id = idAt(event.target);
    if (id !== undefined && event.key === " ") {
      event.preventDefault();
      props.onVisit(id);
      return;
    }
    const direction = DIRECTIONS.get(event.key);
    if (direction === undefined) return;
    event.preventDefault();
    const [dx, dy] = direction;
    if (id === undefined || event.shiftKey) {
      viewport.current!.panBy(-dx * PAN_STEP, -dy * PAN_STEP);
      return;
    }
    const next = dx === 0 ? columnNeighbour(layout, id, dy) : flowNeighbour(pipeline, layout, id, dx);
    if (next !== undefined) focusBox(svg.current!, next);
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be drawn in
    <svg
      ref={svg}
      class={`graph-drawing ${flowing > MOST_MOVING ? "still" : ""}`}
      role="group"
      aria-label={`Graph of ${pipeline.nodes.size} nodes. Arrow keys move it, and walk from box to box.`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it is moved by keys
      tabIndex={0}
      onClick={click}
      onDblClick={doubleClick}
      onFocusIn={focus}
      onKeyDown={key}
    >
      <EdgeMarkers />
      <g ref={world}>
        {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: lines take no focus, and the boxes say what they are connected to */}
        <g aria-hidden="true">
          {[...pipeline.edges].map(([name, edge]) => {
            const route = layout.routes.get(name);
            if (route === undefined) return null;
            const isSeen = overlaps(seen, route.bounds);
            // Nobody misses a line far outside, but all of them are there in a view from afar.
            if (seen !== "far" && !isSeen) return null;
            const { from, to, kind } = edge;
            return (
              <Edge
                key={name}
                path={route.path}
                kind={kind}
                thickness={thicknessOf(edge)}
                isFlowing={isSeen && isFlowing(edge)}
                isDim={hits !== undefined && !(hits.has(from) && hits.has(to))}
                isNear={from === selected || to === selected}
                trouble={edgeTrouble(pipeline, edge)}
              />
            );
          })}
          {notesOf(props, seen)}
        </g>
        <g>
          {[...layout.boxes].map(([id, { x, y }]) => {
            const node = pipeline.nodes.get(id);
            if (node === undefined) return null;
            const isFull = overlaps(seen, { x, y, width: BOX_WIDTH, height: BOX_HEIGHT });
            const { name, label, kind, wiring, modules } = node;
            return (
              <Box
                key={id}
                id={id}
                x={x}
                y={y}
                name={name}
                label={label}
                kind={kind}
                look={lookOf(node)}
                note={isFull ? wiring || troubleOf(node) || rateLine(node) : ""}
                isDead={wiring !== ""}
                spoken={spokenNode(pipeline, node, isFull)}
                href={hrefOf(node)}
                inside={modules.length === 1 ? addressOf("graph", { module: modules[0]! }) : ""}
                isSelected={id === selected}
                isDim={hits !== undefined && !hits.has(id)}
                isFull={isFull}
              />
            );
          })}
        </g>
      </g>
    </svg>
  );
}

const DIRECTIONS: ReadonlyMap<string, readonly [dx: number, dy: number]> = new Map([
  ["ArrowLeft", [-1, 0]],
  ["ArrowRight", [1, 0]],
  ["ArrowUp", [0, -1]],
  ["ArrowDown", [0, 1]],
]);

/** Rates of more lines than this would cover each other; the table beside the drawing has them all. */
const MOST_RATES = 8;

/** The texts on lines: what is lost or waits, and what flows from and to the selected box. */
function notesOf({ pipeline, layout, selected }: DrawingProps, seen: Seen) {
  const near = (pipeline.into.get(selected)?.length ?? 0) + (pipeline.outOf.get(selected)?.length ?? 0);
  return [...pipeline.edges].map(([name, edge]) => {
    const route = layout.routes.get(name);
    if (route === undefined || !overlaps(seen, route.bounds)) return null;
    const isNear = edge.kind === "data" && near <= MOST_RATES && (edge.from === selected || edge.to === selected);
    const text = lossText(edge) || (isNear ? rateText(edge.itemsPerSecond) : "");
    if (text === "") return null;
    const { x, y } = route.middle;
    return <EdgeNote key={name} x={x} y={y} text={text} trouble={edgeTrouble(pipeline, edge)} />;
  });
}

function hrefOf({ id, modules }: PipelineNodeJson): string {
  return modules.length === 1 ? addressOf("graph", { module: modules[0]! }) : addressOf(`component/${id}`);
}

export function boxAt(layout: Layout, id: string) {
  const corner = layout.boxes.get(id);
  return corner === undefined ? undefined : { ...corner, width: BOX_WIDTH, height: BOX_HEIGHT };
}

function viewText(view: View): string {
  return typeof view === "string" ? view : `${view.zoom.toFixed(3)} ${Math.round(view.x)} ${Math.round(view.y)}`;
}

/** Thicker by orders of magnitude: a thousand times the items are about three times as thick. */
function thicknessOf({ kind, itemsPerSecond }: PipelineEdgeJson): number {
  return kind === "data" ? Math.round((1.4 + Math.min(5, Math.log10(1 + itemsPerSecond) * 1.2)) * 5) / 5 : 1.2;
}

function idAt(target: EventTarget | null): string | undefined {
  return (target as Element).closest<SVGGElement>("[data-id]")?.dataset.id;
}
function insideAt(target: EventTarget | null): boolean {
  return (target as Element).closest("[data-inside]") !== null;
}

export function focusBox(svg: Element, id: string): void {
  svg.querySelector<SVGAElement>(`[data-id="${CSS.escape(id)}"] > a`)?.focus({ preventScroll: true });
}
