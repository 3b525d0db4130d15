import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { DATA, dataField, LOG, METRIC, POINT, pointKindOf, RESOURCE, SCOPE, SPAN } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey, type KeyValues } from "#formats/otlp/values";
import { metricIdentity, resourceIdentity, resourceKey, streamKey } from "#kits/otelcol/identity";
import { LEFT_OUT, type RequestPartition } from "#kits/otelcol/partition";
import { attributeText } from "#kits/ottl/value";
import { crc32Range, type HashRing } from "./hash-ring.ts";

export const ROUTING_KEYS = ["traceID", "service", "resource", "metric", "streamID"] as const;
export type RoutingKey = (typeof ROUTING_KEYS)[number];

/** Which signals a key routes. Matches loadbalancing.go of Alloy. */
export const ROUTED: Readonly<Record<RoutingKey, readonly OtlpKind[]>> = {
  traceID: ["traces", "logs"],
  service: ["traces", "logs", "metrics"],
  resource: ["metrics"],
  metric: ["metrics"],
  streamID: ["metrics"],
};

const SERVICE_NAME = new AttributeKey("service.name");
const ID_BYTES = 16;
const NO_ID = new Uint8Array(ID_BYTES);
const HEX = Buffer.from("0123456789abcdef");
const lent = new OtlpRecord();
const hexId = Buffer.alloc(ID_BYTES * 2);

/** Gives each entry of a request the number of the endpoint that is responsible for it. Returns how many items have none. */
export type Route = (partition: RequestPartition, ring: HashRing) => number;

/**
 * How requests of one signal are routed. Matches trace_exporter.go, log_exporter.go and metrics_exporter.go of the
 * Collector's loadbalancingexporter in what the keys are, byte by byte.
 */
export function routeFor(kind: OtlpKind, key: RoutingKey): Route {
  switch (kind) {
    case "traces":
      return key === "traceID" ? spansByTrace : spansByService;
    case "logs":
      return key === "traceID" ? recordsByTrace : logsByService;
    case "metrics":
      if (key === "service") return metricsByService;
      if (key === "resource") return metricsByResource;
      return key === "metric" ? metricsByName : metricsByStream;
  }
}

function spansByTrace(partition: RequestPartition, ring: HashRing): number {
  const { bytes, entries, entryBody, entryEnd } = partition.index;
  let last = -1;
  for (let e = 0; e < entries; e++) {
    const at = idAt(partition, e, SPAN.traceId, entryBody[e]!, entryEnd[e]!);
    if (e > 0 && at >= 0 && last >= 0 && sameId(bytes, at, last)) {
      partition.groups[e] = partition.groups[e - 1]!;
      continue;
    }
    const hash = at < 0 ? crc32Range(NO_ID, 0, ID_BYTES) : crc32Range(bytes, at, at + ID_BYTES);
    partition.groups[e] = ring.find(hash);
    last = at;
  }
  return 0;
}

/** Records without a trace go anywhere. */
function recordsByTrace(partition: RequestPartition, ring: HashRing): number {
  const { bytes, entries, entryBody, entryEnd } = partition.index;
  for (let e = 0; e < entries; e++) {
    const at = idAt(partition, e, LOG.traceId, entryBody[e]!, entryEnd[e]!);
    if (at < 0 || isZero(bytes, at)) hexId.fill(0x30).write(randomBytes(4).toString("hex"), "latin1");
    else {
      for (let i = 0; i < ID_BYTES; i++) {
        hexId[i * 2] = HEX[bytes[at + i]! >>> 4]!;
        hexId[i * 2 + 1] = HEX[bytes[at + i]! & 15]!;
      }
    }
    partition.groups[e] = ring.find(crc32Range(hexId, 0, hexId.length));
  }
  return 0;
}

/**
 * The resource's service.name; without one the scope's, or that of the first span of the same trace in the scope group.
 */
function spansByService(partition: RequestPartition, ring: HashRing): number {
  const { index } = partition;
  const placeOf = (attributes: KeyValues) =>
    ring.find(crc32(`service.name=${attributeText(attributes.get(SERVICE_NAME))}|`));
  for (let r = 0; r < index.resources; r++) {
    const resource = partition.resource(r).map(RESOURCE.attributes);
    if (resource.has(SERVICE_NAME)) {
      partition.setResource(r, placeOf(resource));
      continue;
    }
    for (let s = index.resourceScopes[r]!; s < index.resourceScopes[r + 1]!; s++) {
      const [from, to] = [index.scopeEntries[s]!, index.scopeEntries[s + 1]!];
      const scope = partition.scope(s).map(SCOPE.attributes);
      if (scope.has(SERVICE_NAME)) {
        partition.groups.fill(placeOf(scope), from, to);
        continue;
      }
      const places = new Map<string, number>();
      for (let e = from; e < to; e++) {
        const span = partition.entry(e);
        const trace = Buffer.from(span.bytes(SPAN.traceId)).toString("latin1");
        let place = places.get(trace);
        if (place === undefined) {
          const attributes = span.map(SPAN.attributes);
          place = attributes.has(SERVICE_NAME) ? placeOf(attributes) : ring.find(crc32("service.name=|"));
          places.set(trace, place);
        }
        partition.groups[e] = place;
      }
    }
  }
  return 0;
}

function logsByService(partition: RequestPartition, ring: HashRing): number {
  for (let r = 0; r < partition.index.resources; r++) {
    const service = partition.resource(r).map(RESOURCE.attributes).get(SERVICE_NAME);
    partition.setResource(r, ring.find(crc32(typeof service === "string" ? service : "")));
  }
  return 0;
}

/** Metrics of resources without service.name have no place. */
function metricsByService(partition: RequestPartition, ring: HashRing): number {
  const { resources, resourceScopes, scopeEntries, entryItems } = partition.index;
  let homeless = 0;
  for (let r = 0; r < resources; r++) {
    const attributes = partition.resource(r).map(RESOURCE.attributes);
    if (attributes.has(SERVICE_NAME)) {
      const service = attributes.get(SERVICE_NAME);
      partition.setResource(r, ring.find(crc32(typeof service === "string" ? service : "")));
      continue;
    }
    partition.setResource(r, LEFT_OUT);
    for (let e = scopeEntries[resourceScopes[r]!]!; e < scopeEntries[resourceScopes[r + 1]!]!; e++)
      homeless += entryItems[e]!;
  }
  return homeless;
}

function metricsByResource(partition: RequestPartition, ring: HashRing): number {
  for (let r = 0; r < partition.index.resources; r++) {
    partition.setResource(r, ring.find(crc32(resourceKey(resourceIdentity(partition.resource(r))))));
  }
  return 0;
}

function metricsByName(partition: RequestPartition, ring: HashRing): number {
  for (let e = 0; e < partition.index.entries; e++) {
    partition.groups[e] = ring.find(crc32(partition.entry(e).bytes(METRIC.name)));
  }
  return 0;
}

function metricsByStream(partition: RequestPartition, ring: HashRing): number {
  const { index } = partition;
  for (let r = 0; r < index.resources; r++) {
    const resource = resourceIdentity(partition.resource(r));
    for (let s = index.resourceScopes[r]!; s < index.resourceScopes[r + 1]!; s++) {
      for (let e = index.scopeEntries[s]!; e < index.scopeEntries[s + 1]!; e++) {
        const metric = partition.entry(e);
        const field = dataField(metric);
        if (field === 0) continue;
        const identity = metricIdentity(resource, partition.scope(s), metric);
        const attributes = POINT.attributes[pointKindOf(field)];
        const points = metric.record(field).list(DATA.points);
        const places = new Int32Array(points.length);
        for (let p = 0; p < points.length; p++) {
          places[p] = ring.find(crc32(streamKey(identity, points.borrow(p, lent).map(attributes))));
        }
        partition.setPoints(e, places);
      }
    }
  }
  return 0;
}

/** Where the 16 bytes of an id begin; −1 for none. */
function idAt(partition: RequestPartition, e: number, field: number, body: number, end: number): number {
  const { bytes } = partition.index;
  // Ids come first in what most exporters send.
  if (
    body + 18 <= end &&
    bytes[body] === ((field << 3) | 2) &&
    bytes[body + 1] === ID_BYTES &&
    field === SPAN.traceId
  ) {
    return body + 2;
  }
  const id = partition.entry(e).bytes(field);
  return id.length === ID_BYTES ? id.byteOffset - bytes.byteOffset : -1;
}

function sameId(bytes: Uint8Array, a: number, b: number): boolean {
  for (let i = ID_BYTES - 1; i >= 0; i--) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}
function isZero(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < ID_BYTES; i++) if (bytes[at + i] !== 0) return false;
  return true;
}
