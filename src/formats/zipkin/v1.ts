import { writeId } from "../jaeger/span.ts";
import { EVENT, RESOURCE, SPAN, SPAN_KIND, STATUS, STATUS_CODE } from "../otlp/fields.ts";
import { type AnyValue, writeKeyValue } from "../otlp/values.ts";
import type { ProtoWriter } from "../protobuf.ts";
import { SpanGroups } from "../span-groups.ts";
import { attributesMessage, START_TIME_ABSENT, smallInteger } from "./span.ts";

export interface ZipkinV1Endpoint {
  readonly serviceName: string;
  /** Empty for none. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly port: number;
}

/** A span of Zipkin's first format; times are in microseconds. */
export interface ZipkinV1Span {
  /** 16 bytes, and 8 for the others. */
  readonly traceId: Buffer;
  readonly id: Buffer;
  readonly parentId: Buffer;
  readonly name: string;
  readonly timestamp: bigint | undefined;
  readonly duration: bigint;
  readonly annotations: readonly {
    readonly timestamp: bigint;
    readonly value: string;
    readonly endpoint: ZipkinV1Endpoint | undefined;
  }[];
  /** Its binary annotations; `text` is what was sent, whatever its type. */
  readonly tags: readonly {
    readonly key: string;
    readonly value: AnyValue;
    readonly text: string;
    readonly endpoint: ZipkinV1Endpoint | undefined;
  }[];
  /** Whether the host of a tag without a name hides those before it: so it is in thrift. */
  readonly emptyHostCounts: boolean;
  /** Whether a span that does not tell when it began has just begun: so it is in JSON. */
  readonly startNow: boolean;
}

const UNKNOWN_SERVICE = "unknown-service";
const LOCAL_COMPONENT = "lc";
/** Kinds by the annotations that tell when something was sent or received. */
const CORE_ANNOTATIONS: ReadonlyMap<string, number> = new Map([
  ["cs", SPAN_KIND.client],
  ["cr", SPAN_KIND.client],
  ["ms", SPAN_KIND.producer],
  ["mr", SPAN_KIND.consumer],
  ["ss", SPAN_KIND.server],
  ["sr", SPAN_KIND.server],
]);
const MAX_INT64 = 2n ** 63n - 1n;
const ONLY = "";

/** What a status may come from, the stronger ones first. */
interface Statuses {
  census: number | undefined;
  censusMessage: string;
  told: number | undefined;
  toldMessage: string;
  error: boolean;
  http: number | undefined;
  httpMessage: string;
}

/**
 * Spans of Zipkin's first format as a request of OTLP, as pkg/translator/zipkin/zipkinv1 makes it with its feature gates at
 * their defaults. `now` is the time in milliseconds.
 */
export class ZipkinV1Encoder {
  readonly #groups = new SpanGroups();
  readonly #now: number;
  constructor(now: number) {
    this.#now = now;
  }

  add(span: ZipkinV1Span): void {
    const endpoint = endpointOf(span);
    const key = `${endpoint.serviceName}-${endpoint.ipv4}-${endpoint.ipv6}-${endpoint.port}`;
    const groups = this.#groups;
    if (!groups.hasGroup(key)) {
      groups.setGroup(key, resourceOf(endpoint));
      groups.addScope(key, ONLY, new Uint8Array(0));
    }
    groups.begin(key, ONLY);
    writeSpan(groups.writer, span, this.#now);
    groups.end();
  }

  finish(): Uint8Array {
    return this.#groups.finish();
  }
}

/** Who sent the span: the named endpoint of its first core annotation, or else what its tags say. */
function endpointOf(span: ZipkinV1Span): ZipkinV1Endpoint {
  for (const { value, endpoint } of span.annotations) {
    const name = endpoint?.serviceName ?? "";
    if (CORE_ANNOTATIONS.has(value) && name !== "" && name !== UNKNOWN_SERVICE) return endpoint!;
  }
  let service = "";
  let component = "";
  for (const { key, text, endpoint } of span.tags) {
    if (endpoint !== undefined && (span.emptyHostCounts || endpoint.serviceName !== "")) service = endpoint.serviceName;
    if (key === LOCAL_COMPONENT) component = text;
  }
  return { serviceName: service || component || UNKNOWN_SERVICE, ipv4: "", ipv6: "", port: 0 };
}

function resourceOf({ serviceName, ipv4, ipv6, port }: ZipkinV1Endpoint): Uint8Array {
  const attributes = new Map<string, AnyValue>([["service.name", serviceName]]);
  if (ipv4 !== "") attributes.set("ipv4", ipv4);
  if (ipv6 !== "") attributes.set("ipv6", ipv6);
  if (port !== 0) attributes.set("port", String(port));
  return attributesMessage(RESOURCE.attributes, attributes);
}

function writeSpan(writer: ProtoWriter, span: ZipkinV1Span, now: number): void {
  writeId(writer, SPAN.traceId, span.traceId);
  writeId(writer, SPAN.spanId, span.id);
  writeId(writer, SPAN.parentSpanId, span.parentId);
  if (span.name !== "") writer.string(SPAN.name, span.name);
  const { kind, early, late } = writeAnnotations(writer, span);
  if (kind !== undefined) writer.int32(SPAN.kind, kind);
  const { attributes, statuses } = attributesOf(span);
  let start = nanos(span.timestamp ?? early ?? 0n);
  let end = nanos(span.timestamp === undefined ? (late ?? 0n) : BigInt.asIntN(64, span.timestamp + span.duration));
  if (start === 0n && span.startNow) {
    start = end = BigInt(Math.round(now)) * 1_000_000n;
    attributes.set(START_TIME_ABSENT, true);
  }
  if (start !== 0n) writer.fixed64Big(SPAN.start, start);
  if (end !== 0n) writer.fixed64Big(SPAN.end, end);
  for (const [key, value] of attributes) writeKeyValue(writer, SPAN.attributes, key, value);
  writeStatus(writer, statuses);
}

/** Writes those that are events; returns what the others tell, and the first and the last time. */
function writeAnnotations(writer: ProtoWriter, span: ZipkinV1Span) {
  let kind: number | undefined;
  let early: bigint | undefined;
  let late: bigint | undefined;
  for (const { timestamp, value } of span.annotations) {
    if (value === "") continue;
    const core = CORE_ANNOTATIONS.get(value);
    kind ??= core;
    if (timestamp < (early ?? MAX_INT64)) early = timestamp;
    if (timestamp > (late ?? -MAX_INT64 - 1n)) late = timestamp;
    if (core !== undefined) continue;
    const mark = writer.begin(SPAN.events);
    const time = nanos(timestamp);
    if (time !== 0n) writer.fixed64Big(EVENT.time, time);
    writer.string(EVENT.name, value);
    writer.end(mark);
  }
  return { kind, early, late };
}

function nanos(micros: bigint): bigint {
  return micros <= 0n ? 0n : BigInt.asUintN(64, micros * 1000n);
}

function attributesOf(span: ZipkinV1Span): { attributes: Map<string, AnyValue>; statuses: Statuses } {
  const attributes = new Map<string, AnyValue>();
  const statuses: Statuses = {
    census: undefined,
    censusMessage: "",
    told: undefined,
    toldMessage: "",
    error: false,
    http: undefined,
    httpMessage: "",
  };
  for (const { key, value } of span.tags) {
    if (!readStatus(statuses, key, value)) attributes.set(key === LOCAL_COMPONENT ? "component" : key, value);
  }
  return { attributes, statuses };
}

/** Notes what a tag says about the status; returns whether it is no attribute then. */
function readStatus(statuses: Statuses, key: string, value: AnyValue): boolean {
  const text = typeof value === "string" ? value : "";
  switch (key) {
    case "census.status_code": {
      const code = smallInteger(value);
      if (code !== undefined) statuses.census = code === 0 ? STATUS_CODE.ok : STATUS_CODE.error;
      return true;
    }
    case "census.status_description":
    case "opencensus.status_description":
      statuses.censusMessage = text;
      return true;
    case "otel.status_code":
      statuses.told = smallInteger(value) ?? statuses.told;
      return true;
    case "otel.status_description":
      statuses.toldMessage = text;
      return true;
    case "http.status_code":
    case "http.response.status_code": {
      const code = smallInteger(value);
      if (code !== undefined) statuses.http = code >= 100 && code < 400 ? STATUS_CODE.unset : STATUS_CODE.error;
      return false;
    }
    case "http.status_message":
      statuses.httpMessage = text;
      return false;
    case "error":
      statuses.error = true;
      return true;
    default:
      return false;
  }
}

function writeStatus(writer: ProtoWriter, statuses: Statuses): void {
  const { census, censusMessage, told, toldMessage, http, httpMessage } = statuses;
  let code: number = STATUS_CODE.unset;
  let message = "";
  if (census !== undefined) [code, message] = [census, censusMessage];
  else if (told !== undefined) [code, message] = [told, toldMessage];
  else if (statuses.error) [code, message] = [STATUS_CODE.error, censusMessage || toldMessage];
  else if (http !== undefined) [code, message] = [http, httpMessage];
  if (code === STATUS_CODE.unset && message === "") return;
  const mark = writer.begin(SPAN.status);
  if (message !== "") writer.string(STATUS.message, message);
  if (code !== STATUS_CODE.unset) writer.int32(STATUS.code, code);
  writer.end(mark);
}
