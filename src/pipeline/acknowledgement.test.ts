import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Acknowledgement } from "./acknowledgement.ts";

test("fires once, with the last reference", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { maxLength: 20, size: "max" }), (retains) => {
      let fired = 0;
      const acknowledgement = new Acknowledgement(() => void (fired += 1));
      let references = 1;
      for (const count of retains) {
        acknowledgement.retain(count);
        references += count;
      }
      for (; references > 1; references--) acknowledgement.release();
      assert.equal(fired, 0);
      acknowledgement.release();
      assert.equal(fired, 1);
    }),
  );
});

test("one reference too many or too late is an error, not a lost acknowledgement", () => {
  const acknowledgement = new Acknowledgement(() => {});
  acknowledgement.release();
  assert.throws(() => acknowledgement.release(), /more often/);
  assert.throws(() => acknowledgement.retain(), /after it fired/);
});

test("a merged acknowledgement releases one reference of each part when it fires, and not before", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 12, size: "max" }), fc.nat(5), (real, retained) => {
      const fired: number[] = [];
      const parts = real.map((isReal, i) =>
        isReal ? new Acknowledgement(() => void fired.push(i)) : Acknowledgement.none,
      );
      const merged = Acknowledgement.merge(parts);
      merged.retain(retained);
      for (let i = 0; i < retained; i++) merged.release();
      assert.deepEqual(fired, []);
      merged.release();
      assert.deepEqual(
        fired,
        [...real.keys()].filter((i) => real[i]),
      );
    }),
  );
});

test("a part with other holders fires after them", () => {
  let fired = false;
  const part = new Acknowledgement(() => void (fired = true));
  part.retain();
  Acknowledgement.merge([part, new Acknowledgement(() => {})]).release();
  assert.equal(fired, false);
  part.release();
  assert.equal(fired, true);
});

test("nobody waits for `none`: it never fires and is never used up", () => {
  for (let i = 0; i < 3; i++) {
    Acknowledgement.none.release();
    Acknowledgement.none.retain();
  }
  assert.equal(Acknowledgement.merge([]), Acknowledgement.none);
  assert.equal(Acknowledgement.merge([Acknowledgement.none, Acknowledgement.none]), Acknowledgement.none);
});
