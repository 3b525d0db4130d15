import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIp, ipText } from "./ip-text.ts";

test("addresses have the form that Go gives them", () => {
  const forms: [string, string | undefined][] = [
    ["1.2.3.4", "1.2.3.4"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["fe80::", "fe80::"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::1.2.3.4", "::102:304"],
    ["01.2.3.4", undefined],
    ["fe80::1%eth0", undefined],
    ["1:2:3:4:5:6:7:8:9", undefined],
    ["", undefined],
  ];
  for (const [text, canonical] of forms) assert.equal(canonicalIp(text), canonical, text);
  assert.equal(ipText(Buffer.from([1, 2, 3])), "?010203");
});

test("the text of any address is its own canonical form", () => {
  const byte = fc.oneof(fc.constant(0), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(byte, { minLength: 16, maxLength: 16 }), (bytes) => {
      const text = ipText(Buffer.from(bytes));
      assert.equal(canonicalIp(text), text);
    }),
  );
});
