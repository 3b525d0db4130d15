import { Labels } from "#base/labels";
import type { HttpRequest, HttpResponse } from "#pipeline/component";
import type { Agent } from "../agent.ts";
import { tooMany } from "../live/live.ts";
import { Selection } from "../live/selection.ts";
import type { LiveEvent, LiveItem, Pairs } from "./json.ts";
import { text } from "./responses.ts";

/** What ends each piece of a streamed answer of Alloy's web API. */
const STREAM_SEPARATOR = "|;|";
/** Alloy sets no limit but the size of its buffer, which is as large as this each second. */
const RATE = 1_000;

/**
 * Answers Alloy's `GET …/web/debug/ID?sampleProb=`: what passes one component, as texts for people. Statuses and framing
 * are Alloy's; log entries and samples read as there, and OTLP is shown item by item.
 */
export function debugStream(agent: Agent, id: string, request: HttpRequest, signal: AbortSignal): HttpResponse {
  const probability = Number(request.query.get("sampleProb") ?? 1);
  if (!(probability >= 0 && probability <= 1)) return text(400, "sampleProb must be between 0 and 1\n");
  if (!agent.liveDebugging) {
    return text(500, "live debugging is disabled: write livedebugging { enabled = true } into the configuration\n");
  }
  const component = agent.controller.component(id);
  if (component === undefined) return text(500, `component "${id}" does not exist or cannot be watched\n`);
  if (agent.live.isFull) return tooMany();
  const asked = {
    selection: new Selection(agent.controller, [id], []),
    direction: "both" as const,
    filter: undefined,
    sample: probability,
    rate: RATE,
    limit: Number.POSITIVE_INFINITY,
    trace: false,
  };
  return {
    status: 200,
    headers: { "Content-Type": "text/plain" },
    body: "",
    stream: agent.live.stream(asked, pieceOf, signal),
  };
}

/** An event as Alloy's page shows it; undefined for those that Alloy does not have. */
export function pieceOf(event: LiveEvent): string | undefined {
  if (event.event !== "item") return undefined;
  const { direction, peer, item } = event;
  const arrow = item.type === "exports" ? "" : direction === "in" ? "[IN]: " : `[OUT] ${peer}: `;
  return arrow + itemText(item) + STREAM_SEPARATOR;
}

function itemText(item: LiveItem): string {
  switch (item.type) {
    case "log":
      return `timestamp: ${item.timestamp}, entry: ${item.line}, labels: ${labelsText(item.labels)}, structured_metadata: ${JSON.stringify(item.metadata)}`;
    case "sample":
      return `sample: ts=${Date.parse(item.timestamp)}, labels=${labelsText(item.labels)}, value=${item.value}`;
    case "span":
      return `span: ${item.name}, kind: ${item.kind}, status: ${item.status}, start: ${item.timestamp}, duration: ${item.durationMs}ms, trace: ${item.traceId}, span: ${item.spanId}, parent: ${item.parentId}, ${around(item)}`;
    case "datapoint":
      return `${item.kind}: ${item.name}, timestamp: ${item.timestamp}, value: ${item.value}, ${around(item)}`;
    case "logrecord":
      return `log record: ${item.body}, timestamp: ${item.timestamp}, severity: ${item.severity}, trace: ${item.traceId}, span: ${item.spanId}, ${around(item)}`;
    case "profile":
      return `profile: ${labelsText(item.labels)}, ${item.bytes} bytes`;
    case "exports":
      return `exports: ${JSON.stringify(item.exports)}`;
  }
}

function around(item: { readonly attributes: Pairs; readonly resource: Pairs; readonly scope: string }): string {
  return `attributes: ${labelsText(item.attributes)}, resource: ${labelsText(item.resource)}, scope: ${item.scope}`;
}

function labelsText(pairs: Pairs): string {
  return Labels.from(Object.entries(pairs)).toString();
}
