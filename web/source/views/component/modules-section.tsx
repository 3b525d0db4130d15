import {
  type ComponentStatusJson,
  type ExplainJson,
  type PipelineJson,
  type StatusJson,
  usePolled,
  webPath,
} from "../../agent.ts";
import { type Column, DataTable } from "../../parts/data-table.tsx";
import { STATES, State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";
import { rateText } from "../../text.ts";
import { Neighbours } from "./neighbours.tsx";
import { Section } from "./section.tsx";

interface ModulesSectionProps {
  readonly explained: ExplainJson;
  readonly status: StatusJson | undefined;
}

/** What runs inside of a custom component, a foreach or an import. */
export function ModulesSection({ explained, status }: ModulesSectionProps) {
  const { modules, kind } = explained;
  // The insides of a foreach are all alike; what is in the others is named whole.
  const path = modules.length === 1 ? webPath("pipeline", { module: modules[0] ?? "" }) : undefined;
  const { value: pipeline } = usePolled<PipelineJson>(path, 10_000);
  const blocks = pipeline?.nodes.filter((node) => node.kind !== "component") ?? [];
  const inside = (status?.components ?? []).filter(({ moduleId }) =>
    modules.some((module) => moduleId === module || moduleId.startsWith(`${module}/`)),
  );
  const columns: readonly Column<ComponentStatusJson>[] = [
    {
      name: "component",
      title: "Component",
      value: ({ id }) => id,
      cell: ({ id }) => (
        <Link to={`component/${id}`} class="mono">
          {id}
        </Link>
      ),
    },
    {
      name: "state",
      title: "State",
      value: ({ flow }) => STATES.indexOf(flow.state),
      cell: ({ flow }) => <State state={flow.state} />,
    },
    {
      name: "in",
      title: "In",
      isNumber: true,
      value: ({ flow }) => flow.rates.received,
      cell: ({ flow }) => rateText(flow.rates.received),
    },
    {
      name: "out",
      title: "Out",
      isNumber: true,
      value: ({ flow }) => flow.rates.sent,
      cell: ({ flow }) => rateText(flow.rates.sent),
    },
    { name: "cause", title: "Cause", value: ({ flow }) => flow.cause, cell: ({ flow }) => flow.cause },
  ];
  const worstFirst = [...inside].sort((a, b) => STATES.indexOf(a.flow.state) - STATES.indexOf(b.flow.state));
  return (
    <Section name="modules" title="Inside" note={noteOf(kind, modules.length, inside.length)}>
      {inside.length > 0 && (
        <DataTable
          name="inside"
          label="Components inside"
          noun="components"
          columns={columns}
          rows={worstFirst}
          keyOf={({ id }) => id}
        />
      )}
      <Neighbours title="Blocks inside:" ids={blocks.map(({ id }) => id)} />
      <ul class="modules">
        {modules.slice(0, MAX_LINKS).map((module) => (
          <li key={module}>
            <Link to="graph" query={{ module }}>
              Graph of {module}
            </Link>
          </li>
        ))}
        {modules.length > MAX_LINKS && <li class="quiet">and {modules.length - MAX_LINKS} more</li>}
      </ul>
    </Section>
  );
}

const MAX_LINKS = 30;

function noteOf(kind: ExplainJson["kind"], modules: number, components: number): string {
  const what = `${components} ${components === 1 ? "component" : "components"}`;
  return kind === "foreach" ? `${modules} ${modules === 1 ? "item" : "items"}, ${what}` : what;
}
