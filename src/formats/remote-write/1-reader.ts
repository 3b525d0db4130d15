import { Labels } from "#base/labels";
import { asBuffer, ProtoReader } from "../protobuf.ts";
import type { WriteColumns, WriteIntake } from "../write-columns.ts";
import { readLabel, readMetadata, within } from "./reader.ts";

/** OpenMetrics' bound, in characters, which every store of exemplars keeps. */
export const MAX_EXEMPLAR_CHARS = 128;
/** Longer texts are no help; metadata with one is passed over. */
export const MAX_HELP_BYTES = 64 * 1024;

const SERIES = 0x0a;
const METADATA = 0x1a;
const LABELS = 0x0a;
const SAMPLE = 0x12;
const EXEMPLAR = 0x1a;
const HISTOGRAM = 0x22;

/**
 * Reads an uncompressed `prometheus.WriteRequest` (remote write 1.0) into `out`, and yields each time that `out` is full;
 * it must be taken and cleared before the next step, and after the last one. Labels stay bytes. Throws a ProtobufError for
 * anything else than such a message.
 */
export function* readWriteRequest1(
  bytes: Uint8Array,
  intake: WriteIntake,
  out: WriteColumns,
  withMetadata: boolean,
): Generator<void, void, void> {
  const reader = new ProtoReader(bytes);
  const source = asBuffer(bytes);
  const shape = { labelsStart: 0, labelsEnd: 0, isContiguous: true, items: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === METADATA && withMetadata) {
      addMetadata(reader, out);
      if (out.isFull) yield;
      continue;
    }
    if (tag !== SERIES) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    const start = reader.position;
    survey(reader, shape);
    reader.position = start;
    const ref = shape.isContiguous
      ? intake.series(source, shape.labelsStart, shape.labelsEnd)
      : gatherSeries(reader, source, intake);
    if (ref === 0) {
      intake.reject("invalid_labels", shape.items, intake.problem);
      reader.leave(outer);
      if (out.isFull) yield;
      continue;
    }
    reader.position = shape.isContiguous ? shape.labelsEnd : start;
    while (!reader.done) {
      const field = reader.tag();
      if (field === SAMPLE) out.addSample(reader, ref);
      else if (field === HISTOGRAM) out.addHistogram(reader, ref);
      else if (field === EXEMPLAR) addExemplar(reader, ref, intake, out);
      else {
        reader.skip(field);
        continue;
      }
      if (out.isFull) yield;
    }
    reader.leave(outer);
  }
}

interface Shape {
  labelsStart: number;
  labelsEnd: number;
  /** All labels stand one after the other, before anything else. */
  isContiguous: boolean;
  /** Samples and histograms. */
  items: number;
}

function survey(reader: ProtoReader, shape: Shape): void {
  shape.labelsStart = reader.position;
  shape.labelsEnd = reader.position;
  shape.isContiguous = true;
  shape.items = 0;
  while (!reader.done) {
    const at = reader.position;
    const tag = reader.tag();
    reader.skip(tag);
    if (tag === LABELS) {
      if (at === shape.labelsEnd) shape.labelsEnd = reader.position;
      else shape.isContiguous = false;
    } else if (tag === SAMPLE || tag === HISTOGRAM) shape.items += 1;
  }
}

/** The series of a message whose labels do not stand in one place. */
function gatherSeries(reader: ProtoReader, source: Buffer, intake: WriteIntake): number {
  const parts: Buffer[] = [];
  while (!reader.done) {
    const at = reader.position;
    const tag = reader.tag();
    reader.skip(tag);
    if (tag === LABELS) parts.push(source.subarray(at, reader.position));
  }
  const labels = Buffer.concat(parts);
  return intake.series(labels, 0, labels.length);
}

function addExemplar(reader: ProtoReader, ref: number, intake: WriteIntake, out: WriteColumns): void {
  const outer = reader.enter();
  const labels: [string, string][] = [];
  let value = 0;
  let timestamp = 0;
  // A character takes at most four bytes, and each label a few more.
  const isShort = reader.end - reader.position < MAX_EXEMPLAR_CHARS * 16;
  while (isShort && !reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) labels.push(within(reader, readLabel));
    else if (tag === 0x11) value = reader.double();
    else if (tag === 0x18) timestamp = reader.int64Number();
    else reader.skip(tag);
  }
  reader.leave(outer);
  const problem = isShort ? exemplarProblem(labels) : LONG_EXEMPLAR;
  if (problem !== undefined) intake.reject("invalid_exemplar", 1, problem);
  else out.addExemplar({ ref, labels: Labels.from(labels), value, timestamp });
}

export const LONG_EXEMPLAR = `the labels of an exemplar are longer than ${MAX_EXEMPLAR_CHARS} characters`;

/** What is wrong with the labels of an exemplar; undefined for nothing. */
export function exemplarProblem(labels: readonly (readonly [string, string])[]): string | undefined {
  let characters = 0;
  for (const [name, value] of labels) characters += [...name].length + [...value].length;
  if (characters > MAX_EXEMPLAR_CHARS) return LONG_EXEMPLAR;
  const names = new Set(labels.map(([name]) => name));
  return names.size < labels.length ? "an exemplar has a label twice" : undefined;
}

function addMetadata(reader: ProtoReader, out: WriteColumns): void {
  const at = reader.position;
  const length = reader.length();
  if (length > MAX_HELP_BYTES) {
    reader.position += length;
    return;
  }
  reader.position = at;
  out.addMetadata(within(reader, readMetadata));
}
