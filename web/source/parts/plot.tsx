import { useEffect, useRef, useState } from "preact/hooks";
import UPlot from "uplot";
import { clockText, numberText } from "../text.ts";

export interface PlotLine {
  readonly name: string;
  /** One for each time; what is not finite leaves a gap. */
  readonly values: readonly number[];
  /** Which of the plot colours, 1 to 6; by default the line's place. `bad` is for what is lost. */
  readonly tone?: PlotTone;
}

export type PlotTone = 1 | 2 | 3 | 4 | 5 | 6 | "bad";

interface PlotProps {
  readonly title: string;
  /** Epoch seconds, ascending. */
  readonly times: readonly number[];
  readonly lines: readonly PlotLine[];
  /** How values are written, at the axis and in the legend. */
  readonly format?: (value: number) => string;
  /** Lets the axis begin at zero, for rates and sizes. */
  readonly fromZero?: boolean;
  /** Lets the axis have powers of two, for sizes in KiB. */
  readonly isBinary?: boolean;
  /** Plots of one group share their cursor. */
  readonly group?: string;
}

const HEIGHT = 170;
const BINARY_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);
const FONT = "12px system-ui, sans-serif";

/**
 * Lines over time with axes and a legend: the last values, or those under the cursor. The cursor follows the mouse, and
 * the arrow keys once the plot has the focus.
 */
export function Plot({
  title,
  times,
  lines,
  format = numberText,
  fromZero = false,
  isBinary = false,
  group,
}: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const [at, setAt] = useState<number | undefined>(undefined);
  const scheme = useColourScheme();
  const names = lines.map(({ name, tone }, i) => `${name} ${toneOf(tone, i)}`).join("\n");
  useEffect(() => {
    const target = place.current!;
    const created = new UPlot(
      optionsOf({ target, lines, format, fromZero, isBinary, group, onCursor: setAt }),
      dataOf(times, lines),
      target,
    );
    plot.current = created;
    const observer = new ResizeObserver(() => created.setSize({ width: target.clientWidth, height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = undefined;
    };
  }, [names, scheme, format, fromZero, isBinary, group]);
  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines]);

  const shown = Math.min(at ?? times.length - 1, times.length - 1);
  const time = times[shown];
  const words = lines.map(({ name, values }) => `${name} ${valueText(values[shown], format)}`);
  const move = (event: KeyboardEvent) => {
    const last = times.length - 1;
    const steps: Readonly<Record<string, number>> = {
      ArrowLeft: shown - 1,
      ArrowRight: shown + 1,
      PageUp: shown - 10,
      PageDown: shown + 10,
      Home: 0,
      End: last,
    };
    const to = steps[event.key];
    if (event.key === "Escape") plot.current?.setCursor({ left: -10, top: -10 });
    if (to === undefined || last < 0) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(last, to));
    plot.current?.setCursor({ left: plot.current.valToPos(times[index]!, "x"), top: 0 });
    setAt(index); // two points may lie on one pixel
  };
  return (
    <figure class="plot">
      <figcaption>
        <span class="plot-title">{title}</span>
        <ul class="plot-legend">
          {lines.map(({ name, values, tone }, i) => (
            <li key={name}>
              <span class="plot-swatch" style={{ background: `var(--plot-${toneOf(tone, i)})` }} />
              {name} <b>{valueText(values[shown], format)}</b>
            </li>
          ))}
        </ul>
        <span class="plot-time quiet">{time === undefined ? "" : clockText(time * 1000).slice(0, 8)}</span>
      </figcaption>
      <div
        ref={place}
        class="plot-place"
        role="slider"
        tabIndex={0}
        aria-label={`${title}, along time`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, times.length - 1)}
        aria-valuenow={Math.max(0, shown)}
        aria-valuetext={
          time === undefined ? "nothing yet" : `${clockText(time * 1000).slice(0, 8)}: ${words.join(", ")}`
        }
        onKeyDown={move}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
      />
    </figure>
  );
}

function toneOf(tone: PlotTone | undefined, place: number): string {
  return String(tone ?? (place % 6) + 1);
}

function valueText(value: number | undefined, format: (value: number) => string): string {
  return value === undefined || !Number.isFinite(value) ? "–" : format(value);
}

interface Wanted {
  readonly target: HTMLElement;
  readonly lines: readonly PlotLine[];
  readonly format: (value: number) => string;
  readonly fromZero: boolean;
  readonly isBinary: boolean;
  readonly group: string | undefined;
  onCursor(index: number | undefined): void;
}

function optionsOf({ target, lines, format, fromZero, isBinary, group, onCursor }: Wanted): UPlot.Options {
  const line = colour(target, "--line");
  const axis = {
    stroke: colour(target, "--quiet"),
    font: FONT,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
  };
  return {
    width: target.clientWidth,
    height: HEIGHT,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: false, y: false },
      y: false,
      ...(group === undefined ? {} : { sync: { key: group, scales: ["x", null] } }),
    },
    scales: {
      x: { range: (plot, low, high) => (plot.data[0].length === 1 ? [low - 30, low + 30] : [low, high]) },
      y: { range: (_plot, low, high) => valueRange(low, high, fromZero) },
    },
    series: [
      {},
      ...lines.map(({ name, tone }, i) => ({
        label: name,
        stroke: colour(target, `--plot-${toneOf(tone, i)}`),
        width: 1.6,
        points: { show: (plot: UPlot) => plot.data[0].length === 1 }, // a point alone makes no line
      })),
    ],
    axes: [
      {
        ...axis,
        space: 70,
        size: 28,
        values: (_plot, splits, _axis, _space, step) =>
          splits.map((time) => clockText(time * 1000).slice(0, step % 60 === 0 ? 5 : 8)),
      },
      {
        ...axis,
        space: 34,
        ...(isBinary ? { incrs: BINARY_STEPS } : {}),
        // The longest label, with what stands between it and the line.
        size: (_plot, labels) => Math.max(34, ...(labels ?? []).map((label) => label.length * 7.3)) + 10,
        values: (_plot, splits) => splits.map(format),
      },
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? undefined)] },
  };
}

function valueRange(low: number | null, high: number | null, fromZero: boolean): UPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  const bottom = fromZero ? Math.min(0, low) : low;
  // A flat line stays a line and needs no axis of millionths.
  if (high - bottom <= Math.abs(high) * 1e-9) return fromZero && high === 0 ? [0, 1] : [low - 1, high + 1];
  const room = (high - bottom) * 0.08;
  return [fromZero ? bottom : bottom - room, high + room];
}

/** A colour token as the canvas takes it. */
function colour(within: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  within.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Changes with the colour scheme, since a canvas does not. */
function useColourScheme(): boolean {
  const [isDark, setDark] = useState(false);
  useEffect(() => {
    const query = window.matchMedia("(prefers-color-scheme: dark)");
    const update = () => setDark(query.matches);
    update();
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, []);
  return isDark;
}

function dataOf(times: readonly number[], lines: readonly PlotLine[]): UPlot.AlignedData {
  const columns = lines.map(({ values }) => values.map((value) => (Number.isFinite(value) ? value : null)));
  return [[...times], ...columns];
}
