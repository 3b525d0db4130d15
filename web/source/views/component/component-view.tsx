import { useEffect, useRef, useState } from "preact/hooks";
import { AnswerError, type ExplainJson, type StatusJson, usePolled, webPath } from "../../agent.ts";
import { useAgentNow } from "../../parts/age.tsx";
import { Empty, Problem } from "../../parts/empty.tsx";
import { Link, usePlace } from "../../router.tsx";
import { ArgumentsSection } from "./arguments-section.tsx";
import { DebugSection } from "./debug-section.tsx";
import { ExportsSection } from "./exports-section.tsx";
import { FlowSection } from "./flow-section.tsx";
import { hasFlowed } from "./has-flowed.ts";
import { Heading } from "./heading.tsx";
import { HistorySection } from "./history-section.tsx";
import { MetricsSection } from "./metrics-section.tsx";
import { ModulesSection } from "./modules-section.tsx";
import { ReferenceSection } from "./reference-section.tsx";
import { Unknown } from "./unknown.tsx";

interface ComponentViewProps {
  readonly id: string;
  readonly status: StatusJson | undefined;
}

const PACE_MS = 2000;
/** For what is not there, and for what is hard work for the agent. */
const SLOW_PACE_MS = 10_000;

function isLarge(explained: ExplainJson | undefined): boolean {
  const lists = (explained?.exports ?? []).map((each) =>
    each.type === "attr" && each.value.type === "array" ? each.value.value.length : 0,
  );
  return Math.max(0, explained?.debugInfo.length ?? 0, ...lists) > 500;
}

/** Everything about one component, or about another block of the configuration. */
export function ComponentView({ id, status }: ComponentViewProps) {
  const [pace, setPace] = useState(PACE_MS);
  const { value, error } = usePolled<ExplainJson>(id === "" ? undefined : webPath(`explain/${id}`), pace);
  const isMissing = error instanceof AnswerError && error.status === 404;
  useEffect(() => setPace(isMissing || isLarge(value) ? SLOW_PACE_MS : PACE_MS), [isMissing, value]);
  const now = useAgentNow(status);
  const section = usePlace().query.get("section") ?? "";
  useSection(id, section, value !== undefined);

  if (id === "") {
    return (
      <Empty title="Which component?">
        <p>
          Choose one from the <Link to="components">list of components</Link>.
        </p>
      </Empty>
    );
  }
  if (isMissing) return <Unknown id={id} status={status} />;
  if (value === undefined) return <Problem error={error instanceof AnswerError ? error : undefined} />;
  const sections = sectionsOf(value);
  return (
    <article class="component">
      <Heading explained={value} now={now} />
      <nav class="sections" aria-label="On this page">
        {sections.map(([name, title]) => (
          <Link key={name} to={`component/${id}`} query={{ section: name }}>
            {title}
          </Link>
        ))}
      </nav>
      <Problem error={error instanceof AnswerError ? error : undefined} />
      {value.modules.length > 0 && <ModulesSection explained={value} status={status} />}
      {value.flow !== null && <FlowSection explained={value} flow={value.flow} status={status} now={now} />}
      {hasFlowed(value.flow) && <HistorySection id={id} flow={value.flow} />}
      <ArgumentsSection explained={value} />
      <ExportsSection explained={value} />
      {value.debugInfo.length > 0 && <DebugSection statements={value.debugInfo} now={now} />}
      {value.metrics.length > 0 && <MetricsSection id={id} explained={value} />}
      <ReferenceSection id={id} explained={value} isOpen={section === "reference"} />
    </article>
  );
}

/** Goes to the section that the address names: at first, and whenever somebody chooses one. */
function useSection(id: string, section: string, isThere: boolean): void {
  const place = usePlace();
  const seen = useRef({ id: "", section: "", search: "" });
  useEffect(() => {
    if (!isThere) return;
    const before = seen.current;
    const { search } = window.location;
    seen.current = { id, section, search };
    if (section === "") {
      if (before.id !== id) window.scrollTo(0, 0);
      return;
    }
    // Another part of the address changed, such as what a table is searched for.
    if (before.id === id && before.section === section && before.search !== search) return;
    const heading = document.getElementById(section);
    heading?.scrollIntoView();
    heading?.focus({ preventScroll: true });
  }, [id, section, isThere, place]);
}

/** What there is to say of a node, in the order of the page. */
function sectionsOf({ flow, exports, referencedBy, debugInfo, metrics, modules }: ExplainJson) {
  const all: readonly (readonly [name: string, title: string, isThere: boolean])[] = [
    ["modules", "Inside", modules.length > 0],
    ["flow", "Data flow", flow !== null],
    ["history", "Last 15 minutes", hasFlowed(flow)],
    ["arguments", "Arguments", true],
    ["exports", "Exports", exports.length + referencedBy.length > 0],
    ["debug", "Debug info", debugInfo.length > 0],
    ["metrics", "Metrics", metrics.length > 0],
    ["reference", "Reference", true],
  ];
  return all.filter(([, , isThere]) => isThere);
}
