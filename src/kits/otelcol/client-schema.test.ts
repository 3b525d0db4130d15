import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeArguments } from "#pipeline/testing";
import { grpcClientSchema } from "./client-schema.ts";

test("endpoints over gRPC that will hardly work are told, others are not", () => {
  const fields = (text: string) => {
    const args = decodeArguments({ name: "test", args: grpcClientSchema }, text);
    return grpcClientSchema.suspicions.flatMap((find) => find(args)).map(({ message }) => message);
  };
  assert.deepEqual(fields('endpoint = "http://a:4317"'), [
    "begins with http://, and TLS is used in spite of that, as in Alloy",
  ]);
  assert.deepEqual(fields('endpoint = "http://a:4317"\ntls {\ninsecure = true\n}'), []);
  assert.deepEqual(fields('endpoint = "a:4318"'), ["has the port 4318, on which servers take OTLP over HTTP"]);
  for (const endpoint of ["a:4317", "a", "https://a:443", "[::1]:4317", "unix:///run/x.sock"]) {
    assert.deepEqual(fields(`endpoint = "${endpoint}"`), [], endpoint);
  }
});
