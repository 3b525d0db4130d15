import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareVersions, parseVersionRange, type Version } from "./version-range.ts";

test("a range is conditions side by side, with alternatives", () => {
  const cases: readonly (readonly [range: string, within: Version[], outside: Version[]])[] = [
    [
      ">=10.0.0",
      [
        [10, 0, 0],
        [15, 4, 0],
      ],
      [[9, 6, 24]],
    ],
    [
      ">= 9.2.0 <10.0.0",
      [
        [9, 2, 0],
        [9, 6, 1],
      ],
      [
        [10, 0, 0],
        [9, 1, 9],
      ],
    ],
    [
      "<10.0.0 || >=12.0.0 !12.3.0",
      [
        [9, 0, 0],
        [12, 0, 0],
      ],
      [
        [10, 0, 0],
        [12, 3, 0],
      ],
    ],
    [
      "14.x",
      [
        [14, 0, 0],
        [14, 9, 1],
      ],
      [
        [13, 9, 9],
        [15, 0, 0],
      ],
    ],
    ["!=14.1.x", [[14, 2, 0]], [[14, 1, 7]]],
    ["15", [[15, 0, 0]], [[15, 1, 0]]],
    [">9.4", [[9, 4, 1]], [[9, 4, 0]]],
    ["<=9.4.x", [[9, 4, 7]], [[9, 5, 0]]],
    [">13.x", [[14, 0, 0]], [[13, 9, 0]]],
    ["x", [[1, 0, 0]], []],
  ];
  for (const [range, within, outside] of cases) {
    const holds = parseVersionRange(range);
    for (const version of within) assert.ok(holds(version), `${version} in ${range}`);
    for (const version of outside) assert.ok(!holds(version), `${version} not in ${range}`);
  }
  for (const text of ["", "||", "new", ">=a", ">=1.2.3.4", "~1.0.0"]) assert.throws(() => parseVersionRange(text));
});

test("property: conditions agree with the order of versions", () => {
  const version = fc.tuple(fc.nat(20), fc.nat(9), fc.nat(9));
  fc.assert(
    fc.property(version, version, (a, b) => {
      const order = compareVersions(a, b);
      const text = b.join(".");
      assert.equal(parseVersionRange(`>=${text}`)(a), order >= 0);
      assert.equal(parseVersionRange(`>${text}`)(a), order > 0);
      assert.equal(parseVersionRange(`<${text}`)(a), order < 0);
      assert.equal(parseVersionRange(`<=${text}`)(a), order <= 0);
      assert.equal(parseVersionRange(text)(a), order === 0);
      assert.equal(parseVersionRange(`!${text}`)(a), order !== 0);
    }),
  );
});
