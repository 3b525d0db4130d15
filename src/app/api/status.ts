import { errorText } from "#base/log";
import type { Source } from "#lang/ast";
import { DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import { FLOW_STATES } from "#pipeline/flow";
import { ComponentNode } from "#runtime/component-node";
import type { Agent, Reload } from "../agent.ts";
import { type FlowFigures, flowJson, hasFlow, healthJson, time } from "./flow.ts";
import type { ComponentStatusJson, FailedReloadJson, FlowState, ReloadJson, StatusJson } from "./json.ts";
import { unifiedDiff } from "./line-diff.ts";
import { hideSecrets, redactFile } from "./redact.ts";

/** Characters of a diff that are shown, since every answer carries it. */
const LONGEST_DIFF = 50_000;

/** Every component of every module with its flow, and what became of the last reloads. */
export function statusJson(agent: Agent, figures: FlowFigures): StatusJson {
  const components: ComponentStatusJson[] = [];
  let worst: FlowState = "ok";
  for (const { node, module } of agent.controller.nodes()) {
    if (!(node instanceof ComponentNode)) continue;
    const flow = flowJson(node, figures);
    if (hasFlow(node)) worst = worstState([worst, flow.state]);
    components.push({
      id: node.id,
      name: node.definition.name,
      label: node.block.label?.text ?? "",
      moduleId: module.environment.moduleId,
      health: healthJson(node.health),
      flow,
      wiring: figures.wiring.get(node.id) ?? "",
    });
  }
  const { version, configPath } = agent.options;
  return {
    version,
    ready: agent.ready,
    now: time(agent.clock.now()),
    started: time(agent.startedMs),
    liveDebugging: agent.liveDebugging,
    worst,
    config: { path: configPath, hash: agent.configHash },
    lastReload: agent.lastReload === undefined ? null : reloadJson(agent.lastReload),
    failedReload: agent.failedReload === undefined ? null : failedReloadJson(agent.failedReload),
    components,
  };
}

export function worstState(states: Iterable<FlowState>): FlowState {
  let worst = 0;
  for (const state of states) worst = Math.max(worst, FLOW_STATES.indexOf(state));
  return FLOW_STATES[worst]!;
}

const reloads = new WeakMap<Reload, ReloadJson>();

/** Worked out once for each reload, since the answer is asked for again and again. */
function reloadJson(reload: Reload): ReloadJson {
  let found = reloads.get(reload);
  if (found === undefined) {
    const { report, previous, sources } = reload;
    const diff = previous.length === 0 ? "" : sourcesDiff(previous, sources);
    reloads.set(reload, (found = { time: reload.time, ...report, diff }));
  }
  return found;
}

/** File by file, with secrets hidden. Where nothing but secrets changed, a line says so. */
export function sourcesDiff(before: readonly Source[], after: readonly Source[]): string {
  const old = new Map(before.map((each) => [each.name, each]));
  const names = [...new Set([...old.keys(), ...after.map((each) => each.name)])].sort();
  const current = new Map(after.map((each) => [each.name, each]));
  const diff = names.map((name) => sourceDiff(name, old.get(name), current.get(name))).join("");
  if (diff.length <= LONGEST_DIFF) return diff;
  const cut = diff.lastIndexOf("\n", LONGEST_DIFF) + 1;
  const left = diff.slice(cut).split("\n").length - 1;
  return `${diff.slice(0, cut)}# ${left} more lines are not shown\n`;
}

function sourceDiff(name: string, before: Source | undefined, after: Source | undefined): string {
  if (before?.text === after?.text) return "";
  const shown = unifiedDiff(
    before === undefined ? "/dev/null" : name,
    after === undefined ? "/dev/null" : name,
    before === undefined ? "" : redactFile(before),
    after === undefined ? "" : redactFile(after),
  );
  return shown === "" ? `# ${name}: only values that are not shown have changed\n` : shown;
}

function failedReloadJson({ time, error }: NonNullable<Agent["failedReload"]>): FailedReloadJson {
  if (!(error instanceof DiagnosticError)) return { time, error: errorText(error) };
  return { time, error: renderDiagnostics(hideSecrets(error.diagnostics), { color: false }) };
}
