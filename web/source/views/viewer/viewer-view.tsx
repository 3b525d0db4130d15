import { useEffect, useState } from "preact/hooks";
import { type StatusJson, usePolled } from "../../agent.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { Link, setQuery, usePlace } from "../../router.tsx";
import { bytesText, numberText } from "../../text.ts";
import { LogsTab } from "./logs-tab.tsx";
import { MetricsTab } from "./metrics-tab.tsx";
import { TracesTab } from "./traces-tab.tsx";
import { type TabProps, type ViewerStatus, viewerPath, viewersOf } from "./viewer.ts";

const TABS = [
  { path: "logs", title: "Logs", kept: "logs", example: 'error job=web -level=debug "two words"' },
  { path: "metrics", title: "Metrics", kept: "series", example: "cpu mode=idle" },
  { path: "traces", title: "Traces", kept: "traces", example: "checkout service=shop" },
] as const;

/** What a component `invar.viewer` keeps of the last minutes: logs, series, traces. */
export function ViewerView({ tab, status }: { readonly tab: string; readonly status: StatusJson | undefined }) {
  const { query } = usePlace();
  const viewers = viewersOf(status);
  const viewer = viewers.find((id) => id === query.get("viewer")) ?? viewers[0];
  const path = viewer === undefined ? undefined : viewerPath(viewer, "status");
  const { value: state, error } = usePolled<ViewerStatus>(path);
  if (status === undefined) return null;
  if (viewer === undefined) return <NoViewer />;
  const current = TABS.find((each) => each.path === tab) ?? TABS[0];
  const filter = query.get("filter") ?? "";
  const pick = (term: string) => setQuery({ filter: `${filter} ${term}`.trim() });
  const Tab: (props: TabProps) => preact.JSX.Element = { logs: LogsTab, metrics: MetricsTab, traces: TracesTab }[
    current.path
  ];
  return (
    <section class="viewer">
      <h1 class="hidden">Viewer: {current.title}</h1>
      <div class="controls">
        <nav class="tabs" aria-label="What to look at">
          {TABS.map(({ path, title, kept }) => (
            <Link
              key={path}
              to={`viewer/${path}`}
              query={viewers.length > 1 ? { viewer } : {}}
              aria-current={path === current.path ? "page" : undefined}
            >
              {title} <span class="count">{state === undefined ? "" : numberText(state[kept].kept)}</span>
            </Link>
          ))}
        </nav>
        <FilterField key={current.path} filter={filter} example={current.example} what={current.title} />
        {viewers.length > 1 && (
          <select
            aria-label="Viewer"
            value={viewer}
            onChange={(event) => setQuery({ viewer: event.currentTarget.value })}
          >
            {viewers.map((id) => (
              <option key={id}>{id}</option>
            ))}
          </select>
        )}
        {state !== undefined && (
          <span class="quiet memory">
            the last {Math.round(state.retention_ms / 60_000)} min, {bytesText(state.memory.used)} of{" "}
            {bytesText(state.memory.limit)}
          </span>
        )}
      </div>
      <Problem error={error} />
      {state !== undefined && state.problem !== "" && (
        <p class="problem" role="alert">
          The viewer takes no data: {state.problem}
        </p>
      )}
      <Tab key={`${viewer} ${current.path}`} viewer={viewer} filter={filter} status={state} pick={pick} />
    </section>
  );
}

interface FilterProps {
  readonly filter: string;
  readonly example: string;
  readonly what: string;
}

/** The search field: what is typed counts a moment later, so that not every key asks the agent. */
function FilterField({ filter, example, what }: FilterProps) {
  const [text, setText] = useState(filter);
  useEffect(() => setText(filter), [filter]);
  useEffect(() => {
    if (text === filter) return;
    const timer = setTimeout(() => setQuery({ filter: text }), 150);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <input
      type="search"
      aria-label={`Filter ${what.toLowerCase()}: words, name=value, -not`}
      placeholder={example}
      title="words, name=value, -not; all must hold"
      autoComplete="off"
      spellcheck={false}
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
    />
  );
}

function NoViewer() {
  return (
    <Empty title="This configuration has no viewer">
      <p>Name one, and send to it what you want to see here:</p>
      <pre>
        {
          'invar.viewer "local" { }\n\nloki.write "local" {\n  endpoint {\n    url = invar.viewer.local.loki_url + "/loki/api/v1/push"\n  }\n}'
        }
      </pre>
      <p>
        <Link to="live">Watch what flows</Link> through any component, or{" "}
        <Link to="components">look at the components</Link>.
      </p>
    </Empty>
  );
}

interface NothingProps {
  readonly kept: number;
  readonly what: string;
}

/** Said when something is kept and the filter hides all of it. */
export function NoMatch({ kept, what }: NothingProps) {
  return (
    <Empty title={`None of the ${numberText(kept)} ${what} matches`}>
      <button type="button" onClick={() => setQuery({ filter: "" })}>
        Clear the filter
      </button>
    </Empty>
  );
}
