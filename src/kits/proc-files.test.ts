import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { listIfThere, numberAt, numberOf, readIfThere } from "./proc-files.ts";

test("numbers are read where they stand", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom("", " ", "\t  "), (number, gap) => {
      assert.equal(numberAt(`x:${gap}${number} kB\n`, 2), Number(number));
    }),
  );
  assert.equal(numberAt("", 0), Number.NaN);
  assert.equal(numberAt("a", 0), Number.NaN);
  assert.equal(numberAt("-1", 0), Number.NaN);
});

test("a key counts at the start of a line only", () => {
  const status =
    "Name:\tvoluntary_ctxt_switches:\t9\nVmSwap:\t     12 kB\nnonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t2\n";
  assert.equal(numberOf(status, "VmSwap:"), 12);
  assert.equal(numberOf(status, "voluntary_ctxt_switches:"), 2);
  assert.equal(numberOf(status, "nonvoluntary_ctxt_switches:"), 3);
  assert.equal(numberOf(status, "VmRSS:"), undefined);
  assert.equal(numberOf("Max open files            unlimited", "Max open files"), Number.NaN);
});

test("what is not there is undefined, what may not be read is an error", () => {
  assert.equal(readIfThere("/proc/0/stat"), undefined);
  assert.equal(listIfThere("/proc/stat"), undefined);
  assert.throws(() => readIfThere("/proc"), /EISDIR/);
});
