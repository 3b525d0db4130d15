import type { LiveEvent } from "../api/json.ts";
import { escapeControls } from "../terminal/escape.ts";
import { itemText } from "../terminal/item-view.ts";
import { type Field, itemFields, logfmtLine, traceLines } from "../terminal/logfmt.ts";
import type { Paint } from "../terminal/table.ts";
import { traceText } from "../terminal/trace-text.ts";

/** Live events at a terminal, as lines without their ends. */

export type ShownEvent = Exclude<LiveEvent, { readonly event: "passed" }>;

/** An item's own time is shown as well if it is further than this from when it passed. */
const NEAR_MS = 60_000;

/** For people, one or several lines. With `place`, the component and the direction are in front. */
export function prettyEvent(event: ShownEvent, paint: Paint, place: boolean): string {
  const where = event.event === "item" ? `${event.component}${arrow(event)}` : event.component;
  const head = `${paint("quiet", clockTime(event.time))}  ${place ? `${paint("cyan", escapeControls(where))}  ` : ""}`;
  if (event.event === "trace") return traceText(head, event.trace, paint);
  return head + itemText(event.item, paint) + ownTime(event, paint);
}

/** For programs. */
export function logfmtEvent(event: ShownEvent): readonly string[] {
  const head: Field[] = [
    ["time", event.time],
    ["component", event.component],
  ];
  if (event.event === "trace") return traceLines([...head, ["type", "trace"]], event.trace);
  const { direction, peer, item } = event;
  return [logfmtLine([...head, ["direction", direction], ["to", peer], ...itemFields(item)])];
}

function arrow({ direction, peer }: { readonly direction: string; readonly peer: string }): string {
  if (direction === "in") return " ←";
  return peer === "" ? "" : ` → ${peer}`;
}

function clockTime(iso: string): string {
  const date = new Date(iso);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** When the item says that it is from another time, which explains why it is not found later. */
function ownTime(event: ShownEvent & { readonly event: "item" }, paint: Paint): string {
  const { item } = event;
  if (!("timestamp" in item) || item.timestamp === "") return "";
  const own = Date.parse(item.timestamp);
  return Math.abs(own - Date.parse(event.time)) <= NEAR_MS ? "" : `  ${paint("yellow", `of ${item.timestamp}`)}`;
}
