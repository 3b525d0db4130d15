import type { Signal, StatusJson } from "../../agent.ts";
import { Sparkline } from "../../parts/sparkline.tsx";
import { bytesText, numberText, rateText } from "../../text.ts";
import type { Measure, Moment } from "./totals.ts";
import { totalsOf } from "./totals.ts";
import { useCourse } from "./use-course.ts";

/** In, out, lost and queued, a line for each signal. */
export function TotalsTable({ status }: { readonly status: StatusJson }) {
  const totals = totalsOf(status);
  const course = useCourse(status, totals);
  if (totals.length === 0) return <p class="quiet">Nothing has flowed yet.</p>;
  return (
    <table class="totals">
      <thead>
        <tr>
          <th scope="col">Signal</th>
          <th scope="col" title="What the sources hand on">
            In
          </th>
          <th scope="col" title="What the destinations take; nothing counts that goes to a failing one">
            Out
          </th>
          <th scope="col" title="Lost now, and since the start">
            Dropped
          </th>
          <th scope="col" title="What waits in the queues of the destinations">
            Queued
          </th>
        </tr>
      </thead>
      <tbody>
        {totals.map(({ signal, in: into, out, dropping, dropped, queueBytes }) => {
          const moments = course.get(signal) ?? [];
          const lost =
            dropped > 0 ? `${numberText(dropped)}${dropping > 0 ? `, now ${rateText(dropping)}` : ""}` : "none";
          return (
            <tr key={signal}>
              <th scope="row">{SIGNAL_NAMES[signal]}</th>
              <Cell title="In" text={rateText(into)} measure="in" moments={moments} />
              <Cell title="Out" text={rateText(out)} measure="out" moments={moments} />
              <Cell title="Dropped" text={lost} measure="dropping" moments={moments} isBad={dropping > 0} />
              <Cell title="Queued" text={bytesText(queueBytes)} measure="queueBytes" moments={moments} />
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

const SIGNAL_NAMES: Readonly<Record<Signal, string>> = {
  logs: "Logs",
  metrics: "Metrics",
  otlp: "OTLP",
  profiles: "Profiles",
};

interface CellProps {
  readonly title: string;
  readonly text: string;
  readonly measure: Measure;
  readonly moments: readonly Moment[];
  readonly isBad?: boolean;
}

function Cell({ title, text, measure, moments, isBad = false }: CellProps) {
  const points = moments.map(({ ms, values }) => [ms, values[measure]] as const);
  const isFlat = points.every(([, value]) => value === 0);
  return (
    <td data-title={title}>
      <span class={isBad ? "total-text flow-losing" : "total-text"}>{text}</span>
      {measure === "dropping" && isFlat ? null : (
        <Sparkline
          points={points}
          label={`${title} over the last minutes, now ${text}`}
          fromZero
          {...(measure === "dropping"
            ? { tone: "bad" as const }
            : measure === "queueBytes"
              ? { tone: "quiet" as const }
              : {})}
        />
      )}
    </td>
  );
}
