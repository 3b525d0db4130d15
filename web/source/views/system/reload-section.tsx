import { useState } from "preact/hooks";
import type { FailedReloadJson, ReloadJson, StatusJson } from "../../agent.ts";
import { Age } from "../../parts/age.tsx";
import { Link } from "../../router.tsx";

type Outcome = { readonly kind: "running" } | { readonly kind: "done" | "failed"; readonly text: string };

/** The outcome of this page's reload, and which load was in force before it: a later one makes the outcome old. */
interface Attempt {
  readonly outcome: Outcome;
  readonly before: string | undefined;
}

/** What the last loads of the configuration did, and a button for another. */
export function ReloadSection({ status, now }: { readonly status: StatusJson; readonly now: number }) {
  const [attempt, setAttempt] = useState<Attempt | undefined>(undefined);
  const { failedReload, lastReload } = status;
  const reload = async () => {
    const before = lastReload?.time;
    setAttempt({ outcome: { kind: "running" }, before });
    setAttempt({ outcome: await reloaded(), before });
  };
  const isOld = attempt?.outcome.kind === "failed" && attempt.before !== lastReload?.time;
  const outcome = isOld ? undefined : attempt?.outcome;
  return (
    <section class="panel reload" aria-labelledby="configuration">
      <div class="reload-head">
        <h2 id="configuration">Configuration</h2>
        <button type="button" disabled={outcome?.kind === "running"} onClick={() => void reload()}>
          Reload now
        </button>
        <span role="status">
          {outcome?.kind === "running" && "Reloading …"}
          {outcome?.kind === "done" && <span class="state ok">{outcome.text}</span>}
          {outcome?.kind === "failed" && <span class="state failing">the reload failed</span>}
        </span>
      </div>
      {failedReload !== null ? (
        <FailedReload failed={failedReload} hasOther={lastReload !== null} now={now} />
      ) : (
        outcome?.kind === "failed" && (
          <div class="failed-reload">
            <Diagnostics text={outcome.text} />
          </div>
        )
      )}
      {lastReload === null ? (
        <p class="quiet">No configuration has been loaded yet.</p>
      ) : (
        <LastReload reload={lastReload} now={now} />
      )}
    </section>
  );
}

/** The path lies at the server's root, also under a prefix. */
async function reloaded(): Promise<Outcome> {
  try {
    const response = await fetch("/-/reload", { method: "POST" });
    const text = (await response.text()).trim();
    return { kind: response.ok ? "done" : "failed", text };
  } catch {
    return { kind: "failed", text: "The agent does not answer. Is it running?" };
  }
}

interface FailedReloadProps {
  readonly failed: FailedReloadJson;
  readonly hasOther: boolean;
  readonly now: number;
}

function FailedReload({ failed, hasOther, now }: FailedReloadProps) {
  return (
    <div class="failed-reload">
      <p>
        <b>The configuration could not be loaded</b> <Age time={failed.time} now={now} />.{" "}
        {hasOther ? "What was loaded before stays in force." : "Nothing runs."} Correct the text and reload:
      </p>
      <Diagnostics text={failed.error} />
    </div>
  );
}

/** Diagnostics as the command line prints them, with their marks in colour. */
function Diagnostics({ text }: { readonly text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="source diagnostics" tabIndex={0} aria-label="What is wrong with the configuration">
      <pre>
        {text
          .trimEnd()
          .split("\n")
          .map((line, i) => (
            <div key={i} class={diagnosticLook(line)}>
              {line === "" ? "\n" : line}
            </div>
          ))}
      </pre>
    </section>
  );
}

function diagnosticLook(line: string): string {
  if (/^(Error|Warning)\b/.test(line)) return "diagnostic-title";
  if (/^\s*\|\s*[\^~]/.test(line)) return "diagnostic-mark";
  return /^(why|hint|code|see):/.test(line) ? "diagnostic-note" : "";
}

function LastReload({ reload, now }: { readonly reload: ReloadJson; readonly now: number }) {
  const { time, added, updated, restarted, removed, diff } = reload;
  const changes = [
    ["Added", added],
    ["Updated", updated],
    ["Restarted", restarted],
    ["Removed", removed],
  ] as const;
  const isNothing = changes.every(([, ids]) => ids.length === 0);
  return (
    <div class="last-reload">
      <p>
        Loaded <Age time={time} now={now} />
        {isNothing && ", with no change to any component"}.
      </p>
      <dl class="values">
        {changes
          .filter(([, ids]) => ids.length > 0)
          .map(([title, ids]) => (
            <div key={title}>
              <dt>
                {title} <span class="quiet">{ids.length}</span>
              </dt>
              <dd>
                <Ids ids={ids} areThere={title !== "Removed"} />
              </dd>
            </div>
          ))}
      </dl>
      {diff !== "" && <Diff text={diff} />}
    </div>
  );
}

/** Longer lists begin cut. */
const MAX_IDS = 12;

function Ids({ ids, areThere }: { readonly ids: readonly string[]; readonly areThere: boolean }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? ids : ids.slice(0, MAX_IDS);
  return (
    <ul class="ids mono">
      {shown.map((id) => (
        <li key={id}>{areThere ? <Link to={`component/${id}`}>{id}</Link> : <del>{id}</del>}</li>
      ))}
      {ids.length > MAX_IDS && (
        <li>
          <button type="button" class="small" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Show fewer" : `Show all ${ids.length}`}
          </button>
        </li>
      )}
    </ul>
  );
}

/** A unified diff; the signs at the lines' beginnings say the same as the colours. */
function Diff({ text }: { readonly text: string }) {
  return (
    <>
      <h3>What changed in the text</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="source diff" tabIndex={0} aria-label="What changed in the text">
        <pre>
          {text
            .trimEnd()
            .split("\n")
            .map((line, i) => (
              <DiffLine key={i} line={line} />
            ))}
        </pre>
      </section>
    </>
  );
}

function DiffLine({ line }: { readonly line: string }) {
  if (/^(---|\+\+\+|@@|#)/.test(line)) return <div class="diff-head">{line}</div>;
  if (line.startsWith("+")) return <ins>{line}</ins>;
  if (line.startsWith("-")) return <del>{line}</del>;
  return <div>{line === "" ? "\n" : line}</div>;
}
