import type { ComponentStatusJson, FlowState, PipelineNodeJson, StatusJson } from "../../agent.ts";
import { STATES } from "../../parts/states.ts";

/** Something that an operator should know of. */
export interface Trouble {
  readonly id: string;
  /** `wiring` is for what is connected to nothing, and may otherwise be well. */
  readonly look: Extract<FlowState, "failing" | "degraded"> | "wiring";
  /** What is wrong and what to do. */
  readonly cause: string;
  readonly since: string | null;
  readonly component: ComponentStatusJson | undefined;
}

const LOOKS = ["failing", "degraded", "wiring"] as const;

/** All that is wrong, the worst first: what fails before what is degraded, what loses data before what does not. */
export function troublesOf(status: StatusJson, nodes: readonly PipelineNodeJson[]): readonly Trouble[] {
  const troubles = status.components.flatMap((component) => troubleOf(component) ?? []);
  for (const { id, kind, wiring } of nodes) {
    // Components have told of theirs, also those inside of modules, which say so of theirs once more.
    if (kind === "component" || wiring === "" || wiring.startsWith("inside, ")) continue;
    troubles.push({ id, look: "wiring", cause: wiring, since: null, component: undefined });
  }
  const losing = ({ component }: Trouble) => component?.flow.rates.dropped ?? 0;
  return troubles.sort(
    (a, b) =>
      LOOKS.indexOf(a.look) - LOOKS.indexOf(b.look) ||
      losing(b) - losing(a) ||
      (a.since ?? "").localeCompare(b.since ?? "") ||
      a.id.localeCompare(b.id),
  );
}

function troubleOf(component: ComponentStatusJson): Trouble | undefined {
  const { id, health, flow } = component;
  if (isUnwell(component)) {
    const also = flow.state === "failing" || flow.state === "degraded" ? flow.cause : "";
    const cause = [...new Set([health.message, also])].filter(Boolean).join("; ");
    return { id, look: "failing", cause, since: health.updatedTime, component };
  }
  if (flow.state === "failing" || flow.state === "degraded")
    return { id, look: flow.state, cause: flow.cause, since: flow.since, component };
  if (component.wiring === "") return undefined;
  return { id, look: "wiring", cause: component.wiring, since: null, component };
}

/** Whether the component itself does not run, whatever flows. */
function isUnwell({ health }: ComponentStatusJson): boolean {
  return health.state === "unhealthy" || health.state === "exited";
}

/** The flow's state, or that the component does not run. */
export function stateOf(component: ComponentStatusJson): FlowState {
  return isUnwell(component) ? "failing" : component.flow.state;
}

export function severity(state: FlowState): number {
  return STATES.indexOf(state);
}

/** What waits for its first data and is fed by nothing: these say what they look for. */
export function idleSources(status: StatusJson, nodes: readonly PipelineNodeJson[]): readonly ComponentStatusJson[] {
  const fed = fedIds(status);
  // The roles of those inside of modules are not known here.
  const others = new Set(nodes.filter(({ role }) => !SEEKERS.has(role)).map(({ id }) => id));
  return status.components.filter(
    (component) =>
      stateOf(component) === "idle" &&
      component.flow.cause !== "" &&
      component.wiring === "" &&
      !fed.has(component.id) &&
      !others.has(component.id),
  );
}
const SEEKERS: ReadonlySet<string> = new Set(["source", "value"]);

/** The components that others hand data to. */
function fedIds(status: StatusJson): ReadonlySet<string> {
  return new Set(status.components.flatMap(({ flow }) => flow.sent.map(({ to }) => to)));
}
