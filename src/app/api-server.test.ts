import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { splitAddress } from "./api-server.ts";

test("addresses", () => {
  assert.deepEqual(splitAddress("127.0.0.1:12345"), { host: "127.0.0.1", port: 12345 });
  assert.deepEqual(splitAddress(":80"), { host: "", port: 80 });
  assert.deepEqual(splitAddress("localhost:0"), { host: "localhost", port: 0 });
  assert.deepEqual(splitAddress("[::1]:65535"), { host: "::1", port: 65535 });
  assert.deepEqual(splitAddress("[::]:1"), { host: "::", port: 1 });
});

test("what is no address is refused with an example of one", () => {
  for (const text of [
    "",
    "12345",
    "localhost",
    "::1:80",
    "[::1]",
    "[::1:80",
    "a:b",
    "a:65536",
    "a:-1",
    "http://a:80",
    "a:1 ",
  ]) {
    assert.throws(() => splitAddress(text), /must be HOST:PORT, such as 127\.0\.0\.1:12345/, text);
  }
});

test("every host and port comes back", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.domain(), fc.ipV6()), fc.nat(65_535), (host, port) => {
      assert.deepEqual(splitAddress(`${host.includes(":") ? `[${host}]` : host}:${port}`), { host, port });
    }),
  );
});
