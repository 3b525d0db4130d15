import type { FlowState, HealthJson } from "../agent.ts";
import { MARKS } from "./states.ts";

export { STATES } from "./states.ts";

/** A flow state as mark and word, since colour alone says nothing to many. */
export function State({ state }: { readonly state: FlowState }) {
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{MARKS[state]}</span> {state}
    </span>
  );
}

/** Lifecycle health, as in Alloy. */
export function Health({ health }: { readonly health: HealthJson }) {
  const look = health.state === "healthy" ? "ok" : health.state === "unknown" ? "idle" : "failing";
  return (
    <span class={`state ${look}`} title={health.message}>
      {health.state}
    </span>
  );
}
