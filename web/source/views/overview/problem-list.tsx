import type { StatusJson } from "../../agent.ts";
import { Age } from "../../parts/age.tsx";
import { Held } from "../../parts/held.tsx";
import { State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";
import { bytesText, durationText, numberText, rateText } from "../../text.ts";
import type { Trouble } from "./problems.ts";

interface ProblemListProps {
  readonly status: StatusJson;
  readonly troubles: readonly Trouble[];
  readonly now: number;
}

/** More than this are better looked at in the list of components. */
const MOST_SHOWN = 20;

/** What is wrong, why, since when, what it costs, and the way to it. */
export function ProblemList({ status, troubles, now }: ProblemListProps) {
  const { failedReload } = status;
  const left = troubles.length - MOST_SHOWN;
  return (
    <ul class="trouble-list" aria-label="Problems">
      {failedReload !== null && (
        <li class="trouble-failing">
          <p class="trouble-head">
            <State state="failing" /> <Link to="system">The last reload failed</Link>{" "}
            <span class="quiet">
              <Age time={failedReload.time} now={now} />
            </span>
          </p>
          <pre class="trouble-error">{failedReload.error.trimEnd()}</pre>
          <p class="quiet">
            {status.components.length > 0
              ? "The configuration before it stays in force. Correct the file and reload."
              : "Nothing runs. Correct the file and reload."}
          </p>
        </li>
      )}
      {troubles.slice(0, MOST_SHOWN).map((trouble) => (
        <Item key={trouble.id} trouble={trouble} now={now} />
      ))}
      {left > 0 && (
        <li class="trouble-more">
          <Link to="components" query={{ sort: "state" }}>
            and {left} more
          </Link>
        </li>
      )}
    </ul>
  );
}

function Item({ trouble, now }: { readonly trouble: Trouble; readonly now: number }) {
  const { id, look, cause, since, component } = trouble;
  const facts = factsOf(trouble);
  const slash = id.lastIndexOf("/");
  return (
    <li class={`trouble-${look}`}>
      <p class="trouble-head">
        {look === "wiring" ? (
          <span class="state degraded">
            <span aria-hidden="true">⚠</span> wiring
          </span>
        ) : (
          <State state={look} />
        )}{" "}
        <Link to={`component/${id}`}>{id}</Link>{" "}
        {since !== null && (
          <span class="quiet">
            <Held since={since} now={now} />
          </span>
        )}
        <Link to="graph" query={{ module: slash < 0 ? "" : id.slice(0, slash), selected: id }} class="trouble-place">
          see it in the graph
        </Link>
      </p>
      <p class="trouble-cause">{cause}</p>
      <p class="trouble-facts quiet">
        {facts.map((fact) => (
          <span key={fact}>{fact}</span>
        ))}
        {component?.flow.lastSuccess != null && look !== "wiring" && (
          <span>
            last success <Age time={component.flow.lastSuccess} now={now} />
          </span>
        )}
      </p>
    </li>
  );
}

function factsOf({ component }: Trouble): readonly string[] {
  if (component === undefined) return [];
  const { dropped, rates, queue } = component.flow;
  const facts: string[] = [];
  if (dropped.length > 0) {
    const items = dropped.reduce((sum, each) => sum + each.items, 0);
    const reasons = dropped.map(({ reason }) => reason).join(", ");
    facts.push(
      `${numberText(items)} dropped (${reasons})${rates.dropped > 0 ? `, now ${rateText(rates.dropped)}` : ""}`,
    );
  }
  if (queue !== null && queue.bytes > 0) {
    const full = queue.fullInSeconds === null ? "" : `, full in ${durationText(queue.fullInSeconds * 1000)}`;
    facts.push(`${bytesText(queue.bytes)} queued${full}`);
  }
  return facts;
}
