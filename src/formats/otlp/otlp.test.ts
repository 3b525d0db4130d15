import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtobufError, ProtoWriter } from "../protobuf.ts";
import { itemsOf, kinds, oracleDecode, oracleEncode, requests } from "./oracle.testing.ts";
import { countItems, joinParts, OtlpIndex } from "./otlp.ts";
import { splitRequest } from "./split.ts";

for (const kind of kinds) {
  test(`${kind}: counts what protobufjs finds, and joins by concatenation`, () => {
    fc.assert(
      fc.property(requests(kind), requests(kind), (one, other) => {
        assert.equal(countItems(kind, one), itemsOf(kind, one).length);
        const joined = joinParts([one, other]);
        assert.deepEqual(itemsOf(kind, joined), [...itemsOf(kind, one), ...itemsOf(kind, other)]);
        assert.equal(countItems(kind, joined), countItems(kind, one) + countItems(kind, other));
      }),
      { numRuns: 150 },
    );
  });

  test(`${kind}: any cut keeps every item with its resource and scope, in order, within the limits`, () => {
    fc.assert(
      fc.property(
        requests(kind),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        (bytes, first, rest) => {
          const chunks = splitRequest(kind, bytes, first, rest);
          assert.deepEqual(
            chunks.flatMap((chunk) => itemsOf(kind, chunk.bytes)),
            itemsOf(kind, bytes),
          );
          for (const [i, chunk] of chunks.entries()) {
            assert.equal(countItems(kind, chunk.bytes), chunk.items);
            assert.ok(chunk.items <= (i === 0 ? first : rest));
            if (chunks.length > 1) assert.ok(chunk.items === (i === 0 ? first : rest) || i === chunks.length - 1);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test(`${kind}: cuts by bytes keep every item and the limit, unless one item alone is larger`, () => {
    fc.assert(
      fc.property(requests(kind), fc.integer({ min: 20, max: 600 }), (bytes, limit) => {
        const chunks = splitRequest(kind, bytes, limit, limit, "bytes");
        assert.deepEqual(
          chunks.flatMap((chunk) => itemsOf(kind, chunk.bytes)),
          itemsOf(kind, bytes),
        );
        for (const chunk of chunks) {
          const entries = new OtlpIndex();
          entries.read(kind, chunk.bytes);
          assert.equal(entries.items, chunk.items);
          if (entries.entries > 1) assert.ok(chunk.bytes.length <= limit, `${chunk.bytes.length} of ${limit}`);
        }
      }),
      { numRuns: 150 },
    );
  });

  test(`${kind}: whatever the validator takes protobufjs reads; truncated and damaged requests end in ProtobufError`, () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 });
    let refused = 0;
    fc.assert(
      fc.property(requests(kind), fc.option(fc.nat()), damage, (bytes, cut, changes) => {
        const damaged = Buffer.from(cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1)));
        for (const [at, value] of changes) if (damaged.length > 0) damaged[at % damaged.length] = value;
        try {
          countItems(kind, damaged);
        } catch (error) {
          assert.ok(error instanceof ProtobufError, String(error));
          refused += 1;
          return;
        }
        try {
          oracleDecode(kind, damaged);
        } catch (error) {
          // Like the OpenTelemetry Collector, the validator leaves the encoding of texts to those who read them.
          assert.match(String(error), /utf-8/);
        }
        splitRequest(kind, damaged, 1, 1);
      }),
      { numRuns: 1_500 },
    );
    assert.ok(refused > 50, "hardly anything was damaged");
  });
}

test("requests of any size are cut", () => {
  const spans = (group: number) => Array.from({ length: 30 }, (_, i) => ({ name: `${group}.${i}` }));
  const groups = Array.from({ length: 50 }, (_, g) => ({
    scopeSpans: [{ spans: spans(g) }, { spans: [{ name: "x" }] }],
  }));
  const request = oracleEncode("traces", { resourceSpans: groups });
  const index = new OtlpIndex();
  index.read("traces", request);
  const { entryBody, entryEnd } = index;
  const ends = Array.from({ length: index.entries }, (_, e) => entryEnd[e]! - entryBody[e]!);
  assert.ok(ends.length === 1550 && ends.every((length) => length >= 3 && length <= 7));
  const chunks = splitRequest("traces", request, 400, 400);
  assert.deepEqual(
    chunks.map(({ items }) => items),
    [400, 400, 400, 350],
  );
  assert.deepEqual(
    chunks.flatMap(({ bytes }) => itemsOf("traces", bytes)),
    itemsOf("traces", request),
  );
});

test("unknown fields at every level survive a cut", () => {
  const span = message((writer) => {
    writer.string(5, "name");
    writer.string(30, "of the span");
  });
  const scope = message((writer) => {
    writer.string(40, "of the scope group");
    writer.bytes(2, span);
    writer.bytes(2, span);
    writer.string(3, "schema");
  });
  const group = message((writer) => {
    writer.bytes(2, scope);
    writer.string(1000, "of the resource group");
    writer.bytes(
      1,
      message((resource) => resource.uint32(2, 7)),
    );
  });
  const request = message((writer) => writer.bytes(1, group));
  const chunks = splitRequest("traces", request, 1, 1);
  assert.equal(chunks.length, 2);
  for (const { bytes } of chunks) {
    for (const text of ["of the span", "of the scope group", "of the resource group", "schema"]) {
      assert.ok(Buffer.from(bytes).includes(text), text);
    }
    assert.deepEqual((oracleDecode("traces", bytes).resourceSpans as { resource: object }[])[0]!.resource, {
      droppedAttributesCount: 7,
    });
  }
});

test("the index gives the ranges of every group and entry", () => {
  const spans = (...names: string[]) => ({ spans: names.map((name) => ({ name })) });
  const bytes = oracleEncode("traces", {
    resourceSpans: [
      { resource: {}, scopeSpans: [{ scope: { name: "s1" }, ...spans("a", "b") }, spans("c")], schemaUrl: "u" },
      { scopeSpans: [] },
      { scopeSpans: [spans(), spans("d")] },
    ],
  });
  const index = new OtlpIndex();
  index.read("traces", bytes);
  assert.deepEqual([index.resources, index.scopes, index.entries, index.items], [3, 4, 4, 4]);
  assert.deepEqual([...index.resourceScopes.subarray(0, 4)], [0, 2, 2, 4]);
  assert.deepEqual([...index.scopeEntries.subarray(0, 5)], [0, 2, 3, 3, 4]);
  const names = [...Array(4).keys()].map((e) => bytes.toString("utf8", index.entryBody[e]! + 2, index.entryEnd[e]!));
  assert.deepEqual(names, ["a", "b", "c", "d"]);
});

test("what OTLP forbids is refused with its reason", () => {
  const span = (fill: (writer: ProtoWriter) => void) =>
    message((top) =>
      top.bytes(
        1,
        message((group) =>
          group.bytes(
            2,
            message((scope) => scope.bytes(2, message(fill))),
          ),
        ),
      ),
    );
  let nested = new Uint8Array(0);
  for (let depth = 0; depth < 200; depth++) {
    const inner = nested;
    nested = Buffer.from(
      message((value) =>
        value.bytes(
          5,
          message((array) => array.bytes(1, inner)),
        ),
      ),
    );
  }
  const cases: [reason: RegExp, bytes: Uint8Array][] = [
    [/trace id of 15 bytes/, span((writer) => writer.bytes(1, new Uint8Array(15)))],
    [/span id of 9 bytes/, span((writer) => writer.bytes(2, new Uint8Array(9)))],
    [/wire type 0 for field 5/, span((writer) => writer.uint32(5, 1))],
    [
      /nest deeper than 100/,
      span((writer) =>
        writer.bytes(
          9,
          message((attribute) => attribute.bytes(2, nested)),
        ),
      ),
    ],
    [/wire type 0 for field 1/, Uint8Array.of(8, 1)],
    [/beyond the end/, Uint8Array.of(10, 200, 1)],
  ];
  for (const [reason, bytes] of cases) {
    assert.throws(() => countItems("traces", bytes), { name: "ProtobufError", message: reason });
  }
  assert.equal(
    countItems(
      "traces",
      span((writer) => writer.bytes(1, new Uint8Array(0))),
    ),
    1,
  );
  assert.equal(countItems("traces", new Uint8Array(0)), 0);
});

function message(fill: (writer: ProtoWriter) => void): Uint8Array {
  const writer = new ProtoWriter();
  fill(writer);
  return writer.finish();
}

test("attributes that look like a key with a text are read to their end all the same", () => {
  const isValid = (attribute: string) => {
    const bytes = Buffer.from(attribute, "hex");
    const group = message((scope) =>
      scope.bytes(
        2,
        message((span) => span.bytes(9, bytes)),
      ),
    );
    try {
      countItems(
        "traces",
        message((top) =>
          top.bytes(
            1,
            message((resource) => resource.bytes(2, group)),
          ),
        ),
      );
      return true;
    } catch (error) {
      assert.ok(error instanceof ProtobufError);
      return false;
    }
  };
  // A text, an int, an empty value, no value, the value first, a field that nobody knows.
  for (const good of ["12060a0474657874", "12021805", "1200", "", "12060a04746578749a0600"]) {
    assert.ok(isValid(`0a0161${good}`), good);
  }
  assert.ok(isValid("12060a04746578740a0161"));
  // Lengths of the key, the value and the text that are too long or too short, and a text that ends before the value.
  for (const bad of ["0a026112060a0474657874", "0a016112070a0474657874", "0a016112050a0474657874"]) {
    assert.ok(!isValid(bad), bad);
  }
  for (const bad of ["0a016112060a0574657874", "0a016112060a0374657874", "0a016112060a04746578"]) {
    assert.ok(!isValid(bad), bad);
  }
});
