import { memo } from "preact/compat";
import { useState } from "preact/hooks";
import { usePolled } from "../../agent.ts";
import { useLast } from "../../hooks.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { Pairs } from "../../parts/pairs.tsx";
import { Time } from "../../parts/time.tsx";
import { type FoundLogs, type LogLine, type TabProps, viewerPath } from "./viewer.ts";
import { NoMatch } from "./viewer-view.tsx";

const LIMIT = 300;

/** Log lines, newest first. An open line stays open while others come. */
export function LogsTab({ viewer, filter, status, pick }: TabProps) {
  const path = viewerPath(viewer, "logs", { filter, limit: String(LIMIT) });
  const { value, error } = usePolled<FoundLogs>(path);
  const found = useLast(value);
  if (found === undefined) return <Problem error={error} />;
  const shown = found.entries.length;
  if (shown === 0 && found.kept > 0) return <NoMatch kept={found.kept} what="log lines" />;
  if (shown === 0) {
    return (
      <Empty title="No log lines yet">
        <p>They appear here as soon as something sends them to the viewer, such as this component:</p>
        <pre>{`loki.write "viewer" {\n  endpoint {\n    url = "${status?.urls.loki_url ?? ""}/loki/api/v1/push"\n  }\n}`}</pre>
      </Empty>
    );
  }
  const lines = `${found.matched} ${found.matched === 1 ? "line" : "lines"}`;
  return (
    <>
      <p class="quiet summary" role="status">
        {shown < found.matched ? `The latest ${shown} of ${found.matched} lines` : lines}
      </p>
      <ol class="rows" aria-label="Log lines, newest first">
        {found.entries.map((entry) => (
          <Line key={entry.id} entry={entry} pick={pick} />
        ))}
      </ol>
    </>
  );
}

interface LineProps {
  readonly entry: LogLine;
  pick(term: string): void;
}

/** Lines never change, so one that is drawn stays as it is; `pick` is only used when somebody clicks. */
const Line = memo(
  ({ entry, pick }: LineProps) => {
    const { time, labels, metadata, line } = entry;
    const [opened, setOpened] = useState(false);
    const stream = labels.filter((_, i) => i % 2 === 1).join(" ");
    return (
      <li>
        <details class={`narrow log ${levelOf(labels, line)}`} onToggle={() => setOpened(true)}>
          <summary>
            <Time ms={time} />
            <span class="stream quiet" title={stream}>
              {stream}
            </span>
            <span class="text mono">{line}</span>
          </summary>
          {opened && (
            <div class="detail">
              <p class="whole mono">{line}</p>
              <Pairs flat={labels} pick={pick} />
              {metadata.length > 0 && <p class="quiet">Metadata</p>}
              {metadata.length > 0 && <Pairs flat={metadata} pick={pick} />}
            </div>
          )}
        </details>
      </li>
    );
  },
  (before, after) => before.entry.id === after.entry.id && before.pick === after.pick,
);

/** `error`, `warn` or nothing, from a label or from the line. */
function levelOf(labels: readonly string[], line: string): string {
  const at = labels.findIndex((name, i) => i % 2 === 0 && /^(detected_)?level$|^severity$/.test(name));
  const text =
    at >= 0 ? (labels[at + 1] ?? "") : (/\b(level|lvl|severity)"?[=:] ?"?(\w+)/i.exec(line)?.[2] ?? line.slice(0, 200));
  if (/\b(error|err|fatal|crit(ical)?|panic|emerg|alert)\b/i.test(text)) return "error";
  return /\bwarn(ing)?\b/i.test(text) ? "warn" : "";
}
