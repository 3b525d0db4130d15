/**
 * For tests only: OTLP requests made and read by protobufjs from `testdata/otlp.proto`, independent of the codec here.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import protobuf from "protobufjs";
import type { OtlpKind } from "./schema.ts";

const source = readFileSync(new URL("../testdata/otlp.proto", import.meta.url), "utf8");
const { root } = protobuf.parse(source, { keepCase: false });
export const oracle: Readonly<Record<OtlpKind, protobuf.Type>> = {
  traces: root.lookupType("otlp.ExportTraceServiceRequest"),
  metrics: root.lookupType("otlp.ExportMetricsServiceRequest"),
  logs: root.lookupType("otlp.ExportLogsServiceRequest"),
};
export const kinds: readonly OtlpKind[] = ["traces", "metrics", "logs"];

type Plain = Record<string, unknown>;

/** What protobufjs reads: 64-bit integers as text, bytes in base64, enums as numbers. */
export function oracleDecode(kind: OtlpKind, bytes: Uint8Array): Plain {
  return oracle[kind].toObject(oracle[kind].decode(bytes), { longs: String, bytes: String });
}

export function oracleEncode(kind: OtlpKind, plain: object): Buffer {
  return Buffer.from(oracle[kind].encode(oracle[kind].fromObject(plain)).finish());
}

/** Each item with the resource and scope that it belongs to and, for data points, the rest of its metric, as one text. */
export function itemsOf(kind: OtlpKind, bytes: Uint8Array): string[] {
  const items: string[] = [];
  const decoded = oracleDecode(kind, bytes);
  for (const group of list(Object.values(decoded)[0])) {
    const { scopeSpans, scopeMetrics, scopeLogs, ...resource } = group;
    for (const scoped of list(scopeSpans ?? scopeMetrics ?? scopeLogs)) {
      const { spans, metrics, logRecords, ...scope } = scoped;
      for (const entry of list(spans ?? metrics ?? logRecords)) {
        for (const item of kind === "metrics" ? points(entry) : [entry])
          items.push(JSON.stringify([resource, scope, item]));
      }
    }
  }
  return items;
}

function points(metric: Plain): Plain[] {
  const name = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"].find(
    (each) => metric[each] !== undefined,
  );
  if (name === undefined) return [];
  const { dataPoints, ...rest } = metric[name] as Plain;
  return list(dataPoints).map((point) => ({ ...metric, [name]: rest, point }));
}

function list(value: unknown): Plain[] {
  return (value ?? []) as Plain[];
}

/** Any request that protobufjs can write: every field, oneof and nesting. */
export function requests(kind: OtlpKind): fc.Arbitrary<Buffer> {
  return messageOf(oracle[kind], 0).map((plain) => oracleEncode(kind, plain));
}

function messageOf(type: protobuf.Type, depth: number): fc.Arbitrary<Plain> {
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of type.fieldsArray) {
    field.resolve();
    const one = field.partOf && !field.partOf.name.startsWith("_") ? undefined : fieldOf(field, depth);
    if (one !== undefined) model[field.name] = one;
  }
  let base: fc.Arbitrary<Plain> = fc.record(model, { requiredKeys: [] });
  for (const group of type.oneofsArray) {
    if (group.name.startsWith("_")) continue;
    const members = group.fieldsArray.flatMap((field) => {
      const one = fieldOf(field.resolve(), depth);
      return one === undefined ? [] : [one.map((value) => ({ [field.name]: value }))];
    });
    base = fc.tuple(base, fc.oneof(fc.constant({}), ...members)).map(([fields, chosen]) => ({ ...fields, ...chosen }));
  }
  return base;
}

/** Undefined where the tree would become too deep. */
function fieldOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> | undefined {
  let one: fc.Arbitrary<unknown>;
  if (field.resolvedType instanceof protobuf.Type) {
    if (depth >= 7) return undefined;
    one = messageOf(field.resolvedType, depth + 1);
  } else if (field.resolvedType instanceof protobuf.Enum)
    one = fc.constantFrom(...Object.values(field.resolvedType.values));
  else if (field.name === "traceId") one = fc.uint8Array({ minLength: 16, maxLength: 16 });
  else if (field.name === "spanId" || field.name === "parentSpanId")
    one = fc.uint8Array({ minLength: 8, maxLength: 8 });
  else one = scalarOf(field.type);
  return field.repeated ? fc.array(one, { maxLength: 3 }) : one;
}

function scalarOf(type: string): fc.Arbitrary<unknown> {
  switch (type) {
    case "string":
      return fc.string({ unit: "binary", maxLength: 12 });
    case "bytes":
      return fc.uint8Array({ maxLength: 12 });
    case "bool":
      return fc.boolean();
    case "double":
      return fc.double();
    case "uint32":
    case "fixed32":
      return fc.nat({ max: 2 ** 32 - 1 });
    case "sint32":
      return fc.integer();
    case "int64":
    case "sfixed64":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    default:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
  }
}
