import { ProtoWriter } from "./protobuf.ts";

/** A profile as stacks with values, before it is written in pprof's protobuf form (`profile.proto`). */
export interface StackProfile {
  /** What each value of a sample measures, such as `["cpu", "nanoseconds"]`. */
  readonly sampleTypes: readonly (readonly [type: string, unit: string])[];
  readonly samples: readonly {
    /** The innermost frame first. */
    readonly stack: readonly Frame[];
    readonly values: readonly number[];
  }[];
  readonly periodType: readonly [type: string, unit: string];
  readonly period: number;
  /** Epoch milliseconds. */
  readonly startMs: number;
  readonly durationMs: number;
}

export interface Frame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

/** The uncompressed message; files of it are gzipped by custom. */
export function encodePprof(profile: StackProfile): Uint8Array {
  const out = new ProtoWriter(64 * 1024);
  const strings = new Map<string, number>([["", 0]]);
  const text = (value: string) => {
    let index = strings.get(value);
    if (index === undefined) strings.set(value, (index = strings.size));
    return index;
  };
  const valueType = (field: number, [type, unit]: readonly [string, string]) => {
    const mark = out.begin(field);
    out.int64(1, text(type));
    out.int64(2, text(unit));
    out.end(mark);
  };
  for (const type of profile.sampleTypes) valueType(1, type);

  const functions = new Map<string, { id: number; frame: Frame }>();
  const locations = new Map<string, { id: number; functionId: number; line: number }>();
  const locationOf = (frame: Frame) => {
    const functionKey = `${frame.name}\0${frame.file}`;
    let fn = functions.get(functionKey);
    if (fn === undefined) functions.set(functionKey, (fn = { id: functions.size + 1, frame }));
    const key = `${fn.id}:${frame.line}`;
    let location = locations.get(key);
    if (location === undefined) {
      location = { id: locations.size + 1, functionId: fn.id, line: frame.line };
      locations.set(key, location);
    }
    return location.id;
  };
  for (const sample of profile.samples) {
    const mark = out.begin(2);
    for (const frame of sample.stack) out.int64(1, locationOf(frame));
    for (const value of sample.values) out.int64(2, Math.round(value));
    out.end(mark);
  }
  for (const { id, functionId, line } of locations.values()) {
    const mark = out.begin(4);
    out.int64(1, id);
    const lineMark = out.begin(4);
    out.int64(1, functionId);
    out.int64(2, Math.max(0, line));
    out.end(lineMark);
    out.end(mark);
  }
  for (const { id, frame } of functions.values()) {
    const mark = out.begin(5);
    out.int64(1, id);
    out.int64(2, text(frame.name));
    out.int64(3, text(frame.name));
    out.int64(4, text(frame.file));
    out.end(mark);
  }
  const periodType = [text(profile.periodType[0]), text(profile.periodType[1])] as const;
  for (const value of strings.keys()) out.string(6, value);
  out.int64(9, BigInt(Math.round(profile.startMs)) * 1_000_000n);
  out.int64(10, Math.round(profile.durationMs * 1e6));
  const mark = out.begin(11);
  out.int64(1, periodType[0]);
  out.int64(2, periodType[1]);
  out.end(mark);
  out.int64(12, profile.period);
  return out.finish();
}
