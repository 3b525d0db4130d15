import { useRef } from "preact/hooks";
import { usePolled } from "../../agent.ts";
import { Plot } from "../../parts/plot.tsx";
import { bytesText, durationText } from "../../text.ts";
import { plainSamples } from "./exposition.ts";

const CPU = "process_cpu_seconds_total";
const RESIDENT = "process_resident_memory_bytes";
const HEAP = "nodejs_heap_size_used_bytes";
const EXTERNAL = "nodejs_external_memory_bytes";
const LAG = "nodejs_eventloop_lag_p99_seconds";
const NAMES = [CPU, RESIDENT, HEAP, EXTERNAL, LAG];

/** At five seconds a step, the last quarter of an hour. */
const MAX_POINTS = 180;
const STEP_MS = 5000;

interface Figures {
  /** Epoch seconds. */
  readonly time: number;
  readonly values: ReadonlyMap<string, number>;
  /** Share of one processor core, 0 to 1 and above; not a number before the second reading. */
  readonly cpu: number;
}

/** What the process itself takes. The plots grow while the view is open. */
export function ProcessSection() {
  const { value: page, error } = usePolled<string>("/metrics", STEP_MS, "text");
  const readings = useReadings(page);
  const last = readings.at(-1);
  const times = readings.map(({ time }) => time);
  const column = (name: string) => readings.map(({ values }) => values.get(name) ?? Number.NaN);
  const now = (name: string) => last?.values.get(name) ?? Number.NaN;
  return (
    <section class="panel" aria-labelledby="process">
      <h2 id="process">Process</h2>
      {error !== undefined && <p class="quiet">The metrics page does not answer: {error.message}</p>}
      {last !== undefined && (
        <>
          <dl class="tiles">
            <Figure title="Memory" value={bytesText(now(RESIDENT))} note="resident" />
            <Figure title="Heap" value={bytesText(now(HEAP))} note="in use" />
            <Figure title="Processor" value={percentText(last.cpu)} note="of one core" />
            <Figure title="Event loop" value={durationText(now(LAG) * 1000)} note="late, at most in 99 %" />
          </dl>
          <div class="plots">
            <Plot
              title="Memory"
              times={times}
              lines={[
                { name: "resident", values: column(RESIDENT) },
                { name: "heap", values: column(HEAP) },
                { name: "external", values: column(EXTERNAL) },
              ]}
              format={bytesText}
              isBinary
              fromZero
              group="process"
            />
            <Plot
              title="Processor"
              times={times}
              lines={[{ name: "of one core", values: readings.map(({ cpu }) => cpu) }]}
              format={percentText}
              fromZero
              group="process"
            />
            <Plot
              title="Delay of the event loop"
              times={times}
              lines={[{ name: "99th percentile", values: column(LAG).map((seconds) => seconds * 1000), tone: 3 }]}
              format={durationText}
              fromZero
              group="process"
            />
          </div>
        </>
      )}
    </section>
  );
}

function Figure({ title, value, note }: { readonly title: string; readonly value: string; readonly note: string }) {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <b>{value}</b>
        <span class="quiet">{note}</span>
      </dd>
    </div>
  );
}

function percentText(share: number): string {
  return Number.isFinite(share) ? `${Number((share * 100).toPrecision(3))} %` : "–";
}

function useReadings(page: string | undefined): readonly Figures[] {
  const seen = useRef<{ page: string | undefined; readings: readonly Figures[] }>({ page: undefined, readings: [] });
  if (page === undefined || seen.current.page === page) return seen.current.readings;
  const values = plainSamples(page, NAMES);
  const time = Date.now() / 1000;
  const before = seen.current.readings.at(-1);
  const busy = (values.get(CPU) ?? Number.NaN) - (before?.values.get(CPU) ?? Number.NaN);
  const cpu = before === undefined ? Number.NaN : busy / (time - before.time);
  seen.current = { page, readings: [...seen.current.readings, { time, values, cpu }].slice(-MAX_POINTS) };
  return seen.current.readings;
}
