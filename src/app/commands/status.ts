import { nearest } from "#lang/suggest";
import type { ComponentStatusJson, StatusJson } from "../api/json.ts";
import { type Command, EXIT, outputStyle } from "../cli.ts";
import { AgentClient, CLIENT_FLAGS } from "../terminal/agent-client.ts";
import { byState, countsText, droppedItems, matcherOf, shownState, stateColor } from "../terminal/component-view.ts";
import { shortAge, shortNumber } from "../terminal/quantities.ts";
import { type Cell, type Column, cut, layOutTable, type OutputStyle, paint } from "../terminal/table.ts";

/** What scripts go by: the worst that there is. 1 means that the agent could not be asked. */
const STATUS_EXIT = { ok: EXIT.ok, degraded: 3, failing: 4, unhealthy: 5 } as const;

export const status: Command = {
  usage: "invar status [flags] [component-glob ...]",
  summary: "Show whether data flows through a running agent's components",
  flags: [{ name: "json", type: "bool", default: false, help: "Print the answer of the agent's API" }, ...CLIENT_FLAGS],
  positional: [0, 1_000],

  async run(line, terminal) {
    const matches = matcherOf(line.positional);
    const client = AgentClient.fromCommandLine(line);
    const whole = await client.json<StatusJson>("status");
    const answer = { ...whole, components: whole.components.filter(({ id }) => matches(id)) };
    if (answer.components.length === 0 && line.positional.length > 0) {
      terminal.error(`Error: ${noMatch(line.positional, whole.components)}\n`);
      return EXIT.failed;
    }
    terminal.out(
      line.flags.get("json") === true ? `${JSON.stringify(answer, null, 2)}\n` : statusText(answer, outputStyle()),
    );
    return exitCode(answer);
  },
};

function noMatch(globs: readonly string[], components: readonly ComponentStatusJson[]): string {
  const suggestion = nearest(
    globs[0]!,
    components.map(({ id }) => id),
  );
  const hint = suggestion === undefined ? "invar status without a name lists all" : `did you mean ${suggestion}?`;
  return `no component matches ${globs.join(" or ")}: ${hint}`;
}

export function exitCode({ components, failedReload }: StatusJson): number {
  if (failedReload !== null) return STATUS_EXIT.unhealthy;
  const states = new Set(components.map((each) => shownState(each).state));
  for (const state of ["unhealthy", "failing", "degraded"] as const) if (states.has(state)) return STATUS_EXIT[state];
  return STATUS_EXIT.ok;
}

const COLUMNS: readonly Column[] = [
  { title: "COMPONENT", align: "left" },
  { title: "STATE", align: "left" },
  { title: "SINCE", align: "right" },
  { title: "IN/S", align: "right" },
  { title: "OUT/S", align: "right" },
  { title: "DROPPED", align: "right" },
  { title: "CAUSE", align: "left" },
];

/** The whole output: a table, what became of the last reload, and a summary. */
export function statusText(answer: StatusJson, style: OutputStyle): string {
  const now = Date.parse(answer.now);
  const rows = answer.components.toSorted(byState).map((each): readonly Cell[] => {
    const { state, since, cause } = shownState(each);
    const { rates } = each.flow;
    const dropped = droppedItems(each);
    return [
      { text: each.id },
      { text: state, color: stateColor(state) },
      { text: shortAge(now - Date.parse(since)) },
      { text: shortNumber(rates.received) },
      { text: shortNumber(rates.sent) },
      { text: shortNumber(dropped), color: rates.dropped > 0 ? "yellow" : undefined },
      { text: cause },
    ];
  });
  const table = rows.length === 0 ? [] : [...layOutTable(COLUMNS, rows, style), ""];
  return [...table, ...reloadLines(answer, now, style), summary(answer, now, style), ""].join("\n");
}

function reloadLines({ lastReload, failedReload }: StatusJson, now: number, style: OutputStyle): readonly string[] {
  if (failedReload !== null) {
    const age = shortAge(now - Date.parse(failedReload.time));
    const error = failedReload.error.trimEnd().split("\n");
    // A terminal's lines are not cut here: the text has carets that point into it.
    return [
      paint(style, "red", `reload failed ${age} ago, the previous configuration is in force:`),
      ...error.map((each) => `  ${each}`),
      "",
    ];
  }
  if (lastReload === null) return [];
  const { added, updated, restarted, removed } = lastReload;
  const changes = Object.entries({ added, updated, restarted, removed })
    .filter(([, ids]) => ids.length > 0)
    .map(([what, ids]) => `${ids.length} ${what}`);
  const text = `loaded ${shortAge(now - Date.parse(lastReload.time))} ago: ${changes.join(", ") || "nothing changed"}`;
  return [cut(text, style.columns ?? Number.POSITIVE_INFINITY)];
}

function summary(
  { components, ready, failedReload, version, started }: StatusJson,
  now: number,
  style: OutputStyle,
): string {
  const parts = [countsText(components, style)];
  if (failedReload !== null) parts.push("last reload failed");
  if (!ready) parts.push("the agent is not ready");
  return `${parts.join("; ")} (invar v${version}, up ${shortAge(now - Date.parse(started))})`;
}
