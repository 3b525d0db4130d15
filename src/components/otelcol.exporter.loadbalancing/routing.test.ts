import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { RequestPartition } from "#kits/otelcol/partition";
import { crc32Range, HashRing } from "./hash-ring.ts";
import { type RoutingKey, routeFor } from "./routing.ts";

interface Vectors {
  readonly ids: readonly string[];
  readonly rings: readonly {
    readonly endpoints: readonly string[];
    readonly size: number;
    readonly owners: readonly string[];
  }[];
  readonly endpoints: readonly string[];
  readonly routes: readonly {
    readonly kind: OtlpKind;
    readonly key: RoutingKey;
    readonly request: string;
    /** The times of the items that each endpoint gets. */
    readonly items: Readonly<Record<string, readonly number[]>>;
  }[];
}
const vectors = JSON.parse(readFileSync(new URL("./testdata/collector.json", import.meta.url), "utf8")) as Vectors;

test("the ring is the Collector's", () => {
  const ids = vectors.ids.map((id) => Buffer.from(id, "hex"));
  for (const { endpoints, size, owners } of vectors.rings) {
    const ring = new HashRing(endpoints.toSorted());
    assert.equal(ring.size, size);
    const found = ids.map((id) => ring.endpoints[ring.find(crc32Range(id, 0, id.length))]);
    assert.deepEqual(found, owners, endpoints.join());
  }
  assert.equal(new HashRing([]).find(1), -1);
});

/** The times of all items, which tell them apart. */
function times(kind: OtlpKind, bytes: Uint8Array): number[] {
  const field = kind === "traces" ? "startTimeUnixNano" : "timeUnixNano";
  const found: number[] = [];
  JSON.stringify(oracleDecode(kind, bytes), (name, value) => {
    if (name === field) found.push(Number(value));
    return value;
  });
  return found.sort((a, b) => a - b);
}

const partition = new RequestPartition();
for (const { kind, key, request, items } of vectors.routes) {
  test(`${kind} by ${key} go where the Collector sends them`, () => {
    const ring = new HashRing(vectors.endpoints.toSorted());
    partition.read(kind, Buffer.from(request, "base64"));
    routeFor(kind, key)(partition, ring);
    const written = partition.write(ring.endpoints.length);
    const found = written.map(
      (each, i) => [ring.endpoints[i]!, each === undefined ? [] : times(kind, each.bytes)] as const,
    );
    assert.deepEqual(Object.fromEntries(found.filter(([, of]) => of.length > 0)), items);
  });
}

test("records without a trace go to any place", () => {
  const ring = new HashRing(["a", "b", "c"]);
  const record = Buffer.from([0x0a, 4, 0x12, 2, 0x12, 0]);
  const places = new Set<number>();
  for (let i = 0; i < 200; i++) {
    partition.read("logs", record);
    routeFor("logs", "traceID")(partition, ring);
    places.add(partition.groups[0]!);
  }
  assert.deepEqual([...places].sort(), [0, 1, 2]);
});
