import { isUtf8 } from "node:buffer";
import type { Labels } from "#base/labels";
import { GROUP, LOG } from "#formats/otlp/fields";
import { writeKeyValue } from "#formats/otlp/values";
import { asBuffer, ProtoWriter, varintLength } from "#formats/protobuf";
import type { LogBatch } from "#pipeline/batch";
import { writeNanos } from "./nanos.ts";

/** Says to otelcol.exporter.loki which attributes become labels. */
const LABELS_HINT = "loki.attribute.labels";
/** ResourceLogs in a request. */
const RESOURCE_GROUPS = 1;
const FIXED_BYTES = 9;
/** A writer that grew beyond this is not kept. */
const LARGEST_KEPT = 8 * 1024 * 1024;

/** What the labels of a stream become, known once for all of its entries. */
interface StreamAttributes {
  /** As pairs, each key once. */
  readonly pairs: ReadonlyMap<string, string>;
  /** The same as fields of a log record. */
  readonly bytes: Uint8Array;
}

/**
 * Writes log batches as OTLP requests. Labels and structured metadata become attributes, beside the hint that makes labels
 * of them again, and for a `filename` the attributes that OpenTelemetry has for it; the line is the body.
 *
 * Matches internal/component/otelcol/receiver/loki of Alloy and loki_to_otlp.go of pkg/translator/loki, but writes one
 * request for a batch, not one for each entry.
 */
export class LogsEncoder {
  #writer = new ProtoWriter(64 * 1024);
  readonly #streams = new WeakMap<Labels, StreamAttributes>();

  /** The request. `now` (epoch milliseconds) is when the entries were observed. */
  encode(batch: LogBatch, now: number): Uint8Array {
    const { count, data, start, end, ms, ns, stream, metadata } = batch;
    const streams = batch.streams.map((labels) => this.#attributesOf(labels));
    const writer = this.#writer;
    const buffer = asBuffer(data);
    const observed = observedField(now);
    // Mostly one look at all bytes says that each line is text.
    const allText = isUtf8(data);
    writer.reset();
    const resource = writer.begin(RESOURCE_GROUPS);
    emptyMessage(writer, GROUP.resource);
    const scope = writer.begin(GROUP.members);
    emptyMessage(writer, GROUP.scope);
    for (let i = 0; i < count; i++) {
      const from = start[i]!;
      const to = end[i]!;
      const attributes = streams[stream[i]!]!;
      const more = metadata?.[i];
      const isText = allText ? isWhole(data, from, to) : isTextLine(data, from, to);
      if (!isText || more !== undefined) {
        const record = writer.begin(GROUP.members);
        writeNanos(writer, LOG.time, ms[i]!, ns[i]!);
        writer.raw(observed);
        const body = writer.begin(LOG.body);
        if (isText) writer.bytes(1, buffer, from, to);
        else writer.string(1, buffer.toString("utf8", from, to)); // with U+FFFD for what is no text: OTLP has strings only
        writer.end(body);
        writeAttributes(writer, attributes, more);
        writer.end(record);
        continue;
      }
      // The common form: all lengths are known beforehand, so nothing is moved.
      const line = to - from;
      const body = 1 + varintLength(line) + line;
      writer.tag(GROUP.members, 2);
      writer.rawVarint(FIXED_BYTES * 2 + 1 + varintLength(body) + body + attributes.bytes.length);
      writeNanos(writer, LOG.time, ms[i]!, ns[i]!);
      writer.raw(observed);
      writer.tag(LOG.body, 2);
      writer.rawVarint(body);
      writer.bytes(1, buffer, from, to);
      writer.raw(attributes.bytes);
    }
    writer.end(scope);
    writer.end(resource);
    const bytes = writer.finish();
    if (writer.length > LARGEST_KEPT) this.#writer = new ProtoWriter(64 * 1024);
    return bytes;
  }

  #attributesOf(labels: Labels): StreamAttributes {
    const known = this.#streams.get(labels);
    if (known !== undefined) return known;
    const pairs = new Map<string, string>();
    const filename = labels.get("filename");
    if (filename !== undefined) pairs.set("log.file.path", filename).set("log.file.name", baseName(filename));
    const names = Array.from(labels, ([name]) => name);
    if (names.length > 0) pairs.set(LABELS_HINT, names.join(","));
    for (const [name, value] of labels) pairs.set(name, value);
    const writer = new ProtoWriter(256);
    for (const [name, value] of pairs) writeKeyValue(writer, LOG.attributes, name, value);
    const attributes = { pairs, bytes: writer.finish() };
    this.#streams.set(labels, attributes);
    return attributes;
  }
}

/** The same for all records of a request. */
function observedField(now: number): Uint8Array {
  const ms = Math.floor(now);
  const writer = new ProtoWriter(16);
  writeNanos(writer, LOG.observedTime, ms, Math.floor((now - ms) * 1e6));
  return writer.finish();
}

function emptyMessage(writer: ProtoWriter, field: number): void {
  writer.tag(field, 2);
  writer.rawVarint(0);
}

/** The stream's attributes and the entry's structured metadata, whose values win over those of labels of the same name. */
function writeAttributes(
  writer: ProtoWriter,
  { pairs, bytes }: StreamAttributes,
  metadata: readonly string[] | undefined,
): void {
  if (metadata === undefined || metadata.length === 0) {
    writer.raw(bytes);
    return;
  }
  let clash = false;
  for (let k = 0; k < metadata.length; k += 2)
    if (pairs.has(metadata[k]!) || metadata.indexOf(metadata[k]!) < k) clash = true;
  if (clash) {
    const all = new Map(pairs);
    for (let k = 0; k < metadata.length; k += 2) all.set(metadata[k]!, metadata[k + 1]!);
    for (const [name, value] of all) writeKeyValue(writer, LOG.attributes, name, value);
    return;
  }
  writer.raw(bytes);
  for (let k = 0; k < metadata.length; k += 2) writeKeyValue(writer, LOG.attributes, metadata[k]!, metadata[k + 1]!);
}

/** Whether a part of a text begins and ends between characters. */
function isWhole(data: Uint8Array, from: number, to: number): boolean {
  return !isContinuation(data[from]) && !isContinuation(data[to]);
}
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function isTextLine(data: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (data[i]! >= 0x80) return isUtf8(data.subarray(from, to));
  return true;
}

/** Go's path.Base. */
function baseName(path: string): string {
  if (path === "") return ".";
  const trimmed = path.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}
