import { useRef } from "preact/hooks";
import type { ExplainJson } from "../../agent.ts";
import { type Column, DataTable } from "../../parts/data-table.tsx";
import { Sparkline } from "../../parts/sparkline.tsx";
import { setQuery, usePlace } from "../../router.tsx";
import { bytesText, durationText, numberText, rateText } from "../../text.ts";
import { Section } from "./section.tsx";
import { countText } from "./values.ts";

type Metric = ExplainJson["metrics"][number];
type Point = readonly [time: number, value: number];

/** What is drawn of a series: at two seconds a step, the last five minutes. */
const MAX_POINTS = 150;
const FIRST = 20;
const COUNTER = /_(total|count|sum|bucket)$/;

/** The component's own series among the agent's metrics; the small plots grow while the page is open. */
export function MetricsSection({ id, explained }: { readonly id: string; readonly explained: ExplainJson }) {
  const { query } = usePlace();
  const points = usePoints(id, explained);
  const withBuckets = query.get("buckets") === "1";
  const buckets = explained.metrics.filter(({ name }) => name.endsWith("_bucket")).length;
  const rows = explained.metrics
    .filter(({ name }) => withBuckets || !name.endsWith("_bucket"))
    .sort((a, b) => Number(isCommon(a)) - Number(isCommon(b)));
  const columns: readonly Column<Metric>[] = [
    {
      name: "name",
      title: "Series",
      value: ({ name, labels }) => `${name} ${labels}`,
      cell: ({ name, labels }) => (
        <>
          <span class="mono">{name}</span> <span class="mono quiet">{labels}</span>
        </>
      ),
    },
    {
      name: "plot",
      title: "Since this page is open",
      cell: (metric) => {
        const label = COUNTER.test(metric.name) ? `${metric.name} per second` : metric.name;
        return (
          <Sparkline points={points.get(keyOf(metric)) ?? []} label={label} fromZero={COUNTER.test(metric.name)} />
        );
      },
    },
    {
      name: "rate",
      title: "Rise",
      isNumber: true,
      value: (metric) => (COUNTER.test(metric.name) ? (points.get(keyOf(metric))?.at(-1)?.[1] ?? 0) : 0),
      cell: (metric) => {
        const last = points.get(keyOf(metric))?.at(-1);
        return COUNTER.test(metric.name) && last !== undefined ? rateText(last[1]) : <span class="quiet">–</span>;
      },
    },
    {
      name: "value",
      title: "Value",
      isNumber: true,
      value: ({ value }) => value,
      cell: ({ name, value }) => <span title={countText(value)}>{valueText(name, value)}</span>,
    },
  ];
  return (
    <Section name="metrics" title="Metrics of its own">
      <div class="component-metrics">
        <DataTable
          name="metrics"
          label="Metrics of the component"
          noun="series"
          columns={columns}
          rows={rows}
          keyOf={(metric) => keyOf(metric)}
          first={FIRST}
          controls={
            buckets > 0 ? (
              <button
                type="button"
                aria-pressed={withBuckets}
                onClick={() => setQuery({ buckets: withBuckets ? "" : "1" })}
              >
                {withBuckets ? "Hide histogram buckets" : `Show ${buckets} histogram buckets`}
              </button>
            ) : undefined
          }
        />
      </div>
    </Section>
  );
}

/** What every component has comes last: most of it is said in other words above. */
function isCommon({ name }: Metric): boolean {
  return name.startsWith("alloy_component_");
}

function keyOf({ name, labels }: Metric): string {
  return `${name} ${labels}`;
}

/** What each series was at every answer so far: counters as rise per second. */
function usePoints(id: string, explained: ExplainJson): ReadonlyMap<string, readonly Point[]> {
  const seen = useRef<{
    id: string;
    explained: ExplainJson | undefined;
    time: number;
    values: ReadonlyMap<string, number>;
    points: Map<string, Point[]>;
  }>({ id, explained: undefined, time: 0, values: new Map(), points: new Map() });
  if (seen.current.id !== id)
    seen.current = { id, explained: undefined, time: 0, values: new Map(), points: new Map() };
  if (seen.current.explained === explained) return seen.current.points;
  const { time: before, values: earlier, points } = seen.current;
  const time = Date.now();
  for (const metric of explained.metrics) {
    const key = keyOf(metric);
    const previous = earlier.get(key);
    let value = metric.value;
    if (COUNTER.test(metric.name)) {
      if (previous === undefined || time <= before) continue;
      value = Math.max(0, metric.value - previous) / ((time - before) / 1000);
    }
    const list = points.get(key) ?? [];
    list.push([time, value]);
    if (list.length > MAX_POINTS) list.shift();
    points.set(key, list);
  }
  const values = new Map(explained.metrics.map((metric) => [keyOf(metric), metric.value]));
  seen.current = { id, explained, time, values, points };
  return points;
}

function valueText(name: string, value: number): string {
  if (/_bytes(_total|_sum)?$/.test(name)) return bytesText(value);
  if (/_timestamp_seconds$/.test(name)) return value === 0 ? "never" : new Date(value * 1000).toISOString();
  if (/_seconds(_sum)?$/.test(name)) return durationText(value * 1000);
  return numberText(value);
}
