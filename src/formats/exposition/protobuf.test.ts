import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtoWriter } from "../protobuf.ts";
import { ExpositionParser } from "./exposition.ts";
import { translateProtobuf } from "./protobuf.ts";

const OPTIONS = {
  nativeHistograms: true,
  classicHistograms: false,
  convertHistograms: false,
  startTimestamps: true,
  typeAndUnitLabels: false,
};

function message(fill: (writer: ProtoWriter) => void): Uint8Array {
  const writer = new ProtoWriter();
  fill(writer);
  return writer.finish();
}

/** A page of one counter. */
function counterPage(name: string, label: [string, string], value: number, timestamp: number, exemplarMs: number) {
  const exemplar = message((e) => {
    e.bytes(
      1,
      message((l) => (l.string(1, "trace_id"), l.string(2, "x"))),
    );
    e.double(2, 0.5);
    e.bytes(
      3,
      message((t) => (t.int64(1, Math.floor(exemplarMs / 1000)), t.int32(2, (exemplarMs % 1000) * 1e6))),
    );
  });
  const metric = message((m) => {
    m.bytes(
      1,
      message((l) => (l.string(1, label[0]), l.string(2, label[1]))),
    );
    m.bytes(
      3,
      message((c) => (c.double(1, value), c.bytes(2, exemplar))),
    );
    m.int64(6, timestamp);
  });
  const family = message((f) => (f.string(1, name), f.string(2, "Help \\ of\nit"), f.int32(3, 0), f.bytes(4, metric)));
  return message((w) => (w.rawVarint(family.length), w.raw(family)));
}

test("names, values and times survive the translation", () => {
  const text = fc.string({ minLength: 1, unit: "grapheme" });
  const time = fc.integer({ min: 0, max: 4_102_444_800_000 });
  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.double({ noNaN: true }),
      time,
      time,
      (name, label, value, number, at, exemplarAt) => {
        fc.pre(label !== "__name__");
        const page = counterPage(name, [label, value], number, at, exemplarAt);
        const { text: translated, exemplars, values } = translateProtobuf(page, page.length, OPTIONS);
        const parser = new ExpositionParser();
        const seen = new Map<string, string>();
        parser.parse(translated, translated.length, "translated", (labels) => {
          for (let i = 0; i < labels.count; i++) seen.set(labels.name(i), labels.value(i));
          return 1;
        });
        assert.deepEqual(
          seen,
          new Map([
            ["__name__", name],
            [label, value],
          ]),
        );
        assert.ok(Object.is(values[0], number));
        assert.equal(parser.hasTimestamps ? parser.columns.timestamp[0] : 0, at);
        assert.equal(exemplars[0]!.timestamp, exemplarAt);
        assert.equal(parser.metadata.get(name)!.help, "Help \\ of\nit");
      },
    ),
  );
});

test("damaged pages fail with an error of the format and no other", () => {
  const page = counterPage("requests_total", ["code", "200"], 5, 1_000, 2_000);
  const mutation = fc.array(fc.tuple(fc.nat(page.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(mutation, fc.nat(page.length), (changes, length) => {
      const bytes = Buffer.from(page);
      for (const [at, byte] of changes) bytes[at] = byte;
      try {
        translateProtobuf(bytes, length, OPTIONS);
      } catch (error) {
        assert.equal((error as Error).name, "ExpositionError", String((error as Error).stack));
      }
    }),
    { numRuns: 2000 },
  );
});
