import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OtlpJsonError, requestFromJson, requestToJson } from "./json.ts";
import { kinds, oracleDecode, oracleEncode, requests } from "./oracle.testing.ts";
import { countItems } from "./otlp.ts";

for (const kind of kinds) {
  test(`${kind}: to JSON and back gives what protobufjs reads`, () => {
    fc.assert(
      fc.property(requests(kind), (bytes) => {
        const json = requestToJson(kind, [bytes]);
        const back = requestFromJson(kind, json);
        assert.deepEqual(oracleDecode(kind, back), oracleDecode(kind, bytes));
        assert.equal(countItems(kind, back), countItems(kind, bytes));
        assert.equal(requestToJson(kind, [back]), json);
      }),
      { numRuns: 150 },
    );
  });

  test(`${kind}: JSON of the wrong shape is refused or skipped, never more`, () => {
    fc.assert(
      fc.property(requests(kind), fc.nat(), fc.json({ maxDepth: 2 }), (bytes, where, other) => {
        const json = requestToJson(kind, [bytes]);
        const values = [...json.matchAll(/:("[^"]*"|[-\w.]+)/g)];
        const hit = values.length === 0 ? undefined : values[where % values.length]!;
        const text =
          hit === undefined ? other : `${json.slice(0, hit.index + 1)}${other}${json.slice(hit.index + hit[0].length)}`;
        try {
          countItems(kind, requestFromJson(kind, text));
        } catch (error) {
          assert.ok(error instanceof OtlpJsonError, String(error));
        }
      }),
      { numRuns: 400 },
    );
  });
}

test("the mapping is that of the specification", () => {
  const request = {
    resourceSpans: [
      {
        resource: { attributes: [{ key: "n", value: { intValue: "-7" } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: "5b8efff798038103d269b633813fc60c",
                spanId: "eee19b7ec3c1b174",
                kind: 2,
                startTimeUnixNano: "1544712660300000001",
                attributes: [
                  { key: "b", value: { bytesValue: "aGk=" } },
                  { key: "e", value: { stringValue: "" } },
                  { key: "l", value: { kvlistValue: { values: [{ key: "x", value: { doubleValue: "NaN" } }] } } },
                ],
                status: { code: 2 },
              },
            ],
          },
        ],
      },
    ],
  };
  const bytes = requestFromJson("traces", JSON.stringify(request));
  assert.deepEqual(JSON.parse(requestToJson("traces", [bytes])), request);
  const span = { traceId: Buffer.from("5b8efff798038103d269b633813fc60c", "hex").toString("base64") };
  const decoded = oracleDecode("traces", bytes) as { resourceSpans: { scopeSpans: { spans: object[] }[] }[] };
  assert.partialDeepStrictEqual(decoded.resourceSpans[0]!.scopeSpans[0]!.spans[0], span);
});

test("what other senders write is understood: snake_case, names of enums, numbers for integers, nulls, unknown keys", () => {
  const span = `{"trace_id":"5B8EFFF798038103D269B633813FC60C","kind":"SPAN_KIND_CLIENT","start_time_unix_nano":1544712660300000001,
    "end_time_unix_nano":1.5447126603e18,"name":null,"future":{"a":[1]},"__proto__":{"x":1},
    "attributes":[{"key":"n","value":{"int_value":9223372036854775807}},{"key":"d","value":{"double_value":1e300}},
    {"key":"u","value":{"bytesValue":"-_8"}}]}`;
  const bytes = requestFromJson("traces", `{"resource_spans":[{"scope_spans":[{"spans":[${span}]}]}]}`);
  assert.deepEqual(JSON.parse(requestToJson("traces", [bytes])).resourceSpans[0].scopeSpans[0].spans[0], {
    traceId: "5b8efff798038103d269b633813fc60c",
    kind: 3,
    startTimeUnixNano: "1544712660300000001",
    endTimeUnixNano: "1544712660300000000",
    attributes: [
      { key: "n", value: { intValue: "9223372036854775807" } },
      { key: "d", value: { doubleValue: 1e300 } },
      { key: "u", value: { bytesValue: "+/8=" } },
    ],
  });
});

test("errors name the place", () => {
  const at = (span: string) => () =>
    requestFromJson("traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`);
  const place = "resourceSpans\\[0\\]\\.scopeSpans\\[0\\]\\.spans\\[0\\]";
  const cases: [string, string][] = [
    ['{"kind":"SPAN_KIND_NONE"}', `${place}\\.kind: expected a whole number, got "SPAN_KIND_NONE"`],
    ['{"traceId":"5B8E"}', `${place}\\.traceId: expected 32 hexadecimal digits, got "5B8E"`],
    [
      '{"startTimeUnixNano":-1}',
      `${place}\\.startTimeUnixNano: expected a whole number of 0 … 18446744073709551615, got -1`,
    ],
    ['{"startTimeUnixNano":1.5}', `${place}\\.startTimeUnixNano: expected a whole number, got 1.5`],
    ['{"attributes":{}}', `${place}\\.attributes: expected an array, got {}`],
    ["7", `${place}: expected an object, got 7`],
  ];
  for (const [span, message] of cases)
    assert.throws(at(span), { name: "OtlpJsonError", message: new RegExp(`^${message}$`) });
  assert.throws(() => requestFromJson("traces", "{"), { name: "OtlpJsonError", message: /^not JSON: / });
  assert.throws(() => requestFromJson("traces", "[]"), { message: "the request: expected an object, got []" });
  let deep = "{}";
  for (let i = 0; i < 150; i++) deep = `{"arrayValue":{"values":[${deep}]}}`;
  assert.throws(at(`{"attributes":[{"key":"k","value":${deep}}]}`), /nested deeper than 100/);
});

test("several parts become one request", () => {
  const part = (name: string) =>
    oracleEncode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityText: name }] }] }] });
  assert.equal(
    requestToJson("logs", [part("a"), part("b")]),
    '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"a"}]}]},{"scopeLogs":[{"logRecords":[{"severityText":"b"}]}]}]}',
  );
});
