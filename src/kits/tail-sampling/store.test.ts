import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import { SpanGroups } from "./groups.ts";
import { TraceIdTable } from "./ids.ts";
import { TraceWriter } from "./output.ts";
import { SpanStore } from "./store.ts";

const MIB = 1024 * 1024;

function setUp() {
  const groups = new SpanGroups();
  const ids = new TraceIdTable(1024);
  const store = new SpanStore(groups, ids.capacity);
  const writer = new TraceWriter(store, groups);
  return { groups, ids, store, writer };
}
type Parts = ReturnType<typeof setUp>;

/** A group's fields beside its members: a schema URL, to tell it by. */
function header(name: string): Uint8Array {
  return Buffer.concat([Buffer.from([26, name.length]), Buffer.from(name)]);
}
/** A span's bytes: those of a request with it alone, from behind the tags and lengths around it. */
function spanBytes(span: object): Buffer {
  const bytes = oracleEncode("traces", { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
  const alone = itemsOf("traces", bytes);
  assert.equal(alone.length, 1);
  const length = bodyLength(bytes);
  return bytes.subarray(bytes.length - length);
}
function bodyLength(bytes: Buffer): number {
  let at = 0;
  let length = bytes.length;
  for (let level = 0; level < 3; level++) {
    at += 1;
    length = 0;
    let shift = 1;
    for (;;) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) * shift;
      shift *= 128;
      if (byte < 0x80) break;
    }
  }
  return length;
}

function append({ groups, store }: Parts, slot: number, resource: string, scope: string, bytes: Uint8Array): void {
  const held = groups.holdResource(header(resource));
  const group = groups.hold(held, header(scope));
  groups.releaseResource(held);
  store.append(slot, group, bytes, 0, bytes.length);
  groups.release(group);
}

interface Named {
  readonly schemaUrl: string;
}
const spans = fc.array(
  fc.record({
    trace: fc.nat(5),
    resource: fc.constantFrom("a", "b"),
    scope: fc.constantFrom("x", "y", "z"),
    /** Some are larger than a slab. */
    name: fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.constantFrom(1000, 100_000, 300_000).map((n) => "n".repeat(n)),
    ),
    hasId: fc.boolean(),
  }),
  { maxLength: 60 },
);

test("what was kept comes out as it came, whole and grouped, and leaves nothing behind", () => {
  fc.assert(
    fc.property(spans, fc.array(fc.nat(5)), (list, released) => {
      const parts = setUp();
      const { ids, store, writer, groups } = parts;
      const traces = Array.from({ length: 6 }, (_, i) => ({
        id: Buffer.alloc(16, i + 1),
        slot: ids.add(Buffer.alloc(16, i + 1), 0),
      }));
      const expected = new Map<number, string[]>();
      for (const [i, { trace, resource, scope, name, hasId }] of list.entries()) {
        const { id, slot } = traces[trace]!;
        const span = { ...(hasId ? { traceId: id } : {}), spanId: Buffer.alloc(8, i + 1), name };
        append(parts, slot, resource, scope, spanBytes(span));
        const whole = { resourceSpans: [{ resource: undefined, scopeSpans: [{ spans: [span] }] }] };
        const [, , item] = JSON.parse(itemsOf("traces", oracleEncode("traces", whole))[0]!) as unknown[];
        expected.set(trace, [...(expected.get(trace) ?? []), JSON.stringify([resource, scope, item])]);
      }
      for (const trace of released) {
        store.release(traces[trace]!.slot);
        expected.delete(trace);
      }
      for (const { slot } of traces) writer.take(ids, slot, 100);
      const found: string[] = [];
      for (const { bytes, spans: count } of writer.finish()) {
        const items = itemsOf("traces", bytes);
        assert.equal(items.length, count);
        for (const text of items) {
          const [resource, scope, item] = JSON.parse(text) as [Named, Named, unknown];
          found.push(JSON.stringify([resource.schemaUrl, scope.schemaUrl, item]));
        }
      }
      assert.deepEqual(found.sort(), [...expected.values()].flat().sort());
      assert.deepEqual([store.runs, store.bytes, groups.size], [0, 0, 0]);
    }),
    { numRuns: 40 },
  );
});

test("many spans are packed, take a part of their size, and come out all the same", () => {
  const parts = setUp();
  const { ids, store, writer } = parts;
  const attributes = [{ key: "url.path", value: { stringValue: "/api/v1/items/and/more/of/them" } }];
  const slots = Array.from({ length: 400 }, (_, i) => {
    const id = Buffer.alloc(16);
    id.writeUInt32BE(i, 12);
    return ids.add(id, 0);
  });
  const bodies = Array.from({ length: 400 }, () => {
    const span = {
      spanId: randomBytes(8),
      name: "GET /api/v1/items/{item}",
      attributes: Array(10).fill(attributes[0]),
    };
    return spanBytes(span);
  });
  let bytes = 0;
  for (let i = 0; i < 24_000; i++) {
    const body = bodies[i % 400]!;
    bytes += body.length;
    append(parts, slots[i % 400]!, "shop", "http", body);
  }
  assert.ok(bytes > 11 * MIB);
  assert.ok(store.bytes < 9.5 * MIB, `${store.bytes} bytes are held of ${bytes}`);
  for (const slot of slots.slice(0, 200)) store.release(slot);
  for (const slot of slots.slice(200)) writer.take(ids, slot, bytes / 400);
  let found = 0;
  for (const { bytes: request, spans: count } of writer.finish()) {
    assert.ok(request.length < 2 * MIB);
    found += count;
  }
  assert.equal(found, 12_000);
  assert.deepEqual([store.runs, store.bytes], [0, 0]);
});
test("a writer that is left before its end frees what it took", () => {
  const parts = setUp();
  const { ids, store, writer } = parts;
  for (let i = 0; i < 3; i++) {
    const slot = ids.add(Buffer.alloc(16, i + 1), 0);
    append(parts, slot, "shop", "http", spanBytes({ spanId: Buffer.alloc(8, 1) }));
    writer.take(ids, slot, MIB);
  }
  for (const { spans: count } of writer.finish()) {
    assert.equal(count, 1);
    break;
  }
  assert.deepEqual([store.runs, store.bytes], [0, 0]);
  assert.deepEqual([...writer.finish()], []);
});
