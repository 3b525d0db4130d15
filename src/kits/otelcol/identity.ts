import { fnv1a64, xxh64 } from "#formats/hashes";
import {
  DATA,
  dataField,
  EXPONENTIAL,
  GAUGE,
  HISTOGRAM,
  METRIC,
  RESOURCE,
  SCOPE,
  SUM,
  SUMMARY,
} from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { type AnyValue, AttributeKey, KeyValues, ValueList } from "#formats/otlp/values";
import { compareUtf8 } from "../ottl/value.ts";

/**
 * The identities of resources and streams by which exporters of the Collector route and partition. Matches
 * internal/exp/metrics/identity and pkg/pdatautil (`MapHash`) of opentelemetry-collector-contrib v0.158.
 */

const NO_ATTRIBUTES = Buffer.alloc(16);
const ANOTHER = Buffer.from([0xf3]);

/** Growing bytes to be hashed. */
class Bytes {
  #bytes = Buffer.allocUnsafe(1024);
  #length = 0;

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
  text(text: string): void {
    this.raw(Buffer.from(text));
  }
  fixed64(bits: bigint): void {
    this.#room(8);
    this.#length = this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, bits), this.#length);
  }
  double(value: number): void {
    this.#room(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    this.#bytes = Buffer.concat([this.#bytes], Math.max(this.#bytes.length * 2, this.#length + count));
  }
}

const scratch = new Bytes();

/** 128 bits of attributes in whatever order. */
export function mapHash(attributes: KeyValues): Buffer {
  if (attributes.size === 0) return NO_ATTRIBUTES;
  writeMap(attributes);
  const bytes = scratch.take();
  const hash = Buffer.allocUnsafe(16);
  hash.writeBigUInt64LE(xxh64(bytes), 0);
  hash.writeBigUInt64LE(xxh64(Buffer.concat([bytes, ANOTHER])), 8);
  return hash;
}

function writeMap(map: KeyValues): void {
  const keys = Array.from({ length: map.size }, (_, i) => map.keyAt(i)).sort(compareUtf8);
  for (const key of keys) {
    scratch.byte(0xf4);
    scratch.text(key);
    writeValue(map.get(new AttributeKey(key)));
  }
}

function writeValue(value: AnyValue): void {
  if (value === undefined) scratch.byte(0xf5);
  else if (typeof value === "string") {
    scratch.byte(0xf7);
    scratch.text(value);
  } else if (typeof value === "boolean") scratch.byte(value ? 0xf8 : 0xf9);
  else if (typeof value === "bigint") {
    scratch.byte(0xfa);
    scratch.fixed64(value);
  } else if (typeof value === "number") {
    scratch.byte(0xfb);
    scratch.double(value);
  } else if (value instanceof KeyValues) {
    scratch.byte(0xfc);
    writeMap(value);
    scratch.byte(0xfd);
  } else if (value instanceof ValueList) {
    scratch.byte(0xfe);
    for (const each of value.items) writeValue(each);
    scratch.byte(0xff);
  } else {
    scratch.byte(0xf6);
    scratch.raw(value);
  }
}

/** What identifies a resource, as bytes. */
export function resourceIdentity(resource: OtlpRecord): Buffer {
  return mapHash(resource.map(RESOURCE.attributes));
}

const TYPES = new Map([
  [GAUGE, 1],
  [SUM, 2],
  [HISTOGRAM, 3],
  [EXPONENTIAL, 4],
  [SUMMARY, 5],
]);

/** What identifies a metric of a resource and scope, as bytes. */
export function metricIdentity(resource: Uint8Array, scope: OtlpRecord, metric: OtlpRecord): Buffer {
  const scopeAttributes = mapHash(scope.map(SCOPE.attributes));
  const field = dataField(metric);
  const data = field === 0 ? undefined : metric.record(field);
  const isMonotonic = field === SUM ? data!.bool(DATA.isMonotonic) : field === HISTOGRAM || field === EXPONENTIAL;
  const hasTemporality = field === SUM || field === HISTOGRAM || field === EXPONENTIAL;
  return Buffer.concat([
    resource,
    Buffer.from(scope.text(SCOPE.name)),
    Buffer.from(scope.text(SCOPE.version)),
    scopeAttributes,
    Buffer.from(metric.text(METRIC.name)),
    Buffer.from(metric.text(METRIC.unit)),
    Buffer.from([
      TYPES.get(field) ?? 0,
      isMonotonic ? 1 : 0,
      hasTemporality ? data!.int32(DATA.temporality) & 0xff : 0,
    ]),
  ]);
}

/** The routing key of a resource. */
export function resourceKey(identity: Uint8Array): string {
  return `resource/${fnv1a64(identity).toString(16)}`;
}

/** The routing key of one stream of a metric. */
export function streamKey(metric: Uint8Array, attributes: KeyValues): string {
  return `stream/${fnv1a64(Buffer.concat([metric, mapHash(attributes)])).toString(16)}`;
}
