import { lower } from "#base/go-case";
import { ipText } from "../ip-text.ts";
import { traceIdText } from "../jaeger/encode.ts";
import { isZero } from "../jaeger/span.ts";
import { htmlJson } from "../otlp/value-text.ts";
import type { EncodedEndpoint, EncodedSpan, ZipkinWriter } from "./encode.ts";
import { type Micros, microsOf } from "./span.ts";
import type { SharedTag, TagWriter } from "./tags.ts";

/** Writes a list of spans in JSON as model.SpanModel and model.Endpoint of zipkin-go do: names in lower case, times rounded. */
export class ZipkinJsonWriter implements ZipkinWriter, TagWriter {
  #text = "";
  #tags = "";

  span(span: EncodedSpan): void {
    const start = microsOf(span.startLow, span.startHigh, true);
    const lasted = durationOf(span);
    let text = this.#text === "" ? "[{" : ",{";
    if (start !== 0) text += `"timestamp":${start},`;
    if (lasted !== 0) text += `"duration":${lasted},`;
    text += `"traceId":"${traceIdText(span.traceId)}","id":"${span.id.toString("hex")}"`;
    if (!isZero(span.parentId)) text += `,"parentId":"${span.parentId.toString("hex")}"`;
    if (span.name !== "") text += `,"name":${htmlJson(lower(span.name))}`;
    if (span.kind !== "") text += `,"kind":"${span.kind}"`;
    if (span.local !== undefined) text += `,"localEndpoint":${endpointText(span.local)}`;
    if (span.remote !== undefined) text += `,"remoteEndpoint":${endpointText(span.remote)}`;
    if (span.annotations.length > 0) {
      const annotations = span.annotations.map(
        ({ timeLow, timeHigh, value }) =>
          `{"timestamp":${microsOf(timeLow, timeHigh, true)},"value":${htmlJson(value)}}`,
      );
      text += `,"annotations":[${annotations.join(",")}]`;
    }
    this.#tags = "";
    span.tags.write(this);
    if (this.#tags !== "") text += `,"tags":{${this.#tags}}`;
    this.#text += `${text}}`;
  }

  shared(tag: SharedTag): void {
    tag.kept ??= tagText(tag.key, tag.value);
    this.#add(tag.kept as string);
  }
  own(key: string, value: string): void {
    this.#add(tagText(key, value));
  }

  finish(): Uint8Array {
    return Buffer.from(this.#text === "" ? "[]" : `${this.#text}]`);
  }

  #add(tag: string): void {
    this.#tags += this.#tags === "" ? tag : `,${tag}`;
  }
}

/** What lasts less than a microsecond lasts one. */
function durationOf({ durationLow, durationHigh }: EncodedSpan): Micros {
  if (durationHigh === 0 && durationLow > 0 && durationLow < 1000) return 1;
  return microsOf(durationLow, durationHigh, true);
}

function tagText(key: string, value: string): string {
  return `${htmlJson(key)}:${htmlJson(value)}`;
}

function endpointText({ service, address, isV6, port }: EncodedEndpoint): string {
  const members: string[] = [];
  if (service !== "") members.push(`"serviceName":${htmlJson(lower(service))}`);
  if (address !== undefined) members.push(`"${isV6 ? "ipv6" : "ipv4"}":"${ipText(address)}"`);
  if (port !== 0) members.push(`"port":${port}`);
  return `{${members.join(",")}}`;
}
