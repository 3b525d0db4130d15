import { useMemo } from "preact/hooks";
import type { ComponentStatusJson, StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";
import { heldText } from "../../parts/held.tsx";
import { setQuery, usePlace } from "../../router.tsx";
import { agoText, bytesText, numberText, rateText } from "../../text.ts";
import { type Column, droppedItems, filterComponents, parseSort, sortComponents } from "./component-filter.ts";
import { ComponentRow } from "./component-row.tsx";
import { stateOf } from "./problems.ts";

/** Columns of numbers, and that of states, have the most or the worst at the top at first. */
const TITLES: readonly (readonly [column: Column, title: string, isNumber: boolean])[] = [
  ["id", "Component", false],
  ["module", "Module", false],
  ["health", "Health", false],
  ["state", "Flow", false],
  ["in", "In", true],
  ["out", "Out", true],
  ["dropped", "Dropped", true],
  ["queue", "Queue", true],
  ["success", "Last success", true],
];

/** Every component of every module in a table. */
export function ComponentsView({ status }: { readonly status: StatusJson | undefined }) {
  const { query } = usePlace();
  const filter = query.get("filter") ?? "";
  const sort = query.get("sort") ?? "";
  const all = status?.components;
  const shown = useMemo(() => sortComponents(filterComponents(all ?? [], filter), sort), [all, filter, sort]);
  if (status === undefined || all === undefined) return <p class="quiet">Asking the agent …</p>;
  const { column, isReversed } = parseSort(sort);
  const hasModules = all.some(({ moduleId }) => moduleId !== "");
  const isDescending =
    (TITLES.some(([name, , isNumber]) => name === column && isNumber) || column === "state") !== isReversed;
  const titles = TITLES.filter(([name]) => name !== "module" || hasModules);
  return (
    <div class="components">
      <h1 class="hidden">Components</h1>
      <div class="controls">
        <input
          type="search"
          aria-label="Filter components"
          placeholder="Filter: failing, loki, -unix …"
          value={filter}
          onInput={(event) => setQuery({ filter: event.currentTarget.value })}
        />
        <span class="quiet" role="status">
          {shown.length === all.length ? `${all.length} components` : `${shown.length} of ${all.length} components`}
        </span>
      </div>
      {shown.length === 0 ? (
        <Empty title={all.length === 0 ? "The configuration names no component" : "No component matches"}>
          {filter !== "" && (
            <button type="button" onClick={() => setQuery({ filter: "" })}>
              Clear the filter
            </button>
          )}
        </Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <section class="component-table" aria-label="Components" tabIndex={0}>
          <table>
            <thead>
              <tr>
                {titles.map(([name, title, isNumber]) => (
                  <th
                    key={name}
                    scope="col"
                    class={isNumber ? `number column-${name}` : `column-${name}`}
                    aria-sort={name !== column ? undefined : isDescending ? "descending" : "ascending"}
                  >
                    <button
                      type="button"
                      class="sort-button"
                      onClick={() => setQuery({ sort: name === column && !isReversed ? `-${name}` : name })}
                    >
                      {title}
                      {name === column && <span aria-hidden="true">{isDescending ? " ↓" : " ↑"}</span>}
                    </button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>{shown.map((component) => rowOf(component, hasModules, status.now))}</tbody>
          </table>
        </section>
      )}
    </div>
  );
}

function rowOf(component: ComponentStatusJson, hasModules: boolean, now: string) {
  const { id, moduleId, health, flow } = component;
  const { rates, queue, lastSuccess } = flow;
  const nowMs = Date.parse(now);
  const dropped = droppedItems(flow);
  const state = stateOf(component);
  return (
    <ComponentRow
      key={id}
      id={id}
      module={hasModules ? moduleId : undefined}
      health={health.state}
      healthMessage={health.state === "healthy" ? "" : health.message}
      state={flow.state}
      cause={flow.cause}
      since={state === "failing" || state === "degraded" ? heldText(flow.since, nowMs) : ""}
      into={flow.received.items === 0 ? "" : rateText(rates.received)}
      out={flow.sent.length === 0 ? "" : rateText(rates.sent)}
      dropped={dropped === 0 ? "" : numberText(dropped)}
      reasons={flow.dropped.map(({ reason, items }) => `${reason}: ${items}`).join(", ")}
      isLosing={rates.dropped > 0}
      queue={queue === null || queue.bytes === 0 ? "" : bytesText(queue.bytes)}
      success={lastSuccess === null ? "" : agoText(lastSuccess, nowMs)}
    />
  );
}
