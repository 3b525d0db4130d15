import { useState } from "preact/hooks";
import { usePolled } from "../../agent.ts";
import { useLast } from "../../hooks.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { Pairs } from "../../parts/pairs.tsx";
import { Plot } from "../../parts/plot.tsx";
import { Sparkline } from "../../parts/sparkline.tsx";
import { numberText } from "../../text.ts";
import { type FoundSeries, type Series, type TabProps, viewerPath } from "./viewer.ts";
import { NoMatch } from "./viewer-view.tsx";

const LIMIT = 100;
const COUNTERS = /_(total|count|sum|bucket)$/;

/** Series with their last value and a small plot, opened with a large one; counters as their increase per second. */
export function MetricsTab({ viewer, filter, status, pick }: TabProps) {
  const path = viewerPath(viewer, "series", { filter, limit: String(LIMIT) });
  const { value, error } = usePolled<FoundSeries>(path);
  const found = useLast(value);
  if (found === undefined) return <Problem error={error} />;
  const shown = found.series.length;
  if (shown === 0 && found.kept > 0) return <NoMatch kept={found.kept} what="series" />;
  if (shown === 0) {
    return (
      <Empty title="No series yet">
        <p>They appear here with the first scrape that reaches the viewer, such as through this component:</p>
        <pre>{`prometheus.remote_write "viewer" {\n  endpoint {\n    url = "${status?.urls.prometheus_url ?? ""}/api/v1/write"\n  }\n}`}</pre>
      </Empty>
    );
  }
  return (
    <>
      <p class="quiet summary" role="status">
        {shown < found.matched
          ? `${shown} of ${found.matched} series; filter to see the others`
          : `${found.matched} series`}
      </p>
      <table class="series">
        <thead>
          <tr>
            <th scope="col">Series</th>
            <th scope="col" class="plotted">
              Last minutes
            </th>
            <th scope="col" class="number">
              Now
            </th>
            <th scope="col" class="number optional">
              Least
            </th>
            <th scope="col" class="number optional">
              Most
            </th>
          </tr>
        </thead>
        <tbody>
          {found.series.map((series) => (
            <Row key={`${series.name} ${series.labels.join(" ")}`} series={series} pick={pick} />
          ))}
        </tbody>
      </table>
    </>
  );
}

interface RowProps {
  readonly series: Series;
  pick(term: string): void;
}

function Row({ series, pick }: RowProps) {
  const { name, type, labels, points } = series;
  const [open, setOpen] = useState(false);
  const isCounter = type === "counter" || (type !== "gauge" && COUNTERS.test(name));
  const values = points.map(([time, value]) => [time, Number(value)] as const);
  const plotted = isCounter ? perSecond(values) : values;
  const finite = plotted.map(([, value]) => value).filter(Number.isFinite);
  const unit = isCounter ? "/s" : "";
  const total = isCounter ? `total ${numberText(values.at(-1)?.[1] ?? Number.NaN)}` : "";
  return (
    <>
      <tr>
        <th scope="row">
          <button type="button" class="plain mono" aria-expanded={open} onClick={() => setOpen(!open)}>
            {name}
          </button>{" "}
          <span class="quiet">{type}</span>
          <div class="labels mono quiet">{labelText(labels)}</div>
        </th>
        <td>
          <Sparkline points={plotted} label={`${name} over the last minutes`} />
        </td>
        <td class="number" title={total}>
          {numberText(finite.at(-1) ?? Number.NaN) + unit}
        </td>
        <td class="number optional quiet">
          {numberText(finite.length === 0 ? Number.NaN : Math.min(...finite)) + unit}
        </td>
        <td class="number optional quiet">
          {numberText(finite.length === 0 ? Number.NaN : Math.max(...finite)) + unit}
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={5}>
            <Plot
              title={isCounter ? `${name}, increase per second` : name}
              times={plotted.map(([time]) => time / 1000)}
              lines={[{ name, values: plotted.map(([, value]) => value) }]}
            />
            <Pairs flat={labels} pick={pick} />
          </td>
        </tr>
      )}
    </>
  );
}

function labelText(flat: readonly string[]): string {
  const pairs = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push(`${flat[i]}="${flat[i + 1]}"`);
  return pairs.join(", ");
}

/** The increase per second between points; a reset counts from zero. */
function perSecond(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const rates: [number, number][] = [];
  for (let i = 1; i < points.length; i++) {
    const [before, low] = points[i - 1]!;
    const [time, high] = points[i]!;
    const seconds = (time - before) / 1000;
    if (seconds > 0) rates.push([time, (high >= low ? high - low : high) / seconds]);
  }
  return rates;
}
