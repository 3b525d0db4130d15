import { memo } from "preact/compat";
import type { EntryStateJson, TraceJson } from "../../agent.ts";
import { Time } from "../../parts/time.tsx";
import { changesOf } from "./changes.ts";
import type { ShownEvent } from "./stream.ts";

const OUTCOMES: Readonly<Record<TraceJson["outcome"], string>> = {
  passed: "sent on",
  dropped: "dropped",
  kept: "held back",
};

interface TraceProps {
  readonly event: Extract<ShownEvent, { event: "trace" }>;
}

/** One entry's way through the stages: what each changed, and where and why it ended. */
export const Trace = memo(({ event }: TraceProps) => {
  const { before, steps, outcome } = event.trace;
  const last = steps.at(-1);
  return (
    <li>
      <details class="narrow live-item traced" open>
        <summary>
          <Time ms={Date.parse(before.timestamp)} />
          <span class={`state ${outcome === "dropped" ? "failing" : outcome === "kept" ? "degraded" : "ok"}`}>
            {OUTCOMES[outcome]}
          </span>
          <span class="text mono">{before.line}</span>
        </summary>
        <div class="detail">
          {outcome !== "passed" && last !== undefined && (
            <p>
              {OUTCOMES[outcome]} by <code>{last.stage}</code>
              {last.reason === "" ? "" : `: ${last.reason}`}
            </p>
          )}
          <Steps trace={event.trace} />
        </div>
      </details>
    </li>
  );
});

function Steps({ trace }: { readonly trace: TraceJson }) {
  let state: EntryStateJson = trace.before;
  const rows = trace.steps.map((step, i) => {
    const before = state;
    state = step.after ?? before;
    const changes = step.after === null ? [] : changesOf(before, step.after);
    return (
      <tr key={i} class={step.outcome}>
        <th scope="row" class="mono">
          {step.stage}
        </th>
        <td>
          {step.outcome !== "passed" && <strong class="mark">{OUTCOMES[step.outcome]} </strong>}
          {step.reason}
          {step.outcome === "passed" && changes.length === 0 && step.reason === "" && (
            <span class="quiet">no change</span>
          )}
          <ul class="changes mono">
            {changes.map((change) => (
              <li key={change.what} class={change.kind}>
                <span class="quiet">{change.what}</span> {change.before !== "" && <del>{change.before}</del>}{" "}
                {change.after !== "" && <ins>{change.after}</ins>}
              </li>
            ))}
          </ul>
        </td>
      </tr>
    );
  });
  return (
    <table class="steps">
      <thead>
        <tr>
          <th scope="col">Stage</th>
          <th scope="col">What it did</th>
        </tr>
      </thead>
      <tbody>{rows}</tbody>
    </table>
  );
}
