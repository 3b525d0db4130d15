import { ipBytes } from "../ip-text.ts";
import { isZero } from "../jaeger/span.ts";
import { NO_SERVICE } from "../jaeger/tags.ts";
import { SPAN_KIND, STATUS_CODE } from "../otlp/fields.ts";
import { htmlJson } from "../otlp/value-text.ts";
import { KeyValues } from "../otlp/values.ts";
import { AttributeView, EventView, LinkView, type Ranges, type TextRange, TraceView } from "../trace-view.ts";
import { ADDRESS_KEYS, KINDS, PORT_KEYS, STATUS_NAMES, TAG_KEY } from "./names.ts";
import { ZipkinTags } from "./tags.ts";
import { ZipkinJsonWriter } from "./write-json.ts";
import { ZipkinProtoWriter } from "./write-proto.ts";

/** A list of spans in JSON, or a ListOfSpans of zipkin.proto. */
export type ZipkinFormat = "json" | "proto";

/** The address is undefined for none, and has 4 or 16 bytes. */
export interface EncodedEndpoint {
  readonly service: string;
  readonly address: Buffer | undefined;
  /** Which of the two fields of addresses it goes to; one of 4 bytes may go to that for version 6. */
  readonly isV6: boolean;
  /** 0 for none. */
  readonly port: number;
}

/** A span as writers take it, used again for the next one. */
export interface EncodedSpan {
  traceId: Buffer;
  id: Buffer;
  /** All zeros for none. */
  parentId: Buffer;
  name: string;
  /** "" for none. */
  kind: string;
  /** Unix nanoseconds in halves; zero for none. */
  startLow: number;
  startHigh: number;
  /** Nanoseconds; zero for none. */
  durationLow: number;
  durationHigh: number;
  local: EncodedEndpoint | undefined;
  remote: EncodedEndpoint | undefined;
  readonly annotations: { timeLow: number; timeHigh: number; value: string }[];
  readonly tags: ZipkinTags;
}

/** Takes spans one by one. */
export interface ZipkinWriter {
  span(span: EncodedSpan): void;
  finish(): Uint8Array;
}

/** What became of a request. */
export interface ZipkinEncoded {
  readonly message: Uint8Array;
  /** Spans in the message. */
  readonly spans: number;
  /** Spans without a trace id or an id, which Zipkin cannot hold. */
  readonly refused: number;
}

/** Attributes that the name of a service may be in, the first of them that is there. */
const SERVICE_NAME_KEYS = [TAG_KEY.serviceName, "faas.name", "k8s.deployment.name", "process.executable.name"];
const PEER_KEYS = [TAG_KEY.peerService, "peer.service"];
/** Since its feature gates are as they are, the Collector writes the older names of these. */
const CLOUD_RESOURCE = "cloud.resource_id";
const FUNCTION = "faas.id";
const RESPONSE_STATUS = "http.response.status_code";
const STATUS = "http.status_code";
const PORT = /^\d{1,5}$/;
const MAX_PORT = 0xffff;
const BILLION = 1_000_000_000;
const KIND_NAMES: ReadonlyMap<number, string> = new Map([...KINDS].map(([name, kind]) => [kind, name]));

/**
 * Requests of OTLP in Zipkin's second format, as FromTranslator of pkg/translator/zipkin/zipkinv2 makes them with its
 * feature gates at their defaults. It differs where that would lose data or mix it up:
 *
 * - Spans without ids, with an end before their start or times beyond the year 2262, or with an event's attribute that is
 *   NaN or infinite are a failure of the whole request there. Here the first are left out, the second have no duration, the
 *   third their times, and such an attribute is null. One of a span is the tag `NaN` or `Infinity`, and no error's text.
 * - The name, version and attributes of a scope are those of its spans only, and not of the scopes after it too.
 * - Addresses and ports that are none stay tags, and so does a port without an endpoint to put it into.
 *
 * One is used again for many requests.
 */
export class ZipkinEncoder {
  readonly #trace = new TraceView();
  readonly #attribute = new AttributeView(this.#trace);
  readonly #event = new EventView(this.#trace);
  readonly #link = new LinkView(this.#trace);
  readonly #tags = new ZipkinTags();
  readonly #span: EncodedSpan = {
    traceId: this.#trace.span.traceId,
    id: this.#trace.span.spanId,
    parentId: this.#trace.span.parentId,
    name: "",
    kind: "",
    startLow: 0,
    startHigh: 0,
    durationLow: 0,
    durationHigh: 0,
    local: undefined,
    remote: undefined,
    annotations: [],
    tags: this.#tags,
  };
  #resource: ReadonlyMap<string, string> = new Map();
  #service = "";

  /** Throws ProtobufError for what is no request. */
  encode(request: Uint8Array, format: ZipkinFormat): ZipkinEncoded {
    const writer: ZipkinWriter = format === "json" ? new ZipkinJsonWriter() : new ZipkinProtoWriter();
    let spans = 0;
    let refused = 0;
    this.#trace.visit(request, {
      resource: () => this.#readResource(),
      scope: () => this.#tags.share(this.#scopeTags()),
      span: () => {
        const { traceId, spanId } = this.#trace.span;
        if (isZero(traceId) || isZero(spanId)) {
          refused += 1;
          return;
        }
        this.#readSpan();
        writer.span(this.#span);
        spans += 1;
      },
    });
    return { message: writer.finish(), spans, refused };
  }

  #readResource(): void {
    const tags = new Map<string, string>();
    this.#eachAttribute(this.#trace.resourceAttributes, (key, value) => tags.set(key, value));
    const resourceId = tags.get(CLOUD_RESOURCE);
    if (resourceId !== undefined) {
      if (!tags.has(FUNCTION)) tags.set(FUNCTION, resourceId);
      tags.delete(CLOUD_RESOURCE);
    }
    const source = SERVICE_NAME_KEYS.find((key) => tags.has(key));
    this.#service = source === undefined ? NO_SERVICE : tags.get(source)!;
    if (source !== undefined) {
      tags.delete(source);
      if (source !== TAG_KEY.serviceName) tags.set(TAG_KEY.serviceNameSource, source);
    }
    this.#resource = tags;
  }

  #scopeTags(): Map<string, string> {
    const { scopeName, scopeVersion, scopeAttributes, bytes } = this.#trace;
    const tags = new Map(this.#resource);
    this.#eachAttribute(scopeAttributes, (key, value) => tags.set(key, value));
    if (!scopeName.isEmpty) tags.set(TAG_KEY.scopeName, scopeName.text(bytes));
    if (!scopeVersion.isEmpty) tags.set(TAG_KEY.scopeVersion, scopeVersion.text(bytes));
    return tags;
  }

  #readSpan(): void {
    const { span, bytes } = this.#trace;
    const encoded = this.#span;
    const tags = this.#tags;
    tags.begin();
    this.#eachAttribute(span.attributes, (key, value) => tags.set(key, value));
    const status = tags.get(RESPONSE_STATUS);
    if (status !== undefined && tags.get(STATUS) === undefined) tags.set(STATUS, status);
    if (!span.state.isEmpty) tags.set(TAG_KEY.traceState, span.state.text(bytes));
    encoded.name = span.name.text(bytes);
    encoded.kind = KIND_NAMES.get(span.kind) ?? "";
    if (span.kind === SPAN_KIND.internal) tags.set(TAG_KEY.kind, "internal");
    this.#readTimes();
    encoded.local = this.#endpoint(this.#service, undefined, ADDRESS_KEYS.local, PORT_KEYS.local);
    const peer = PEER_KEYS.find((key) => tags.get(key) !== undefined);
    const peerName = peer === undefined ? "" : tags.get(peer)!;
    encoded.remote = this.#endpoint(peerName, peer, ADDRESS_KEYS.remote, PORT_KEYS.remote);
    this.#readStatus(span.statusCode, span.statusMessage);
    this.#readEvents();
    this.#readLinks();
  }

  /** A start in the first second of 1970 is none, as Zipkin's spans without one have it. */
  #readTimes(): void {
    const { startLow, startHigh, endLow, endHigh } = this.#trace.span;
    const encoded = this.#span;
    const starts = startHigh !== 0 || startLow >= BILLION;
    encoded.startLow = starts ? startLow : 0;
    encoded.startHigh = starts ? startHigh : 0;
    const low = endLow - startLow;
    const high = endHigh - startHigh - (low < 0 ? 1 : 0);
    const lasts = high >= 0;
    encoded.durationLow = lasts ? low >>> 0 : 0;
    encoded.durationHigh = lasts ? high : 0;
  }

  /** Takes what an endpoint holds out of the tags. */
  #endpoint(
    service: string,
    serviceKey: string | undefined,
    addressKey: string,
    portKey: string,
  ): EncodedEndpoint | undefined {
    const tags = this.#tags;
    if (serviceKey !== undefined) tags.delete(serviceKey);
    const addressText = tags.get(addressKey);
    const address = addressText === undefined ? undefined : ipBytes(addressText);
    if (service === "" && address === undefined) return undefined;
    if (address !== undefined) tags.delete(addressKey);
    const port = portOf(tags.get(portKey));
    if (port !== undefined) tags.delete(portKey);
    return { service, address, isV6: addressText?.includes(":") ?? false, port: port ?? 0 };
  }

  #readStatus(code: number, message: TextRange): void {
    const tags = this.#tags;
    // To Zipkin a span with this tag has failed, whatever the tag says.
    if (code === STATUS_CODE.error) tags.set(TAG_KEY.error, "true");
    else tags.delete(TAG_KEY.error);
    if (code === STATUS_CODE.unset) return;
    tags.set(TAG_KEY.statusCode, STATUS_NAMES.get(code) ?? "");
    if (!message.isEmpty) tags.set(TAG_KEY.statusMessage, message.text(this.#trace.bytes));
  }

  #readEvents(): void {
    const { span, bytes } = this.#trace;
    const { annotations } = this.#span;
    annotations.length = 0;
    for (let i = 0; i < span.events.count; i++) {
      const event = this.#event;
      event.read(span.events.from(i), span.events.to(i));
      const { timeLow, timeHigh, attributes, dropped } = event;
      const name = event.name.text(bytes);
      const isPlain = attributes.count === 0 && dropped === 0;
      const value = isPlain ? name : `${name}|${this.#json(attributes)}|${dropped}`;
      annotations.push({ timeLow, timeHigh, value });
    }
  }

  #readLinks(): void {
    const { span, bytes } = this.#trace;
    for (let i = 0; i < span.links.count; i++) {
      const link = this.#link;
      link.read(span.links.from(i), span.links.to(i));
      const ids = `${hexOf(link.traceId)}|${hexOf(link.spanId)}`;
      const value = `${ids}|${link.state.text(bytes)}|${this.#json(link.attributes)}|${link.dropped}`;
      this.#tags.set(`${TAG_KEY.link}${i}`, value);
    }
  }

  /** Attributes as an object of JSON. */
  #json(attributes: Ranges): string {
    if (attributes.count === 0) return "{}";
    const map = new KeyValues();
    map.reset(this.#trace.bytes);
    for (let i = 0; i < attributes.count; i++) {
      map.add(attributes.from(i), attributes.from(i), attributes.to(i));
    }
    return htmlJson(map);
  }

  #eachAttribute(attributes: Ranges, visit: (key: string, value: string) => void): void {
    const attribute = this.#attribute;
    const { bytes } = this.#trace;
    for (let i = 0; i < attributes.count; i++) {
      attribute.read(attributes.from(i), attributes.to(i));
      visit(attribute.key.text(bytes), attribute.text());
    }
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined || !PORT.test(text)) return undefined;
  const port = Number(text);
  return port <= MAX_PORT ? port : undefined;
}

function hexOf(id: Buffer): string {
  return isZero(id) ? "" : id.toString("hex");
}
