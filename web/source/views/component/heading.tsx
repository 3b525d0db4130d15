import type { ExplainJson, FlowJson } from "../../agent.ts";
import { Age } from "../../parts/age.tsx";
import { Health, State } from "../../parts/state.tsx";
import { localIdOf } from "../../parts/tokens.ts";
import { Link } from "../../router.tsx";

interface HeadingProps {
  readonly explained: ExplainJson;
  readonly now: number;
}

/** What it is, how it is, and what to do about it. */
export function Heading({ explained, now }: HeadingProps) {
  const { id, name, label, moduleId, health, flow, source, wiring, kind } = explained;
  return (
    <header class="component-heading">
      <Breadcrumb moduleId={moduleId} />
      <div class="component-title">
        <h1>
          <span class="mono">{name}</span> {label !== "" && <span class="mono component-label">{label}</span>}
        </h1>
        {flow !== null && (
          <span class="badge">
            <span class="quiet">data flow</span> <State state={flow.state} />
          </span>
        )}
        <span class="badge">
          <span class="quiet">lifecycle</span> <Health health={health} />
        </span>
        <nav class="component-actions" aria-label="Views of this component">
          {kind === "component" && <Link to={`live/${id}`}>Live</Link>}
          <Link to="graph" query={{ module: moduleId, selected: id }}>
            Graph
          </Link>
          <Link to={`component/${id}`} query={{ section: "reference" }}>
            Reference
          </Link>
        </nav>
      </div>
      {flow !== null && <Cause flow={flow} now={now} />}
      {wiring !== "" && (
        <p class="cause degraded">
          <b>Wiring:</b> {wiring}
        </p>
      )}
      {health.state !== "healthy" && (
        <p class={health.state === "unknown" ? "cause idle" : "cause failing"}>
          <b>{health.state}:</b> {health.message}
        </p>
      )}
      <dl class="component-facts">
        {flow?.lastSuccess != null && (
          <div>
            <dt>Last success</dt>
            <dd>
              <Age time={flow.lastSuccess} now={now} />
            </dd>
          </div>
        )}
        {flow?.lastError != null && (
          <div>
            <dt>Last error</dt>
            <dd>
              <Age time={flow.lastError.time} now={now} />
              {flow.lastError.message !== flow.cause && <>: {flow.lastError.message}</>}
            </dd>
          </div>
        )}
        <div>
          <dt>Lifecycle</dt>
          <dd>
            {health.state === "healthy" ? health.message : health.state} <Age time={health.updatedTime} now={now} />
          </dd>
        </div>
        <div>
          <dt>Written in</dt>
          <dd class="mono">
            {source.file}:{source.line}
          </dd>
        </div>
      </dl>
    </header>
  );
}

function Breadcrumb({ moduleId }: { readonly moduleId: string }) {
  const parts = moduleId === "" ? [] : moduleId.split("/");
  return (
    <nav class="breadcrumb" aria-label="Module">
      <Link to="components">Components</Link>
      {parts.map((part, i) => {
        const id = parts.slice(0, i + 1).join("/");
        // The insides of a foreach have names of their own, which are no blocks.
        const isBlock = !part.startsWith("foreach_");
        return (
          <span key={id}>
            <span aria-hidden="true"> › </span>
            {isBlock ? (
              <Link to={`component/${id}`}>{localIdOf(id)}</Link>
            ) : (
              <Link to="graph" query={{ module: id }}>
                {part}
              </Link>
            )}
          </span>
        );
      })}
    </nav>
  );
}

function Cause({ flow, now }: { readonly flow: FlowJson; readonly now: number }) {
  const { state, cause, rule, since } = flow;
  if (state === "ok" && cause === "") return null;
  return (
    <div class={`cause ${state}`}>
      <p>{cause}</p>
      <p class="quiet">
        {state} since <Age time={since} now={now} />
        {rule !== "" && (
          <>
            , says the rule <code>{rule}</code>
          </>
        )}
      </p>
    </div>
  );
}
