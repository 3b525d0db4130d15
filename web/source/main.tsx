import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type StatusJson, setPaused, usePolled, webPath } from "./agent.ts";
import { Problem } from "./parts/empty.tsx";
import { STATES, State } from "./parts/state.tsx";
import { addressOf, go, Link, usePlace } from "./router.tsx";
import { ComponentView } from "./views/component/component-view.tsx";
import { GraphView } from "./views/graph/graph-view.tsx";
import { LiveView } from "./views/live/live-view.tsx";
import { ComponentsView } from "./views/overview/components-view.tsx";
import { OverviewView } from "./views/overview/overview-view.tsx";
import { SystemView } from "./views/system/system-view.tsx";
import { ViewerView } from "./views/viewer/viewer-view.tsx";

/** The entries of the navigation, in the order of their keys 1, 2, 3 … */
const SECTIONS: readonly (readonly [path: string, title: string])[] = [
  ["", "Overview"],
  ["graph", "Graph"],
  ["components", "Components"],
  ["live", "Live"],
  ["viewer", "Viewer"],
  ["system", "System"],
];

/** Addresses of Alloy's page, so that bookmarks and links keep working. */
const ALLOY_PLACES: Readonly<Record<string, string>> = { clustering: "system", remotecfg: "system", debug: "live" };

function Page() {
  const { path, query } = usePlace();
  const { value: status, error } = usePolled<StatusJson>(webPath("status"));
  const [first = "", ...rest] = path.split("/");
  const section = ALLOY_PLACES[first] ?? first;
  const id = rest.join("/");
  useKeys();
  useEffect(() => {
    const title = SECTIONS.find(([name]) => name === section)?.[1];
    document.title = `${id === "" ? (title ?? "Invar") : id} · Invar`;
  }, [section, id]);
  return (
    <>
      <a class="skip" href={`${addressOf(path, Object.fromEntries(query))}#content`}>
        Skip to the content
      </a>
      <Header section={section === "component" ? "components" : section} status={status} />
      <Problem error={error} />
      <main id="content" tabIndex={-1}>
        {section === "" && <OverviewView status={status} />}
        {section === "graph" && <GraphView moduleId={query.get("module") ?? ""} />}
        {section === "components" && <ComponentsView status={status} />}
        {section === "component" && <ComponentView id={id} status={status} />}
        {section === "live" && <LiveView id={id || (query.get("component") ?? "")} status={status} />}
        {section === "viewer" && <ViewerView tab={id} status={status} />}
        {section === "system" && <SystemView status={status} />}
      </main>
    </>
  );
}

function Header({ section, status }: { readonly section: string; readonly status: StatusJson | undefined }) {
  const [stopped, setStopped] = useState(false);
  const counts = STATES.map((state) => [state, count(status, state)] as const).filter(
    ([state, number]) => number > 0 && (state === "failing" || state === "degraded"),
  );
  const toggle = () => {
    setPaused(!stopped);
    setStopped(!stopped);
  };
  return (
    <header class="top">
      <Link to="" class="brand">
        <img src="icon.svg" alt="" width="22" height="22" /> Invar
      </Link>
      <nav aria-label="Views">
        {SECTIONS.map(([path, title], i) => (
          <Link key={path} to={path} aria-current={section === path ? "page" : undefined} title={`Key ${i + 1}`}>
            {title}
          </Link>
        ))}
      </nav>
      <p class="worst" role="status">
        {status === undefined ? undefined : counts.length === 0 ? (
          <span class="quiet">no problems in {status.components.length} components</span>
        ) : (
          counts.map(([state, number]) => (
            <Link key={state} to="components" query={{ filter: state }}>
              {number} <State state={state} />
            </Link>
          ))
        )}
      </p>
      <button type="button" aria-pressed={stopped} onClick={toggle}>
        {stopped ? "Paused" : "Pause"}
      </button>
    </header>
  );
}

function count(status: StatusJson | undefined, state: string): number {
  return status?.components.filter(({ flow }) => flow.state === state).length ?? 0;
}

/** `1` to `6` change the view, `/` goes to the view's search field. */
function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      const section = SECTIONS[Number(event.key) - 1];
      if (section !== undefined) go(section[0]);
      else if (event.key === "/") {
        const search = document.querySelector<HTMLInputElement>('main input[type="search"]');
        if (search === null) return;
        event.preventDefault();
        search.focus();
        search.select();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

render(<Page />, document.getElementById("page")!);
