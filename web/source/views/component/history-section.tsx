import { type FlowJson, type HistoryJson, usePolled, webPath } from "../../agent.ts";
import { Plot } from "../../parts/plot.tsx";
import { bytesText, rateText } from "../../text.ts";
import { Section } from "./section.tsx";

const bytesRateText = (value: number) => `${bytesText(value)}/s`;

/** Plots of the last minutes, from what the agent keeps. */
export function HistorySection({ id, flow }: { readonly id: string; readonly flow: FlowJson }) {
  const { value } = usePolled<HistoryJson>(webPath(`history/${id}`), 5000);
  if (value === undefined) return <Section name="history" title="Last 15 minutes" />;
  const { received, sent, dropped, sentBytes, queueBytes, stepSeconds, endMs } = value;
  const times = received.map((_, i) => endMs / 1000 - (received.length - 1 - i) * stepSeconds);
  const flowed = (values: readonly number[]) => values.some((each) => each > 0);
  const hasIn = flowed(received) || flow.received.items > 0;
  const hasOut = flowed(sent) || flow.sent.length > 0;
  const items = [
    ...(hasIn ? [{ name: "in", values: received, tone: 2 as const }] : []),
    ...(hasOut ? [{ name: "out", values: sent, tone: 1 as const }] : []),
  ];
  const isLost = flowed(dropped);
  const isQuiet = items.length === 0 && !isLost && flow.queue === null;
  const shared = { times, fromZero: true, group: id };
  return (
    <Section
      name="history"
      title="Last 15 minutes"
      note={isQuiet ? "Nothing has flowed." : isLost ? undefined : "Nothing was dropped."}
    >
      <div class="plots">
        {items.length > 0 && <Plot title="Items" lines={items} format={rateText} {...shared} />}
        {hasOut && (
          <Plot
            title="Size"
            lines={[{ name: "out", values: sentBytes, tone: 1 }]}
            format={bytesRateText}
            isBinary
            {...shared}
          />
        )}
        {isLost && (
          <Plot
            title="Dropped"
            lines={[{ name: "dropped", values: dropped, tone: "bad" }]}
            format={rateText}
            {...shared}
          />
        )}
        {flow.queue !== null && (
          <Plot
            title="Queue"
            lines={[{ name: "waiting", values: queueBytes, tone: 3 }]}
            format={bytesText}
            isBinary
            {...shared}
          />
        )}
      </div>
    </Section>
  );
}
