import { memo } from "../../parts/memo.ts";
import { textWidth } from "./fit-text.ts";

/** How a line looks that is not as it should be: `losing` now, or `waiting` for long. */
export type Trouble = "losing" | "waiting" | "";

interface EdgeProps {
  readonly path: string;
  readonly kind: "data" | "targets" | "reference";
  /** Pixels, by what flows. */
  readonly thickness: number;
  readonly isFlowing: boolean;
  readonly isDim: boolean;
  /** Whether it begins or ends at the selected box. */
  readonly isNear: boolean;
  readonly trouble: Trouble;
}

export const Edge = memo(function Edge({ path, kind, thickness, isFlowing, isDim, isNear, trouble }: EdgeProps) {
  const classes = ["edge", `edge-${kind}`];
  if (trouble !== "") classes.push(`edge-${trouble}`);
  if (isNear) classes.push("edge-near");
  if (isDim) classes.push("dim");
  const marker = trouble || (isNear ? "near" : kind);
  return (
    <g class={classes.join(" ")}>
      <path class="edge-line" d={path} stroke-width={thickness} marker-end={`url(#arrow-${marker})`} />
      {isFlowing && <path class="edge-flow" d={path} stroke-width={Math.max(1.6, thickness * 0.6)} />}
    </g>
  );
});

interface EdgeNoteProps {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly trouble: Trouble;
}

/** A text on a line. */
export const EdgeNote = memo(function EdgeNote({ x, y, text, trouble }: EdgeNoteProps) {
  const width = textWidth(text, "note") + 14;
  return (
    <g class={`edge-note ${trouble === "" ? "" : `edge-${trouble}`}`} transform={`translate(${x} ${y})`}>
      <rect x={-width / 2} y="-10" width={width} height="20" rx="10" />
      <text y="4">{text}</text>
    </g>
  );
});

const MARKERS = ["data", "targets", "reference", "near", "losing", "waiting"];

/** The arrows' heads, once for the whole drawing. */
export function EdgeMarkers() {
  return (
    <defs>
      {MARKERS.map((name) => (
        <marker
          key={name}
          id={`arrow-${name}`}
          class={`arrow arrow-${name}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0.5 0.5L7 4L0.5 7.5Z" />
        </marker>
      ))}
    </defs>
  );
}
