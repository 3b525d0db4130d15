import { Labels, quote } from "#base/labels";
import type { AlloyJsonStatement, AlloyJsonValue, LiveItem, Pairs } from "../api/json.ts";
import { escapeControls } from "./escape.ts";
import type { Paint } from "./table.ts";

/** An item for people, on one line but for exports. Its time is left to the caller. */
export function itemText(item: LiveItem, paint: Paint): string {
  switch (item.type) {
    case "log":
      return `${levelled(escapeControls(item.line), item.labels.level ?? item.metadata.level, paint)}${rest(paint, labelsText(item.labels), pairsText(item.metadata))}`;
    case "sample": {
      const { __name__: name = "", ...labels } = item.labels;
      return `${seriesText(name, labels, paint)}  ${paint("strong", item.value)}`;
    }
    case "span": {
      const failed = item.status.startsWith("error");
      const status = paint(failed ? "red" : "quiet", escapeControls(item.status));
      return `${paint("strong", escapeControls(item.name))}  ${item.durationMs} ms  ${item.kind}  ${status}${rest(paint, ids(item), ...around(item))}`;
    }
    case "datapoint":
      return `${seriesText(item.name, item.attributes, paint)}  ${paint("strong", item.value)}${rest(paint, item.kind, pairsText(item.resource), escapeControls(item.scope))}`;
    case "logrecord":
      return `${levelled(escapeControls(`${item.severity} ${item.body}`.trim()), item.severity, paint)}${rest(paint, ids(item), ...around(item))}`;
    case "profile":
      return `profile${paint("quiet", labelsText(item.labels))}  ${item.bytes} bytes`;
    case "exports":
      return item.exports.map((each) => exportText(each, paint)).join("\n");
  }
}

/** `{a="b"}`; empty for no labels. */
export function labelsText(labels: Pairs): string {
  const text = Labels.from(Object.entries(labels)).toString();
  return text === "{}" ? "" : escapeControls(text);
}

/** `a=b c="d e"` */
export function pairsText(values: Pairs): string {
  return Object.entries(values)
    .map(([name, value]) => escapeControls(`${name}=${/[\s="]/.test(value) || value === "" ? quote(value) : value}`))
    .join(" ");
}

function seriesText(name: string, labels: Pairs, paint: Paint): string {
  return `${escapeControls(name)}${paint("quiet", labelsText(labels))}`;
}

function around(item: { readonly attributes: Pairs; readonly resource: Pairs; readonly scope: string }): string[] {
  return [pairsText(item.attributes), pairsText(item.resource), escapeControls(item.scope)];
}

/** A list of targets with one line for each, anything else on a line. */
function exportText(statement: AlloyJsonStatement, paint: Paint): string {
  const name = paint("strong", escapeControls(statement.name));
  if (statement.type === "block") return `${name} { ${statement.body.length} fields }`;
  const { value } = statement;
  if (value.type !== "array" || value.value.length < 2) return `${name} = ${valueText(value)}`;
  return `${name} =${value.value.map((each) => `\n    ${valueText(each)}`).join("")}`;
}

function valueText(value: AlloyJsonValue): string {
  if (value.type === "array") return `[${value.value.map(valueText).join(", ")}]`;
  if (value.type !== "object") return value.type === "string" ? escapeControls(value.value) : String(value.value);
  const fields = value.value.map(({ key, value: field }) => `${escapeControls(key)}=${quote(valueText(field))}`);
  return `{${fields.join(", ")}}`;
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
  const text = texts.filter((each) => each !== "").join("  ");
  return text === "" ? "" : `  ${paint("quiet", text)}`;
}
