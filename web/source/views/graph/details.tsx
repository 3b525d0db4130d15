import type { ComponentChildren } from "preact";
import type { ComponentStatusJson, PipelineEdgeJson, PipelineNodeJson, StatusJson } from "../../agent.ts";
import { Age, useAgentNow } from "../../parts/age.tsx";
import { Held } from "../../parts/held.tsx";
import { State } from "../../parts/state.tsx";
import { Link, usePlace } from "../../router.tsx";
import { bytesText, durationText, numberText, rateText } from "../../text.ts";
import { lookOf, type Pipeline, troubleOf, waitText } from "./pipeline.ts";

interface DetailsProps {
  readonly pipeline: Pipeline;
  readonly node: PipelineNodeJson;
  readonly status: StatusJson | undefined;
  readonly isOnly: boolean;
  onSelect(id: string): void;
  onOnly(id: string): void;
}

/** What the graph knows of the selected box, beside it. */
export function Details({ pipeline, node, status, isOnly, onSelect, onOnly }: DetailsProps) {
  const now = useAgentNow(status);
  const component = status?.components.find(({ id }) => id === node.id);
  const look = lookOf(node);
  const trouble = troubleOf(node);
  const into = pipeline.into.get(node.id)!;
  const outOf = pipeline.outOf.get(node.id)!;
  return (
    <aside class="graph-details" aria-label={`About ${node.localId}`}>
      <header>
        <div>
          <div class="quiet">{node.name}</div>
          <h2>{node.label || node.name}</h2>
        </div>
        <button type="button" class="graph-close" aria-label="Close" onClick={() => onSelect("")}>
          ✕
        </button>
      </header>
      <p class="graph-states">
        {look === "none" ? <span class="quiet">{kindText(node)}</span> : <State state={look} />}
        {component !== undefined && look !== "none" && (
          <span class="quiet">
            {" "}
            <Held since={component.flow.since} now={now} />
          </span>
        )}
      </p>
      {trouble !== "" && <p class={`graph-trouble look-${look}`}>{trouble}</p>}
      <Facts component={component} now={now} />
      <p class="graph-actions">
        <Link to={`component/${node.id}`} class="button-link">
          Open its page
        </Link>
        {node.modules.length === 1 && (
          <Link to="graph" query={{ module: node.modules[0]! }} class="button-link">
            Show what is inside
          </Link>
        )}
        <button type="button" aria-pressed={isOnly} onClick={() => onOnly(isOnly ? "" : node.id)}>
          Only what is connected
        </button>
      </p>
      {node.modules.length > 1 && <Modules ids={node.modules} />}
      <Neighbours title="Receives from" edges={into} end="from" pipeline={pipeline} onSelect={onSelect} />
      <Neighbours title="Sends to" edges={outOf} end="to" pipeline={pipeline} onSelect={onSelect} />
    </aside>
  );
}

function kindText({ kind }: PipelineNodeJson): string {
  return kind === "config" ? "a block of the agent's configuration" : kind;
}

function Facts({ component, now }: { readonly component: ComponentStatusJson | undefined; readonly now: number }) {
  if (component === undefined) return null;
  const { received, sent, dropped, queue, rates, lastSuccess } = component.flow;
  const facts: [string, ComponentChildren][] = [];
  if (received.items > 0) facts.push(["In", `${rateText(rates.received)}, ${numberText(received.items)} in all`]);
  const out = sent.reduce((sum, { items }) => sum + items, 0);
  if (out > 0) facts.push(["Out", `${rateText(rates.sent)}, ${numberText(out)} in all`]);
  for (const { reason, items } of dropped) facts.push(["Dropped", `${numberText(items)} (${reason})`]);
  if (queue !== null && queue.bytes > 0) {
    const full = queue.fullInSeconds === null ? "" : `, full in ${durationText(queue.fullInSeconds * 1000)}`;
    facts.push(["Queue", bytesText(queue.bytes) + full]);
  }
  if (lastSuccess !== null) facts.push(["Last success", <Age key="age" time={lastSuccess} now={now} />]);
  if (facts.length === 0) return null;
  return (
    <dl class="graph-facts">
      {facts.map(([name, value], i) => (
        <div key={`${name} ${i}`}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface NeighboursProps {
  readonly title: string;
  readonly edges: readonly PipelineEdgeJson[];
  readonly end: "from" | "to";
  readonly pipeline: Pipeline;
  onSelect(id: string): void;
}

function Neighbours({ title, edges, end, pipeline, onSelect }: NeighboursProps) {
  if (edges.length === 0) return null;
  return (
    <section>
      <h3>
        {title} {edges.length > 1 && <span class="quiet">{edges.length}</span>}
      </h3>
      <ul>
        {edges.map((edge) => (
          <li key={edge[end]}>
            <button type="button" class="graph-neighbour" onClick={() => onSelect(edge[end])}>
              {pipeline.nodes.get(edge[end])!.localId}
            </button>
            <EdgeWords edge={edge} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What flows along an edge, and what does not. */
function EdgeWords({ edge }: { readonly edge: PipelineEdgeJson }) {
  if (edge.kind !== "data") return <span class="quiet">{edge.kind}</span>;
  return (
    <>
      <span class="quiet">{rateText(edge.itemsPerSecond)}</span>
      {waitText(edge) !== "" && <span class="flow-waiting">{waitText(edge)}</span>}
      {edge.dropped > 0 && <span class="flow-losing">{numberText(edge.dropped)} dropped</span>}
    </>
  );
}

function Modules({ ids }: { readonly ids: readonly string[] }) {
  const { query } = usePlace();
  const here = query.get("module") ?? "";
  return (
    <section>
      <h3>
        Opens <span class="quiet">{ids.length}</span>
      </h3>
      <ul>
        {ids.map((id) => (
          <li key={id}>
            <Link to="graph" query={{ module: id }}>
              {here !== "" && id.startsWith(`${here}/`) ? id.slice(here.length + 1) : id}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
