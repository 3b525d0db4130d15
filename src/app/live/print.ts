import { displayText as visible } from "#lang/display";
import type {
  AlloyJsonStatement,
  AlloyJsonValue,
  EntryStateJson,
  LiveEvent,
  LiveItem,
  Pairs,
  TraceJson,
} from "../api/json.ts";
import type { Color } from "../terminal/table.ts";

/** Live events for people at a terminal. */

export type Paint = (color: Color | undefined, text: string) => string;

export type ShownEvent = Exclude<LiveEvent, { readonly event: "passed" }>;

/** An item's own time is shown as well if it is further than this from when it passed. */
const NEAR_MS = 60_000;

/** One or several lines. With `place`, the component and the direction are in front. */
export function prettyEvent(event: ShownEvent, paint: Paint, place: boolean): string {
  const where = event.event === "item" ? `${event.component}${arrow(event)}` : event.component;
  const head = `${paint("quiet", clockTime(event.time))}  ${place ? `${paint("cyan", visible(where))}  ` : ""}`;
  if (event.event === "trace") return head + prettyTrace(event.trace, paint);
  return head + prettyItem(event.item, paint) + ownTime(event, paint);
}

function arrow({ direction, peer }: { readonly direction: string; readonly peer: string }): string {
  if (direction === "in") return " ←";
  return peer === "" ? "" : ` → ${peer}`;
}

function prettyItem(item: LiveItem, paint: Paint): string {
  switch (item.type) {
    case "log":
      return `${levelled(visible(item.line), item.labels.level ?? item.metadata.level, paint)}${rest(paint, labelSet(item.labels), pairs(item.metadata))}`;
    case "sample": {
      const { __name__: name = "", ...labels } = item.labels;
      return `${visible(name)}${paint("quiet", labelSet(labels))}  ${paint("strong", item.value)}`;
    }
    case "span": {
      const failed = item.status.startsWith("error");
      const status = paint(failed ? "red" : "quiet", visible(item.status));
      return `${paint("strong", visible(item.name))}  ${item.durationMs} ms  ${item.kind}  ${status}${rest(paint, ids(item), pairs(item.attributes), pairs(item.resource), visible(item.scope))}`;
    }
    case "datapoint":
      return `${visible(item.name)}${paint("quiet", labelSet(item.attributes))}  ${paint("strong", item.value)}${rest(paint, item.kind, pairs(item.resource), visible(item.scope))}`;
    case "logrecord":
      return `${levelled(`${visible(item.severity)} ${visible(item.body)}`.trim(), item.severity, paint)}${rest(paint, ids(item), pairs(item.attributes), pairs(item.resource), visible(item.scope))}`;
    case "profile":
      return `profile${paint("quiet", labelSet(item.labels))}  ${item.bytes} bytes`;
    case "exports":
      return item.exports.map((each) => prettyExport(each, paint)).join("\n");
  }
}

/** A list of targets with one line for each, anything else on a line. */
function prettyExport(statement: AlloyJsonStatement, paint: Paint): string {
  const name = paint("strong", visible(statement.name));
  if (statement.type === "block") return `${name} { ${statement.body.length} fields }`;
  const { value } = statement;
  if (value.type !== "array" || value.value.length < 2) return `${name} = ${plainValue(value)}`;
  return `${name} =${value.value.map((each) => `\n    ${plainValue(each)}`).join("")}`;
}

function plainValue(value: AlloyJsonValue): string {
  if (value.type === "array") return `[${value.value.map(plainValue).join(", ")}]`;
  if (value.type !== "object") return value.type === "string" ? visible(value.value) : String(value.value);
  return `{${value.value.map(({ key, value: field }) => `${visible(key)}=${quoted(plainValue(field))}`).join(", ")}}`;
}

/** What each stage changed, as a diff of line, labels, metadata, time and extracted values. */
function prettyTrace({ before, steps, outcome }: TraceJson, paint: Paint): string {
  const lines = [
    `${paint(outcome === "passed" ? "green" : outcome === "dropped" ? "red" : "yellow", outcome)}  ${visible(before.line)}`,
    `    ${paint("quiet", [labelSet(before.labels), pairs(before.metadata), before.timestamp].filter((each) => each !== "").join("  "))}`,
  ];
  let state = before;
  const width = Math.max(...steps.map((step) => step.stage.length), 0);
  for (const { stage, outcome, reason, after } of steps) {
    const changes = after === null ? [] : stateChanges(state, after, paint);
    const said = outcome === "passed" ? [] : [paint(outcome === "dropped" ? "red" : "yellow", outcome)];
    if (reason !== "") said.push(visible(reason));
    if (said.length === 0 && changes.length === 0) said.push(paint("quiet", "no change"));
    lines.push(
      `  ${visible(stage).padEnd(width)}  ${said.join(": ")}`.trimEnd(),
      ...changes.map((each) => `      ${each}`),
    );
    state = after ?? state;
  }
  return lines.join("\n");
}

function stateChanges(before: EntryStateJson, after: EntryStateJson, paint: Paint): readonly string[] {
  const changes: string[] = [];
  const change = (what: string, from: string | undefined, to: string | undefined) => {
    if (from === to) return;
    if (from !== undefined) changes.push(paint("red", `- ${what}${visible(from)}`));
    if (to !== undefined) changes.push(paint("green", `+ ${what}${visible(to)}`));
  };
  change("line ", before.line, after.line);
  const texts = (values: EntryStateJson["extracted"]) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)]));
  const groups: [string, Pairs, Pairs][] = [
    ["label ", before.labels, after.labels],
    ["metadata ", before.metadata, after.metadata],
    ["extracted ", texts(before.extracted), texts(after.extracted)],
  ];
  for (const [what, from, to] of groups) {
    const own = (values: Pairs, name: string) => (Object.hasOwn(values, name) ? values[name] : undefined);
    for (const name of new Set([...Object.keys(from), ...Object.keys(to)]))
      change(`${what}${visible(name)} = `, own(from, name), own(to, name));
  }
  change("time ", before.timestamp, after.timestamp);
  return changes;
}

function levelled(text: string, level: string | undefined, paint: Paint): string {
  if (level === undefined) return text;
  if (/^(err|fatal|crit|panic|emerg|alert)/i.test(level)) return paint("red", text);
  if (/^warn/i.test(level)) return paint("yellow", text);
  return /^(debug|trace)/i.test(level) ? paint("quiet", text) : text;
}

function ids({ traceId, spanId }: { readonly traceId: string; readonly spanId: string }): string {
  if (traceId === "") return "";
  return spanId === "" ? `trace=${traceId}` : `trace=${traceId} span=${spanId}`;
}

function rest(paint: Paint, ...texts: readonly string[]): string {
  const text = texts.filter((each) => each !== "" && each !== "{}").join("  ");
  return text === "" ? "" : `  ${paint("quiet", text)}`;
}

function labelSet(labels: Pairs): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${visible(name)}=${quoted(value)}`)
    .join(", ")}}`;
}

function pairs(values: Pairs): string {
  return Object.entries(values)
    .map(([name, value]) => `${visible(name)}=${/[\s="]/.test(value) || value === "" ? quoted(value) : visible(value)}`)
    .join(" ");
}

function quoted(text: string): string {
  return `"${visible(text).replaceAll('"', '\\"')}"`;
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
