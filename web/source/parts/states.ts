import type { FlowState } from "../agent.ts";

/** The worst first, as lists are sorted. */
export const STATES: readonly FlowState[] = ["failing", "degraded", "idle", "ok"];

/** Shown before the word. */
export const MARKS: Readonly<Record<FlowState, string>> = { ok: "✓", idle: "–", degraded: "!", failing: "✕" };
