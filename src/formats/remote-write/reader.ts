import { Labels } from "#base/labels";
import type { MetricMetadata } from "#pipeline/batch";
import { ProtoReader, WIRE_BYTES } from "../protobuf.ts";
import { METADATA_TYPES } from "./metadata.ts";

export interface WrittenSample {
  /** NaN for stale markers as well. */
  readonly value: number;
  /** Epoch milliseconds. */
  readonly timestamp: number;
  readonly stale: boolean;
}
export interface WrittenExemplar {
  readonly labels: Labels;
  readonly value: number;
  readonly timestamp: number;
}
export interface WrittenSeries {
  readonly labels: Labels;
  readonly samples: readonly WrittenSample[];
  readonly exemplars: readonly WrittenExemplar[];
  /** Native histograms, by their number; their content is not read. */
  readonly histograms: number;
}
export interface WriteRequest {
  readonly series: readonly WrittenSeries[];
  readonly metadata: readonly MetricMetadata[];
}

const STALE_BITS = 0x7ff0000000000002n;
/** Reads an uncompressed `prometheus.WriteRequest` (remote write 1.0). Throws a ProtobufError for anything else. */
export function readWriteRequest(bytes: Uint8Array): WriteRequest {
  const reader = new ProtoReader(bytes);
  const series: WrittenSeries[] = [];
  const metadata: MetricMetadata[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === ((1 << 3) | WIRE_BYTES)) series.push(within(reader, readSeries));
    else if (tag === ((3 << 3) | WIRE_BYTES)) metadata.push(within(reader, readMetadata));
    else reader.skip(tag);
  }
  return { series, metadata };
}

/** Reads the message behind a tag with `read`. */
export function within<T>(reader: ProtoReader, read: (reader: ProtoReader) => T): T {
  const outer = reader.enter();
  const value = read(reader);
  reader.leave(outer);
  return value;
}

function readSeries(reader: ProtoReader): WrittenSeries {
  const labels: [string, string][] = [];
  const samples: WrittenSample[] = [];
  const exemplars: WrittenExemplar[] = [];
  let histograms = 0;
  while (!reader.done) {
    const tag = reader.tag();
    switch (tag) {
      case (1 << 3) | WIRE_BYTES:
        labels.push(within(reader, readLabel));
        break;
      case (2 << 3) | WIRE_BYTES:
        samples.push(within(reader, readSample));
        break;
      case (3 << 3) | WIRE_BYTES:
        exemplars.push(within(reader, readExemplar));
        break;
      case (4 << 3) | WIRE_BYTES:
        histograms += 1;
        reader.skip(tag);
        break;
      default:
        reader.skip(tag);
    }
  }
  return { labels: Labels.from(labels), samples, exemplars, histograms };
}

/** A `Label` message from a reader that has entered it. */
export function readLabel(reader: ProtoReader): [string, string] {
  let name = "";
  let value = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) value = reader.string();
    else reader.skip(tag);
  }
  return [name, value];
}

const bits = new DataView(new ArrayBuffer(8));

function readSample(reader: ProtoReader): WrittenSample {
  let value = 0;
  let stale = false;
  let timestamp = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x09) {
      const raw = reader.fixed64();
      stale = raw === STALE_BITS;
      bits.setBigUint64(0, raw);
      value = bits.getFloat64(0);
    } else if (tag === 0x10) timestamp = reader.int64Number();
    else reader.skip(tag);
  }
  return { value, timestamp, stale };
}

function readExemplar(reader: ProtoReader): WrittenExemplar {
  const labels: [string, string][] = [];
  let value = 0;
  let timestamp = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) labels.push(within(reader, readLabel));
    else if (tag === 0x11) value = reader.double();
    else if (tag === 0x18) timestamp = reader.int64Number();
    else reader.skip(tag);
  }
  return { labels: Labels.from(labels), value, timestamp };
}

/** A `MetricMetadata` message from a reader that has entered it. */
export function readMetadata(reader: ProtoReader): MetricMetadata {
  let type: MetricMetadata["type"] = "unknown";
  let family = "";
  let help = "";
  let unit = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) type = METADATA_TYPES[reader.int32()] ?? "unknown";
    else if (tag === 0x12) family = reader.string();
    else if (tag === 0x22) help = reader.string();
    else if (tag === 0x2a) unit = reader.string();
    else reader.skip(tag);
  }
  return { family, type, help, unit };
}
