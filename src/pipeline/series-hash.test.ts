import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashBytes, hashView } from "./series-hash.ts";

test("bytes and a view of them have the same hash, wherever they lie", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(9), (content, before) => {
      const bytes = new Uint8Array(before + content.length);
      bytes.set(content, before);
      const view = new DataView(bytes.buffer, 0, bytes.length);
      const hash = hashView(view, before, bytes.length);
      assert.equal(hash, hashBytes(content, 0, content.length));
      assert.equal(hash, hash | 0);
    }),
  );
});
