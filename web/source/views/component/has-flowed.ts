import type { FlowJson } from "../../agent.ts";

/** Whether data have touched the component, or wait in it; many components only give values. */
export function hasFlowed(flow: FlowJson | null): flow is FlowJson {
  if (flow === null) return false;
  return flow.received.items > 0 || flow.sent.length > 0 || flow.dropped.length > 0 || flow.queue !== null;
}
