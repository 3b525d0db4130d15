import { State } from "../../parts/state.tsx";
import { STATES } from "../../parts/states.ts";

/** What the looks of boxes and lines mean, and what the keys do. */
export function Legend() {
  return (
    <details class="graph-legend">
      <summary>Legend</summary>
      <div class="legend-body">
        <ul>
          {STATES.map((state) => (
            <li key={state}>
              <State state={state} /> {STATE_WORDS[state]}
            </li>
          ))}
        </ul>
        <ul>
          {LINES.map(([look, words]) => (
            <li key={look}>
              <LineSample look={look} /> {words}
            </li>
          ))}
          <li>
            <svg class="legend-sample" viewBox="0 0 46 22" aria-hidden="true">
              <g class="box dead">
                <rect class="box-ground" x="2" y="2" width="42" height="18" rx="5" />
              </g>
            </svg>{" "}
            ⚠ wired to nothing
          </li>
        </ul>
        <ul>
          <li>
            <kbd>Tab</kbd> and <kbd>←↑↓→</kbd> from box to box
          </li>
          <li>
            <kbd>Enter</kbd> opens, <kbd>Space</kbd> tells more, <kbd>Esc</kbd> goes back
          </li>
          <li>
            <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom, <kbd>Shift</kbd> and <kbd>←↑↓→</kbd> move
          </li>
          <li>
            <kbd>/</kbd> search, <kbd>Enter</kbd> next hit
          </li>
        </ul>
      </div>
    </details>
  );
}

const STATE_WORDS = {
  failing: "all of its work fails",
  degraded: "some of its work fails",
  idle: "nothing flows",
  ok: "data flows",
} as const;

const LINES = [
  ["data", "data, thicker for more, moving while it flows"],
  ["targets", "targets to scrape or to read"],
  ["reference", "another value"],
  ["losing", "data is dropped"],
  ["waiting", "data waits"],
] as const;

function LineSample({ look }: { readonly look: string }) {
  return (
    <svg class="legend-sample" viewBox="0 0 46 12" aria-hidden="true">
      <g class={`edge edge-${look}`}>
        <path class="edge-line" d="M1 6H43" stroke-width="2" marker-end={`url(#arrow-${look})`} />
        {look === "data" && <path class="edge-flow" d="M1 6H43" stroke-width="2" />}
      </g>
    </svg>
  );
}
