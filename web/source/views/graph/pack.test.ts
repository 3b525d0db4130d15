import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack } from "./pack.ts";

const size = fc.record({ width: fc.integer({ min: 1, max: 3000 }), height: fc.integer({ min: 1, max: 9000 }) });

test("nothing overlaps, the gap is kept, and the bounds hold all", () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 30 }), fc.constantFrom(0.6, 1.7, 4), (sizes, aspect) => {
      const { origins, width, height } = pack(sizes, 10, aspect);
      assert.equal(origins.length, sizes.length);
      for (const [i, a] of origins.entries()) {
        assert.ok(a.x >= 0 && a.y >= 0);
        assert.ok(a.x + sizes[i]!.width <= width && a.y + sizes[i]!.height <= height);
        for (const [j, b] of origins.entries()) {
          if (j <= i) continue;
          const isBeside = a.x + sizes[i]!.width + 10 <= b.x + 1e-6 || b.x + sizes[j]!.width + 10 <= a.x + 1e-6;
          const isBelow = a.y + sizes[i]!.height + 10 <= b.y + 1e-6 || b.y + sizes[j]!.height + 10 <= a.y + 1e-6;
          assert.ok(isBeside || isBelow, `${i} and ${j} overlap`);
        }
      }
    }),
  );
});

test("few long parts lie below each other, many short ones side by side", () => {
  const long = { width: 1200, height: 100 };
  assert.deepEqual(
    pack([long, long, long], 20, 1.7).origins.map(({ x }) => x),
    [0, 0, 0],
  );
  const { width, height } = pack(Array(100).fill({ width: 200, height: 100 }), 20, 1.7);
  assert.ok(width / height > 1.2 && width / height < 2.2, `${width} × ${height}`);
});

test("beside a very tall part there is room for the others", () => {
  const small = Array(50).fill({ width: 800, height: 100 });
  const { height } = pack([{ width: 1000, height: 6000 }, ...small], 20, 1.7);
  assert.equal(height, 6000);
});

test("nothing at all", () => {
  assert.deepEqual(pack([], 10, 1.7), { origins: [], width: 0, height: 0 });
});
