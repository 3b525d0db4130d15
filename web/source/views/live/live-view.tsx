import { useEffect, useState } from "preact/hooks";
import { AnswerError, type StatusJson } from "../../agent.ts";
import { Empty, Problem } from "../../parts/empty.tsx";
import { go, Link, setQuery, usePlace } from "../../router.tsx";
import { numberText } from "../../text.ts";
import { Item } from "./item.tsx";
import { type Passed, type ShownEvent, useLive } from "./stream.ts";
import { Trace } from "./trace.tsx";

const DIRECTIONS = ["", "in", "out", "both"] as const;
/** Components that show what each of their stages does. */
const STAGED = /(^|\/)loki\.process\./;

interface LiveProps {
  /** A component's id, or a pattern with `*`. */
  readonly id: string;
  readonly status: StatusJson | undefined;
}

/** What flows through a component, as it flows. */
export function LiveView({ id, status }: LiveProps) {
  const { query } = usePlace();
  const [running, setRunning] = useState(true);
  const text = (name: string) => query.get(name) ?? "";
  const trace = text("trace") === "true" && STAGED.test(id);
  const asked = {
    component: id,
    direction: text("direction"),
    to: text("to"),
    where: text("where"),
    sample: text("sample"),
    ...(trace ? { trace: "true" } : {}),
  };
  const live = useLive(running && id !== "" ? asked : undefined);
  const pick = (term: string) => setQuery({ where: `${text("where")} ${term}`.trim() });
  if (id === "") return <Choose status={status} />;
  const off = live.error instanceof AnswerError && live.error.status === 403;
  const shown = live.events.filter((event) => (event.event === "trace") === trace);
  const consumers = status?.components.find((each) => each.id === id)?.flow.sent.map(({ to }) => to) ?? [];
  return (
    <section class="live">
      <h1>
        Live: <Link to={`component/${id}`}>{id}</Link>
      </h1>
      <div class="controls">
        <WhereField where={text("where")} />
        <label>
          Direction{" "}
          <select value={text("direction")} onChange={(event) => setQuery({ direction: event.currentTarget.value })}>
            {DIRECTIONS.map((direction) => (
              <option key={direction} value={direction}>
                {direction === "" ? "as it goes" : direction}
              </option>
            ))}
          </select>
        </label>
        {consumers.length > 1 && (
          <label>
            To{" "}
            <select value={text("to")} onChange={(event) => setQuery({ to: event.currentTarget.value })}>
              <option value="">all</option>
              {consumers.map((consumer) => (
                <option key={consumer}>{consumer}</option>
              ))}
            </select>
          </label>
        )}
        <label>
          Sample{" "}
          <select value={text("sample")} onChange={(event) => setQuery({ sample: event.currentTarget.value })}>
            <option value="">all</option>
            <option value="0.1">1 of 10</option>
            <option value="0.01">1 of 100</option>
            <option value="0.001">1 of 1000</option>
          </select>
        </label>
        {STAGED.test(id) && (
          <button type="button" aria-pressed={trace} onClick={() => setQuery({ trace: trace ? "" : "true" })}>
            Stage by stage
          </button>
        )}
        <button type="button" aria-pressed={!running} onClick={() => setRunning(!running)}>
          {running ? "Stop" : "Go on"}
        </button>
        <button type="button" onClick={live.clear} disabled={live.events.length === 0}>
          Clear
        </button>
        <CopyButton events={shown} />
      </div>
      {off ? <Off text={live.error?.message ?? ""} /> : <Problem error={live.error} />}
      <PassedLine passed={live.passed} watching={live.open} ended={live.ended} />
      {shown.length === 0 && !off && live.error === undefined && (
        <Empty title={running ? "Waiting for something to flow" : "Stopped"}>
          <p class="quiet">
            {text("where") === ""
              ? "Nothing has passed since this view was opened."
              : "Nothing that matches has passed."}
          </p>
        </Empty>
      )}
      <ol class="rows" aria-label="What flows, newest first">
        {shown.map((event) =>
          event.event === "trace" ? (
            <Trace key={event.key} event={event} />
          ) : (
            <Item key={event.key} event={event} named={id.includes("*")} pick={pick} />
          ),
        )}
      </ol>
    </section>
  );
}

/** The search field; what is typed counts a moment later, since each change begins the stream anew. */
function WhereField({ where }: { readonly where: string }) {
  const [text, setText] = useState(where);
  useEffect(() => setText(where), [where]);
  useEffect(() => {
    if (text === where) return;
    const timer = setTimeout(() => setQuery({ where: text }), 300);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <input
      type="search"
      aria-label="Only what matches: words, name=value, name=~pattern, -not"
      placeholder={'error job=web path=~"/api/.*" -debug'}
      title="words, name=value, name!=value, name=~pattern, -not; all must hold"
      autoComplete="off"
      spellcheck={false}
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
    />
  );
}

function CopyButton({ events }: { readonly events: readonly ShownEvent[] }) {
  const [copied, setCopied] = useState("");
  const copy = async () => {
    const lines = events.map((event) => JSON.stringify(event.event === "trace" ? event.trace : event.item));
    try {
      await navigator.clipboard.writeText(`${lines.join("\n")}\n`);
      setCopied("Copied");
    } catch {
      setCopied("The browser does not allow copying here");
    }
    setTimeout(() => setCopied(""), 2000);
  };
  return (
    <>
      <button type="button" onClick={copy} disabled={events.length === 0}>
        Copy
      </button>
      <span role="status" class="quiet">
        {copied}
      </span>
    </>
  );
}

interface PassedProps {
  readonly passed: Passed | undefined;
  readonly watching: boolean;
  readonly ended: boolean;
}

/** Whether the agent watches, and how much passed. */
function PassedLine({ passed, watching, ended }: PassedProps) {
  const state = watching ? "Watching." : ended ? "The agent ended the stream." : "Not watching.";
  if (passed === undefined) return <p class="quiet summary">{state}</p>;
  const { items, looked, shown } = passed;
  const part = items > looked ? `, ${numberText(looked)} of them looked at so that watching slows nothing` : "";
  return (
    <p class="quiet summary">
      {state} {numberText(items)} items passed in the last second{part}; {numberText(shown)} shown.
    </p>
  );
}

function Off({ text }: { readonly text: string }) {
  return (
    <Empty title="Watching data is off">
      <p>Data may be confidential, so somebody has to allow it. Add this to the configuration and reload:</p>
      <pre>{"livedebugging {\n  enabled = true\n}"}</pre>
      <p class="quiet">{text}</p>
    </Empty>
  );
}

/** Which component to watch. */
function Choose({ status }: { readonly status: StatusJson | undefined }) {
  const [pattern, setPattern] = useState("");
  const found = status?.components.filter(({ id }) => id.includes(pattern.replaceAll("*", ""))) ?? [];
  const watch = (event: Event) => {
    event.preventDefault();
    if (pattern !== "") go(`live/${pattern}`);
  };
  return (
    <section class="live">
      <h1>Live data</h1>
      {status?.liveDebugging === false && <Off text="" />}
      <form class="controls" onSubmit={watch}>
        <input
          type="search"
          aria-label="Component to watch; * stands for anything"
          placeholder="Component to watch, such as loki.process.*"
          value={pattern}
          onInput={(event) => setPattern(event.currentTarget.value)}
        />
        <button type="submit" disabled={pattern === ""}>
          Watch
        </button>
      </form>
      <ul class="choices">
        {found.map(({ id, flow }) => (
          <li key={id}>
            <Link to={`live/${id}`}>{id}</Link>{" "}
            <span class="quiet">
              {flow.rates === undefined ? "" : `${numberText(flow.rates.sent || flow.rates.received)}/s`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
