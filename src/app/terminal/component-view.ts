import type { ComponentStatusJson } from "../api/json.ts";
import { globPattern } from "../live/glob.ts";
import { type Color, type OutputStyle, paint } from "./table.ts";

/** How the terminal's commands see a component: health and flow as one state. */

/** From worst to best. */
const SHOWN_STATES = ["unhealthy", "failing", "degraded", "idle", "ok", "exited"] as const;
export type ShownState = (typeof SHOWN_STATES)[number];

const COLORS: Readonly<Record<ShownState, Color>> = {
  unhealthy: "red",
  failing: "red",
  degraded: "yellow",
  idle: "cyan",
  ok: "green",
  exited: "quiet",
};

export function stateColor(state: ShownState): Color {
  return COLORS[state];
}

/** What is to be said of a component first: that it does not run, else how its data flows. */
export function shownState({ health, flow, wiring }: ComponentStatusJson): {
  readonly state: ShownState;
  readonly since: string;
  readonly cause: string;
} {
  if (health.state === "unhealthy" || health.state === "exited")
    return { state: health.state, since: health.updatedTime, cause: health.message };
  const { state, since } = flow;
  // Wiring explains why nothing flows, better than that nothing does.
  const causes = state === "idle" && wiring !== "" ? [wiring] : [flow.cause, wiring];
  return { state, since, cause: causes.filter((cause) => cause !== "").join("; ") };
}

/** Worst first, then by id. */
export function byState(a: ComponentStatusJson, b: ComponentStatusJson): number {
  const difference = SHOWN_STATES.indexOf(shownState(a).state) - SHOWN_STATES.indexOf(shownState(b).state);
  return difference || byId(a, b);
}

export function byId(a: ComponentStatusJson, b: ComponentStatusJson): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Whether an id matches one of the globs, in which `*` stands for any text; everything matches if there are none. */
export function matcherOf(globs: readonly string[]): (id: string) => boolean {
  const patterns = globs.map(globPattern);
  return (id) => patterns.length === 0 || patterns.some((pattern) => pattern.test(id));
}

export function droppedItems({ flow }: ComponentStatusJson): number {
  return flow.dropped.reduce((sum, { items }) => sum + items, 0);
}

/** `12 components: 1 failing, 11 ok` */
export function countsText(components: readonly ComponentStatusJson[], style: OutputStyle): string {
  const counts = SHOWN_STATES.flatMap((state) => {
    const count = components.filter((each) => shownState(each).state === state).length;
    return count === 0 ? [] : [paint(style, stateColor(state), `${count} ${state}`)];
  });
  return `${components.length} ${components.length === 1 ? "component" : "components"}: ${counts.join(", ") || "none"}`;
}
