import type { FlowState, HealthJson } from "../agent.ts";

/** The worst first, as lists are sorted. */
export const STATES: readonly FlowState[] = ["failing", "degraded", "idle", "ok"];

const MARKS: Readonly<Record<FlowState, string>> = { ok: "✓", idle: "–", degraded: "!", failing: "✕" };

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
