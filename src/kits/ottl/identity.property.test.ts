import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { kinds, oracleEncode, requests } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/schema";
import { ProtoWriter } from "#formats/protobuf";
import { Filter, type FilterGroup } from "./filter.ts";
import { compileConditions, compileStatements } from "./programs.ts";
import { Transformer } from "./transform.ts";

/** Statements that look at everything and change nothing, or only what no request has. */
const IDENTITIES = {
  traces: [
    ["resource", ['set(attributes["x"], attributes["no such key"])', 'delete_key(attributes, "no such key")']],
    ["scope", ["set(cache, attributes)", 'set(name, "x") where name == "no such name"']],
    [
      "span",
      [
        'delete_matching_keys(attributes, "^no such key$")',
        'set(cache["copy"], attributes)',
        'replace_pattern(name, "no such name", "x")',
        'set(name, "x") where Len(events) < 0 or status.code == 77 or trace_state == "no such state"',
      ],
    ],
    ["spanevent", ["truncate_all(attributes, 100000)", 'set(name, "x") where span.name == "no such name"']],
  ],
  metrics: [
    ["metric", ['set(cache["n"], name)', 'set(name, "x") where Len(data_points) < 0']],
    [
      "datapoint",
      ['delete_key(attributes, "no such key")', 'set(attributes["x"], "y") where metric.name == "no such name"'],
    ],
  ],
  logs: [
    [
      "log",
      [
        'delete_key(attributes, "no such key")',
        'set(severity_text, "x") where IsMatch(body.string, "no such text") or flags == 123456',
      ],
    ],
  ],
} as const satisfies Record<OtlpKind, unknown>;

const NEVER = {
  traces: [
    ["resource", 'attributes["no such key"] == "x"'],
    ["span", 'name == "no such name" or IsMatch(attributes["no such key"], ".*x")'],
    ["spanevent", 'span.name == "no such name" or name == "no such name"'],
  ],
  metrics: [
    ["metric", 'name == "no such name"'],
    ["datapoint", 'attributes["no such key"] != nil'],
  ],
  logs: [["log", 'body == "no such body" or severity_number == 77']],
} as const satisfies Record<OtlpKind, unknown>;

/** A request with fields that nobody knows behind what it has, as from a newer client. */
function withUnknown(kind: OtlpKind): fc.Arbitrary<Uint8Array> {
  return fc.tuple(requests(kind), fc.uint8Array({ maxLength: 20 }), fc.boolean()).map(([bytes, extra, inside]) => {
    const writer = new ProtoWriter(bytes.length + 64);
    writer.raw(bytes);
    if (inside) {
      // In a group of its own, beside a scope group: field 90 of the group, field 91 of the request.
      const group = writer.begin(1);
      writer.bytes(90, extra);
      const scope = writer.begin(2);
      writer.bytes(90, extra);
      const entry = writer.begin(2);
      writer.bytes(90, extra);
      writer.end(entry);
      writer.end(scope);
      writer.end(group);
    }
    writer.bytes(91, extra);
    return writer.finish();
  });
}

for (const kind of kinds) {
  test(`${kind} that no statement changes come out as the same bytes`, () => {
    const groups = IDENTITIES[kind].map(([context, statements]) => ({
      context,
      conditions: [],
      statements: compileStatements(context, statements),
      errorMode: "ignore" as const,
    }));
    const transformer = new Transformer(kind, groups, () => {});
    fc.assert(
      fc.property(withUnknown(kind), (bytes) => {
        assert.equal(transformer.run(bytes, { clientMetadata: undefined }).bytes, bytes);
      }),
      { numRuns: 30 },
    );
  });

  test(`${kind} of which no condition holds come out as the same bytes`, () => {
    const group: FilterGroup = new Map(
      NEVER[kind].map(([context, condition]) => [context, compileConditions(context, [condition])] as const),
    );
    const filter = new Filter(kind, [group], "ignore", () => {});
    // Groups without anything in them are dropped, as upstream; fill them.
    const full = oracleEncode(kind, FULL[kind]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (extra) => {
        const writer = new ProtoWriter(full.length + 64);
        writer.raw(full);
        writer.bytes(91, extra);
        const bytes = writer.finish();
        assert.equal(filter.run(bytes, { clientMetadata: undefined }).bytes, bytes);
      }),
      { numRuns: 20 },
    );
  });
}

const FULL: Readonly<Record<OtlpKind, object>> = {
  traces: { resourceSpans: [{ scopeSpans: [{ spans: [{ name: "a", events: [{ name: "e" }] }] }] }] },
  metrics: {
    resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "a", gauge: { dataPoints: [{ asInt: 1 }] } }] }] }],
  },
  logs: { resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityText: "a" }] }] }] },
};
