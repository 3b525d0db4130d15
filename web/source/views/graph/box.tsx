import type { FlowState } from "../../agent.ts";
import { memo } from "../../parts/memo.ts";
import { MARKS } from "../../parts/states.ts";
import { fitText } from "./fit-text.ts";
import { BOX_HEIGHT, BOX_WIDTH } from "./layout.ts";

/** What one box shows. Nothing but texts and numbers, so that it is drawn again only when one of them changes. */
interface BoxProps {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly name: string;
  readonly label: string;
  readonly kind: string;
  readonly look: FlowState | "none";
  /** The third line: rates, or what is wrong. */
  readonly note: string;
  readonly isDead: boolean;
  /** All of it in words: what is read out, and shown beside the pointer. */
  readonly spoken: string;
  readonly href: string;
  /** The address of the module inside; empty if there is none, or several. */
  readonly inside: string;
  readonly isSelected: boolean;
  readonly isDim: boolean;
  /** False for what nobody sees, or sees from so far that it is a shape. It takes the focus and is read out all the same. */
  readonly isFull: boolean;
}

export const Box = memo(function Box(props: BoxProps) {
  const { id, x, y, kind, look, isDead, spoken, href, inside, isSelected, isDim, isFull } = props;
  const marks = [isDead && "dead", isSelected && "selected", isDim && "dim"];
  const hasInside = kind === "custom" || kind === "foreach";
  return (
    <g
      class={["box", `kind-${kind}`, `look-${look}`, ...marks].filter(Boolean).join(" ")}
      transform={`translate(${x} ${y})`}
      data-id={id}
    >
      <a href={href} aria-current={isSelected ? "true" : undefined}>
        <title>{spoken}</title>
        {hasInside && <rect class="box-behind" x="5" y="5" width={BOX_WIDTH} height={BOX_HEIGHT} rx="9" />}
        <rect class="box-ground" width={BOX_WIDTH} height={BOX_HEIGHT} rx={kind === "config" ? BOX_HEIGHT / 2 : 9} />
        {isFull && <Content {...props} />}
      </a>
      {isFull && inside !== "" && (
        <a class="box-open" href={inside} data-inside="">
          <title>Open {id}</title>
          <rect x={BOX_WIDTH - 68} y={BOX_HEIGHT - 27} width="60" height="20" rx="5" />
          {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a text takes no focus */}
          <text x={BOX_WIDTH - 38} y={BOX_HEIGHT - 13} aria-hidden="true">
            open ▸
          </text>
        </a>
      )}
    </g>
  );
});

const LEFT = 16;
/** Widths of the state's words with their marks. */
const PILL_WIDTHS: Readonly<Record<FlowState, number>> = { ok: 41, idle: 46, degraded: 84, failing: 67 };
const PILL_HEIGHT = 19;

function Content({ name, label, kind, look, note, isDead, inside }: BoxProps) {
  const pill = look === "none" ? 0 : PILL_WIDTHS[look];
  const room = BOX_WIDTH - LEFT - 12;
  const noteRoom = room - (inside === "" ? 0 : 62) - (isDead ? 18 : 0);
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it takes no focus, and the title around it says the same
    <g aria-hidden="true">
      {look !== "none" && <path class="box-stripe" d={`M7.5 9V${BOX_HEIGHT - 9}`} />}
      <text class="box-name" x={LEFT} y="20">
        {fitText(label === "" ? kind : name, "name", room - pill - 6)}
      </text>
      <text class="box-label" x={LEFT} y="41">
        {fitText(label === "" ? name : label, "label", room, true)}
      </text>
      <text class="box-note" x={LEFT} y="60">
        {isDead && "⚠ "}
        {fitText(note, "note", noteRoom)}
      </text>
      {look !== "none" && (
        <g class="box-pill" transform={`translate(${BOX_WIDTH - pill - 7} 7)`}>
          <rect width={pill} height={PILL_HEIGHT} rx={PILL_HEIGHT / 2} />
          <text x={pill / 2} y="13.5">
            {MARKS[look]} {look}
          </text>
        </g>
      )}
    </g>
  );
}
