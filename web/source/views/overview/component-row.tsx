import type { FlowState, HealthJson } from "../../agent.ts";
import { memo } from "../../parts/memo.ts";
import { State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";

/** Texts, so that a row is drawn again only when something in it reads otherwise. */
interface ComponentRowProps {
  readonly id: string;
  /** Undefined without a column for it. */
  readonly module: string | undefined;
  readonly health: HealthJson["state"];
  readonly healthMessage: string;
  readonly state: FlowState;
  readonly cause: string;
  readonly since: string;
  readonly into: string;
  readonly out: string;
  readonly dropped: string;
  readonly reasons: string;
  readonly isLosing: boolean;
  readonly queue: string;
  readonly success: string;
}

export const ComponentRow = memo(function ComponentRow(props: ComponentRowProps) {
  const { id, module, health, healthMessage, state, cause, since, dropped, reasons, isLosing } = props;
  const local = module === undefined || module === "" ? id : id.slice(module.length + 1);
  return (
    <tr>
      <th scope="row" class="column-id">
        <Link to={`component/${id}`}>{local}</Link>
      </th>
      {module !== undefined && (
        <td class="column-module">
          {module !== "" && (
            <Link to="graph" query={{ module }}>
              {module}
            </Link>
          )}
        </td>
      )}
      <td class="column-health">
        <span class={health === "healthy" ? "quiet" : "flow-losing"}>{health}</span>
        {healthMessage !== "" && <div class="row-cause">{healthMessage}</div>}
      </td>
      <td class="column-state">
        <State state={state} /> {since !== "" && <span class="quiet row-since">{since}</span>}
        {cause !== "" && <div class="row-cause">{cause}</div>}
      </td>
      <td class="number column-in">{props.into}</td>
      <td class="number column-out">{props.out}</td>
      <td class="number column-dropped" title={reasons}>
        {dropped !== "" && <span class={isLosing ? "flow-losing" : ""}>{dropped}</span>}
      </td>
      <td class="number column-queue">{props.queue}</td>
      <td class="number column-success">{props.success}</td>
    </tr>
  );
});
