import type { ComponentChildren } from "preact";
import {
  type ComponentStatusJson,
  type PipelineJson,
  type ReloadJson,
  type StatusJson,
  usePolled,
  webPath,
} from "../../agent.ts";
import { Age, useAgentNow } from "../../parts/age.tsx";
import { Link } from "../../router.tsx";
import { Begin } from "./begin.tsx";
import { ProblemList } from "./problem-list.tsx";
import { idleSources, stateOf, type Trouble, troublesOf } from "./problems.ts";
import { Sketch } from "./sketch.tsx";
import { TotalsTable } from "./totals-table.tsx";

/** The first page: whether all is right, and if not what is wrong, why, since when and what to do. */
export function OverviewView({ status }: { readonly status: StatusJson | undefined }) {
  const { value: pipeline } = usePolled<PipelineJson>(webPath("pipeline"));
  const now = useAgentNow(status);
  if (status === undefined) return <p class="quiet">Asking the agent …</p>;
  const isEmpty = status.components.length === 0 && (pipeline?.nodes.every(({ kind }) => kind === "config") ?? true);
  if (isEmpty && status.failedReload === null) return <Begin status={status} />;
  const troubles = troublesOf(status, pipeline?.nodes ?? []);
  const viewer = status.components.find(({ name }) => name === "invar.viewer");
  return (
    <div class="overview">
      <Verdict status={status} troubles={troubles} now={now}>
        {viewer !== undefined && (
          <Link to="viewer" class="viewer-link">
            Look at the data <span aria-hidden="true">→</span>
          </Link>
        )}
      </Verdict>
      {(troubles.length > 0 || status.failedReload !== null) && (
        <ProblemList status={status} troubles={troubles} now={now} />
      )}
      <section class="panel" aria-labelledby="overview-flow">
        <h2 id="overview-flow">What flows</h2>
        <TotalsTable status={status} />
        {pipeline !== undefined && <Sketch value={pipeline} />}
      </section>
      <div class="overview-columns">
        <IdleSources sources={idleSources(status, pipeline?.nodes ?? [])} />
        {status.lastReload !== null && <LastReload reload={status.lastReload} now={now} />}
      </div>
    </div>
  );
}

interface VerdictProps {
  readonly status: StatusJson;
  readonly troubles: readonly Trouble[];
  readonly now: number;
  readonly children: ComponentChildren;
}

function Verdict({ status, troubles, now, children }: VerdictProps) {
  const { look, mark, title } = verdictOf(status, troubles);
  const count = status.components.length;
  return (
    <header class={`verdict verdict-${look}`}>
      <span class="verdict-mark" aria-hidden="true">
        {mark}
      </span>
      <div>
        <h1>{title}</h1>
        <p class="quiet">
          <Link to="components">{count === 1 ? "1 component" : `${count} components`}</Link>, version {status.version},
          started <Age time={status.started} now={now} />
        </p>
      </div>
      {children}
    </header>
  );
}

function verdictOf(status: StatusJson, troubles: readonly Trouble[]) {
  const count = (look: Trouble["look"]) => troubles.filter((each) => each.look === look).length;
  const [failing, degraded, wiring] = [count("failing"), count("degraded"), count("wiring")];
  const words = [
    failing > 0 ? `${failing} failing` : "",
    degraded > 0 ? `${degraded} degraded` : "",
    wiring > 0 ? `${wiring} wired to nothing` : "",
    status.failedReload === null ? "" : "the last reload failed",
  ].filter(Boolean);
  const title = sentence(words.join(", "));
  if (failing > 0 || status.failedReload !== null) return { look: "failing", mark: "✕", title } as const;
  if (words.length > 0) return { look: "degraded", mark: "!", title } as const;
  const flows = status.components.some((component) => stateOf(component) === "ok");
  if (flows) return { look: "ok", mark: "✓", title: "All is well" } as const;
  return { look: "idle", mark: "–", title: "Nothing is wrong, and nothing flows yet" } as const;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const MOST_SOURCES = 8;

function IdleSources({ sources }: { readonly sources: readonly ComponentStatusJson[] }) {
  if (sources.length === 0) return null;
  const left = sources.length - MOST_SOURCES;
  return (
    <section class="panel" aria-labelledby="overview-idle">
      <h2 id="overview-idle">Waiting for something</h2>
      <ul class="idle-list">
        {sources.slice(0, MOST_SOURCES).map(({ id, flow }) => (
          <li key={id}>
            <Link to={`component/${id}`}>{id}</Link>
            <p class="quiet">{flow.cause}</p>
          </li>
        ))}
      </ul>
      {left > 0 && (
        <Link to="components" query={{ filter: "idle" }}>
          and {left} more
        </Link>
      )}
    </section>
  );
}

const CHANGES = ["added", "updated", "restarted", "removed"] as const;
const MOST_NAMES = 5;

function LastReload({ reload, now }: { readonly reload: ReloadJson; readonly now: number }) {
  const changes = CHANGES.filter((change) => reload[change].length > 0);
  return (
    <section class="panel" aria-labelledby="overview-reload">
      <h2 id="overview-reload">
        Configuration loaded <Age time={reload.time} now={now} />
      </h2>
      {changes.length === 0 && <p class="quiet">It changed no component.</p>}
      <dl class="reload-changes">
        {changes.map((change) => (
          <div key={change}>
            <dt>
              {reload[change].length} {change}
            </dt>
            <dd class="quiet">
              {reload[change].slice(0, MOST_NAMES).join(", ")}
              {reload[change].length > MOST_NAMES && " …"}
            </dd>
          </div>
        ))}
      </dl>
      <Link to="system">Reloads and what they changed</Link>
    </section>
  );
}
