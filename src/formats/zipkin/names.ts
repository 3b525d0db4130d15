import { SPAN_KIND, STATUS_CODE } from "../otlp/fields.ts";

/** Names by which what OTLP has and Zipkin does not goes through Zipkin, in either direction: see pkg/translator/zipkin. */

/** The kinds of Zipkin by their numbers in zipkin.proto; the first is none. */
export const KIND_NAMES = ["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"] as const;
export const KINDS: ReadonlyMap<string, number> = new Map([
  ["CLIENT", SPAN_KIND.client],
  ["SERVER", SPAN_KIND.server],
  ["PRODUCER", SPAN_KIND.producer],
  ["CONSUMER", SPAN_KIND.consumer],
]);
export const STATUS_NAMES: ReadonlyMap<number, string> = new Map([
  [STATUS_CODE.ok, "STATUS_CODE_OK"],
  [STATUS_CODE.error, "STATUS_CODE_ERROR"],
]);

export const TAG_KEY = {
  serviceName: "service.name",
  /** The attribute that the name of the service was in, if that was another one. */
  serviceNameSource: "otlp.service.name.source",
  peerService: "service.peer.name",
  scopeName: "otel.library.name",
  scopeVersion: "otel.library.version",
  kind: "span.kind",
  error: "error",
  statusCode: "otel.status_code",
  statusMessage: "otel.status_description",
  traceState: "w3c.tracestate",
  /** With the number of the link behind it. */
  link: "otlp.link.",
} as const;
/** What endpoints have. */
export const ADDRESS_KEYS = { local: "network.local.address", remote: "network.peer.address" } as const;
export const PORT_KEYS = { local: "net.host.port", remote: "net.peer.port" } as const;
