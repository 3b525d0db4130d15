import { useEffect, useState } from "preact/hooks";
import { ask, usePolled } from "../../agent.ts";
import { useLast } from "../../hooks.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { Pairs } from "../../parts/pairs.tsx";
import { Time } from "../../parts/time.tsx";
import { durationText } from "../../text.ts";
import { inTreeOrder } from "./span-tree.ts";
import { type FoundTraces, type Span, type TabProps, type TraceSummary, viewerPath } from "./viewer.ts";
import { NoMatch } from "./viewer-view.tsx";

const LIMIT = 100;

/** Traces, newest first; opened, each shows its spans as a waterfall. */
export function TracesTab({ viewer, filter, status, pick }: TabProps) {
  const path = viewerPath(viewer, "traces", { filter, limit: String(LIMIT) });
  const { value, error } = usePolled<FoundTraces>(path);
  const found = useLast(value);
  if (found === undefined) return <Problem error={error} />;
  const shown = found.traces.length;
  if (shown === 0 && found.kept > 0) return <NoMatch kept={found.kept} what="traces" />;
  if (shown === 0) {
    return (
      <Empty title="No traces yet">
        <p>
          They appear here when an application sends OTLP to the agent and it goes on to the viewer, such as through:
        </p>
        <pre>{`otelcol.exporter.otlphttp "viewer" {\n  client {\n    endpoint = "${status?.urls.otlp_url ?? ""}"\n  }\n}`}</pre>
      </Empty>
    );
  }
  const longest = Math.max(...found.traces.map(({ durationMs }) => durationMs));
  const traces = `${found.matched} ${found.matched === 1 ? "trace" : "traces"}`;
  return (
    <>
      <p class="quiet summary" role="status">
        {shown < found.matched ? `The latest ${shown} of ${found.matched} traces` : traces}
      </p>
      <ol class="rows" aria-label="Traces, newest first">
        {found.traces.map((trace) => (
          <Trace key={trace.id} trace={trace} longest={longest} viewer={viewer} pick={pick} />
        ))}
      </ol>
    </>
  );
}

interface TraceProps {
  readonly trace: TraceSummary;
  /** The duration that fills the bar. */
  readonly longest: number;
  readonly viewer: string;
  pick(term: string): void;
}

function Trace({ trace, longest, viewer, pick }: TraceProps) {
  const { id, name, services, start, durationMs, spans, errors } = trace;
  const [open, setOpen] = useState(false);
  const width = longest > 0 ? Math.max(1, (durationMs / longest) * 100) : 1;
  return (
    <li>
      <details
        class={`narrow trace ${errors > 0 ? "failed" : ""}`}
        onToggle={(event) => setOpen(event.currentTarget.open)}
      >
        <summary>
          <Time ms={start} />
          <span class="wide">
            {name}
            {errors > 0 && <span class="mark"> {errors} failed</span>}
          </span>
          <span class="quiet optional">{services.join(", ")}</span>
          <span class="quiet optional">
            {spans} {spans === 1 ? "span" : "spans"}
          </span>
          <span class="bar-ground optional" aria-hidden="true">
            <div class="bar" style={{ width: `${width}%` }} />
          </span>
          <span class="mono">{durationText(durationMs)}</span>
        </summary>
        {open && (
          <div class="detail">
            <p class="quiet">
              Trace <code>{id}</code>
            </p>
            <Waterfall viewer={viewer} id={id} count={spans} pick={pick} />
          </div>
        )}
      </details>
    </li>
  );
}

interface WaterfallProps {
  readonly viewer: string;
  readonly id: string;
  /** Asks again when more spans have come. */
  readonly count: number;
  pick(term: string): void;
}

function Waterfall({ viewer, id, count, pick }: WaterfallProps) {
  const [spans, setSpans] = useState<readonly Span[]>([]);
  const [error, setError] = useState<Error | undefined>();
  useEffect(() => {
    const abort = new AbortController();
    ask<{ spans: readonly Span[] }>(viewerPath(viewer, `traces/${id}`), abort.signal).then(
      (found) => setSpans(found.spans),
      (cause) => {
        if (!abort.signal.aborted) setError(cause);
      },
    );
    return () => abort.abort();
  }, [viewer, id, count]);
  if (spans.length === 0) return <Problem error={error} />;
  const begin = Math.min(...spans.map(({ start }) => start));
  const end = Math.max(...spans.map(({ start, durationMs }) => start + durationMs));
  const whole = Math.max(end - begin, 0.001);
  return (
    <ol class="spans" aria-label="Spans">
      {inTreeOrder(spans).map(({ span, depth }) => {
        const left = Math.min(((span.start - begin) / whole) * 100, 99.7);
        const width = Math.min(Math.max((span.durationMs / whole) * 100, 0.3), 100 - left);
        return (
          <li key={span.id}>
            <details class="span">
              <summary>
                <span
                  class="name"
                  style={{ paddingLeft: `${Math.min(depth, 12) * 0.9}rem` }}
                  title={`${span.service}: ${span.name}`}
                >
                  {span.failed && <span class="mark">failed </span>}
                  {span.name}{" "}
                  <span class="quiet">
                    {span.service} {span.kind}
                  </span>
                </span>
                <span class="bar-ground" aria-hidden="true">
                  <div
                    class={`bar ${span.failed ? "failed" : ""}`}
                    style={{ marginLeft: `${left}%`, width: `${width}%` }}
                  />
                </span>
                <span class="mono">{durationText(span.durationMs)}</span>
              </summary>
              <div class="detail">
                {span.message !== "" && <p class="mark">{span.message}</p>}
                <p class="quiet">
                  Begins {durationText(span.start - begin)} after the trace. Span <code>{span.id}</code>
                </p>
                <Pairs flat={span.attributes} pick={pick} />
              </div>
            </details>
          </li>
        );
      })}
    </ol>
  );
}
