interface SparklineProps {
  /** Times (or places) and values, oldest first; what is not finite leaves a gap. */
  readonly points: readonly (readonly [time: number, value: number])[];
  /** What it shows, for those who do not see it: "in, last minute, now 12/s". */
  readonly label: string;
  /** Colour: the accent by default. */
  readonly tone?: "quiet" | "warn" | "bad";
  /** Lets the scale begin at zero and fills what is below the line, for rates and sizes. */
  readonly fromZero?: boolean;
}

const WIDTH = 160;
const HEIGHT = 30;
/** Kept clear above and below, so that the line is not cut. */
const PADDING = 2;

/** The course of a few numbers, without axes; its style sheet says how large. */
export function Sparkline({ points, label, tone, fromZero = false }: SparklineProps) {
  const { line, area } = sparklinePaths(points, fromZero);
  return (
    <svg
      class={`sparkline ${tone ?? ""}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {fromZero && <path class="area" d={area} />}
      <path d={line} />
    </svg>
  );
}

/** The line through the points and the area between it and the bottom, as SVG path data; empty for fewer than two. */
function sparklinePaths(
  points: SparklineProps["points"],
  fromZero: boolean,
): { readonly line: string; readonly area: string } {
  const finite = points.map(([, value]) => value).filter(Number.isFinite);
  if (finite.length < 2) return { line: "", area: "" };
  const lowest = fromZero ? 0 : Math.min(...finite);
  const range = Math.max(...finite) - lowest;
  const first = points[0]![0];
  const duration = points.at(-1)![0] - first || 1;
  const bottom = HEIGHT - PADDING;
  const x = (i: number) => (((points[i]![0] - first) / duration) * WIDTH).toFixed(1);
  // A flat line lies in the middle, unless it says zero.
  const share = (value: number) => (range > 0 ? (value - lowest) / range : fromZero ? 0 : 0.5);
  let line = "";
  let area = "";
  let from = -1;
  for (let i = 0; i <= points.length; i++) {
    const value = points[i]?.[1] ?? Number.NaN;
    if (Number.isFinite(value)) {
      const place = `${x(i)} ${(bottom - share(value) * (bottom - PADDING)).toFixed(1)}`;
      line += (from < 0 ? "M" : "L") + place;
      area += from < 0 ? `M${x(i)} ${bottom}L${place}` : `L${place}`;
      if (from < 0) from = i;
    } else if (from >= 0) {
      area += `L${x(i - 1)} ${bottom}Z`;
      from = -1;
    }
  }
  return { line, area };
}
