import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import * as grpc from "./grpc.ts";
import { decodeExportResponse, parseExportResponse } from "./otlp/response.ts";

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message Response { Partial partial_success = 1; }
  message Partial { int64 rejected = 1; string error_message = 2; }`);
const [Status, RetryInfo, Response] = ["Status", "RetryInfo", "Response"].map((name) => root.lookupType(name)) as [
  protobuf.Type,
  protobuf.Type,
  protobuf.Type,
];

test("statuses are those of google.rpc", () => {
  const delay = fc.option(fc.integer({ min: 0, max: 100_000_000 }), { nil: undefined });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 16 }), fc.string(), delay, (code, message, retryDelayMs) => {
      const bytes = grpc.encodeStatus({ code, message, retryDelayMs });
      assert.deepEqual(grpc.decodeStatus(bytes), { code, message, retryDelayMs });
      const seen = Status.decode(bytes) as unknown as {
        code: number;
        message: string;
        details: { value: Uint8Array }[];
      };
      assert.equal(seen.message, message);
      assert.equal(seen.details.length, retryDelayMs === undefined ? 0 : 1);
      if (retryDelayMs === undefined) return;
      const info = RetryInfo.toObject(RetryInfo.decode(seen.details[0]!.value), { longs: Number, defaults: true });
      assert.equal(info.retryDelay.seconds * 1000 + info.retryDelay.nanos / 1e6, retryDelayMs);
    }),
  );
});

test("messages travel in ASCII and come back whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (message) => {
      const text = grpc.encodeGrpcMessage(message);
      assert.match(text, /^[ -~]*$/);
      assert.equal(grpc.decodeGrpcMessage(text), message);
    }),
  );
  assert.equal(grpc.encodeGrpcMessage("50 % für\n"), "50 %25 f%C3%BCr%0A");
  assert.equal(grpc.decodeGrpcMessage("100%"), "100%");
});

test("time-outs", () => {
  const cases: [string, number | undefined][] = [
    ["10S", 10_000],
    ["100m", 100],
    ["1H", 3_600_000],
    ["500u", 0.5],
    ["123456789m", undefined],
    ["1s", undefined],
    ["", undefined],
  ];
  for (const [text, ms] of cases) assert.equal(grpc.parseGrpcTimeout(text), ms, text);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e12 }), (ms) => {
      const parsed = grpc.parseGrpcTimeout(grpc.formatGrpcTimeout(ms))!;
      assert.ok(parsed >= Math.min(ms, 99_999_999_000) && parsed < ms + 1000);
    }),
  );
});

test("codes and HTTP statuses", () => {
  assert.equal(grpc.httpStatusOfCode(grpc.GRPC.UNAVAILABLE), 503);
  assert.equal(grpc.httpStatusOfCode(grpc.GRPC.RESOURCE_EXHAUSTED), 429);
  assert.equal(grpc.httpStatusOfCode(grpc.GRPC.INTERNAL), 500);
  assert.equal(grpc.codeOfHttpStatus(429), grpc.GRPC.RESOURCE_EXHAUSTED);
  assert.equal(grpc.codeOfProxyStatus(429), grpc.GRPC.UNAVAILABLE);
  assert.equal(grpc.grpcCodeName(14), "UNAVAILABLE");
});

test("partial success, in protobuf and JSON", () => {
  const bytes = Response.encode(
    Response.fromObject({ partialSuccess: { rejected: "3", errorMessage: "no" } }),
  ).finish();
  assert.deepEqual(decodeExportResponse(bytes), { rejected: 3, message: "no" });
  assert.deepEqual(decodeExportResponse(new Uint8Array(0)), { rejected: 0, message: "" });
  assert.deepEqual(parseExportResponse('{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}'), {
    rejected: 3,
    message: "no",
  });
  assert.deepEqual(parseExportResponse('{"partial_success":{"rejected_data_points":2}}'), { rejected: 2, message: "" });
  assert.deepEqual(parseExportResponse("{}"), { rejected: 0, message: "" });
  assert.deepEqual(parseExportResponse(""), { rejected: 0, message: "" });
});
