import { roughDuration } from "#base/duration";
import type { EdgeCounts, Flow, Judgement } from "./flow.ts";

/** A consumer may take this long over a batch before somebody should know. */
const PATIENCE_MS = 15_000;

/** The rule `blocked` of each component that hands on: a consumer takes nothing, and with it stands still what comes before. */
export function judgeBlocked(flow: Flow, now: number): Judgement {
  let worst: { readonly to: string; readonly edge: EdgeCounts } | undefined;
  const others: string[] = [];
  for (const [to, edge] of flow.sent) {
    const isBlocked = edge.waiting > 0 && now - edge.waitingSince >= PATIENCE_MS;
    if (!isBlocked) others.push(to);
    else if (worst === undefined || edge.waitingSince < worst.edge.waitingSince) worst = { to, edge };
  }
  if (worst === undefined) return undefined;
  const { to, edge } = worst;
  const held = others.length === 0 ? "" : `, and ${others.join(", ")} will get nothing more until it takes them`;
  const cause =
    `${to} has taken nothing for ${roughDuration(now - edge.waitingSince)}: ${edge.waiting} items wait for it and hold ` +
    `back what comes before${held}. Its own status says why`;
  return { state: "degraded", cause };
}
