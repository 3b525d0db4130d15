import { useEffect, useMemo, useRef } from "preact/hooks";
import { type PipelineJson, type StatusJson, usePolled, webPath } from "../../agent.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { go, Link, setQuery, usePlace } from "../../router.tsx";
import { Details } from "./details.tsx";
import { boxAt, Drawing, focusBox } from "./drawing.tsx";
import { EdgeTable } from "./edge-table.tsx";
import type { Structure } from "./layout.ts";
import { Legend } from "./legend.tsx";
import { Minimap } from "./minimap.tsx";
import { connectedTo, moduleCrumbs, type Pipeline, pipelineOf } from "./pipeline.ts";
import { CHOICE_TITLES, CHOICES, choiceCounts, findNodes, nextHit } from "./search.ts";
import { useLayout } from "./use-layout.ts";
import type { View, Viewport } from "./viewport.ts";

/** Of the whole drawing; for phones upright. */
const WIDE = 1.7;
const NARROW = 0.6;

/** The pipeline of one module as boxes and arrows. All of what is chosen stands in the address. */
export function GraphView({ moduleId }: { readonly moduleId: string }) {
  const { query } = usePlace();
  const { value, error } = usePolled<PipelineJson>(webPath("pipeline", { module: moduleId }));
  const { value: status } = usePolled<StatusJson>(webPath("status"));
  const all = useMemo(() => (value === undefined ? undefined : pipelineOf(value)), [value]);
  const only = query.get("only") ?? "";
  const pipeline = useMemo(() => (all === undefined ? undefined : narrowed(all, only)), [all, only]);
  return (
    <div class="graph-view">
      <Problem error={error} />
      {pipeline === undefined ? (
        error !== undefined && <Crumbs moduleId={moduleId} />
      ) : pipeline.nodes.size === 0 ? (
        <>
          <Crumbs moduleId={moduleId} />
          <Empty title="Nothing to draw">
            <p>
              {moduleId === "" ? "The configuration has no components. " : "This module is empty. "}
              <Link to="">The overview says how to begin.</Link>
            </p>
          </Empty>
        </>
      ) : (
        <Graph key={moduleId} pipeline={pipeline} status={status} only={only} />
      )}
    </div>
  );
}

function narrowed(pipeline: Pipeline, only: string): Pipeline {
  if (!pipeline.nodes.has(only)) return pipeline;
  const kept = connectedTo(pipeline, only);
  return pipelineOf({
    moduleId: pipeline.moduleId,
    nodes: [...pipeline.nodes.values()].filter(({ id }) => kept.has(id)),
    edges: [...pipeline.edges.values()],
  });
}

interface GraphProps {
  readonly pipeline: Pipeline;
  readonly status: StatusJson | undefined;
  readonly only: string;
}

function Graph({ pipeline, status, only }: GraphProps) {
  const { query } = usePlace();
  const stage = useRef<HTMLDivElement>(null);
  const viewport = useRef<Viewport | undefined>(undefined);
  const words = query.get("q") ?? "";
  const choice = query.get("state") ?? "";
  const selected = query.get("selected") ?? "";
  const isTable = query.get("as") === "table";
  const structure = useMemo<Structure>(
    () => ({ nodes: [...pipeline.nodes.keys()], edges: [...pipeline.edges.values()] }),
    [pipeline],
  );
  const isNarrow = window.innerWidth < 700;
  const layout = useLayout(structure, isNarrow ? NARROW : WIDE, `${pipeline.moduleId} ${only}`);
  const hits = useMemo(() => findNodes(pipeline, words, choice), [pipeline, words, choice]);
  const node = pipeline.nodes.get(selected);

  const isVisited = useRef(false);
  const select = (id: string) => setQuery({ selected: id });
  const leave = () => {
    select("");
    if (selected !== "" && stage.current?.contains(document.activeElement)) focusBox(stage.current, selected);
  };
  const reveal = (id: string) => {
    const box = layout === undefined ? undefined : boxAt(layout, id);
    if (box !== undefined) viewport.current?.reveal(box, true);
  };
  const goToHit = (step: number) => {
    const next = hits && layout && nextHit([...layout.boxes.keys()], hits, selected, step);
    if (next === undefined) return;
    select(next);
    viewport.current?.visit(boxAt(layout!, next)!);
  };
  const inside = (moduleId: string) => go("graph", { module: moduleId });
  const open = (id: string) => {
    const modules = pipeline.nodes.get(id)?.modules ?? [];
    if (modules.length === 0) go(`component/${id}`);
    else if (modules.length === 1) inside(modules[0]!);
    else select(id);
  };
  const show = (view: View) =>
    setQuery(
      typeof view === "string"
        ? { zoom: view === "fit" ? "fit" : "", x: "", y: "" }
        : { zoom: view.zoom.toFixed(3), x: String(Math.round(view.x)), y: String(Math.round(view.y)) },
    );
  const isCovered = node !== undefined && !isTable;
  const isDrawn = layout !== undefined && !isTable;
  useEffect(() => {
    if (!isCovered || !isDrawn) return;
    const details = stage.current!.querySelector<HTMLElement>(".graph-details")!;
    const isBelow = details.offsetWidth > stage.current!.offsetWidth * 0.7;
    viewport.current?.cover(isBelow ? 0 : details.offsetWidth, isBelow ? details.offsetHeight : 0);
    reveal(selected);
    if (isVisited.current) focusDetails(stage.current!);
    isVisited.current = false;
    return () => viewport.current?.cover(0, 0);
  }, [selected, isCovered, isDrawn]);
  useGraphKeys(viewport, leave);

  return (
    <>
      <div class="controls">
        <Crumbs moduleId={pipeline.moduleId} />
        <input
          type="search"
          aria-label="Search the graph"
          placeholder="Search: name, state, cause"
          value={words}
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === "Enter") goToHit(event.shiftKey ? -1 : 1);
          }}
        />
        <StateChoice pipeline={pipeline} choice={choice} />
        {hits !== undefined && (
          <span class="graph-hits">
            <button type="button" aria-label="Previous hit" disabled={hits.size === 0} onClick={() => goToHit(-1)}>
              ‹
            </button>
            <span role="status">
              {hits.size} of {pipeline.nodes.size}
            </span>
            <button type="button" aria-label="Next hit" disabled={hits.size === 0} onClick={() => goToHit(1)}>
              ›
            </button>
          </span>
        )}
        {only !== "" && pipeline.nodes.has(only) && (
          <button type="button" aria-pressed="true" onClick={() => setQuery({ only: "", zoom: "" }, {})}>
            only what is connected to {pipeline.nodes.get(only)!.localId} ✕
          </button>
        )}
        <button type="button" aria-pressed={isTable} onClick={() => setQuery({ as: isTable ? "" : "table" }, {})}>
          As a table
        </button>
      </div>
      <div class="graph-stage" ref={stage}>
        {isTable ? (
          <EdgeTable pipeline={pipeline} ids={[...(layout?.boxes.keys() ?? structure.nodes)]} hits={hits} />
        ) : layout === undefined ? (
          <p class="quiet laying-out">Placing {pipeline.nodes.size} boxes …</p>
        ) : (
          <>
            <button
              type="button"
              class="skip"
              onClick={() => stage.current!.querySelector<HTMLElement>(".graph-zoom button")!.focus()}
            >
              Skip the drawing
            </button>
            <Drawing
              key={only}
              pipeline={pipeline}
              layout={layout}
              selected={selected}
              hits={hits}
              view={viewOf(query)}
              viewport={viewport}
              onView={show}
              onSelect={select}
              onVisit={(id) => {
                isVisited.current = id !== selected;
                if (id === selected) focusDetails(stage.current!);
                else select(id);
              }}
              onOpen={open}
              onInside={inside}
            />
            <div class="graph-corner">
              <Minimap pipeline={pipeline} layout={layout} viewport={viewport} />
              <ZoomButtons viewport={viewport} />
            </div>
            <Legend />
          </>
        )}
        {isCovered && (
          <Details
            pipeline={pipeline}
            node={node}
            status={status}
            isOnly={only === selected}
            onSelect={(id) => {
              if (id === "") leave();
              else select(id);
            }}
            onOnly={(id) => setQuery({ only: id, zoom: "", x: "", y: "" }, {})}
          />
        )}
      </div>
    </>
  );
}

function focusDetails(stage: HTMLElement): void {
  stage.querySelector<HTMLElement>(".graph-details a")?.focus();
}

function viewOf(query: URLSearchParams): View {
  const zoom = query.get("zoom");
  if (zoom === "fit") return "fit";
  const [x, y] = [Number(query.get("x")), Number(query.get("y"))];
  const position = { zoom: Number(zoom), x, y };
  return position.zoom > 0 && Number.isFinite(x) && Number.isFinite(y) ? position : "first";
}

function Crumbs({ moduleId }: { readonly moduleId: string }) {
  const crumbs = moduleCrumbs(moduleId);
  if (crumbs.length === 0) return <h1 class="hidden">Graph</h1>;
  return (
    <nav class="graph-crumbs" aria-label="Modules">
      <h1 class="hidden">Graph of {moduleId}</h1>
      <Link to="graph">whole pipeline</Link>
      {crumbs.map(({ id, title }, i) => (
        <span key={id}>
          <span aria-hidden="true"> › </span>
          {i === crumbs.length - 1 ? (
            <b>{title}</b>
          ) : (
            <Link to="graph" query={{ module: id }}>
              {title}
            </Link>
          )}
        </span>
      ))}
    </nav>
  );
}

function StateChoice({ pipeline, choice }: { readonly pipeline: Pipeline; readonly choice: string }) {
  const counts = useMemo(() => choiceCounts(pipeline), [pipeline]);
  return (
    <select
      aria-label="Show states"
      value={choice}
      onChange={(event) => setQuery({ state: event.currentTarget.value })}
    >
      <option value="">all states</option>
      {CHOICES.filter((each) => each === choice || counts.get(each)! > 0).map((each) => (
        <option key={each} value={each}>
          {CHOICE_TITLES[each]} ({counts.get(each)})
        </option>
      ))}
    </select>
  );
}

function ZoomButtons({ viewport }: { readonly viewport: { readonly current: Viewport | undefined } }) {
  return (
    <div class="graph-zoom" role="toolbar" aria-label="Zoom">
      <button type="button" aria-label="Zoom in" title="Key +" onClick={() => viewport.current?.zoomBy(1.3)}>
        +
      </button>
      <button type="button" aria-label="Zoom out" title="Key −" onClick={() => viewport.current?.zoomBy(1 / 1.3)}>
        −
      </button>
      <button type="button" title="Key 0" onClick={() => viewport.current?.show("fit", true)}>
        Fit
      </button>
    </div>
  );
}

/** `+`, `−`, `0` and Escape, wherever the focus is but in fields. */
function useGraphKeys(viewport: { readonly current: Viewport | undefined }, onEscape: () => void): void {
  const close = useRef(onEscape);
  close.current = onEscape;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test((event.target as Element).tagName)) return;
      if (event.key === "+" || event.key === "=") viewport.current?.zoomBy(1.3);
      else if (event.key === "-") viewport.current?.zoomBy(1 / 1.3);
      else if (event.key === "0") viewport.current?.show("fit", true);
      else if (event.key === "Escape") close.current();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}
