import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nameList, parseResolvConf, readResolverConfig } from "./resolver.ts";

test("resolv.conf as miekg/dns reads it", () => {
  const text = [
    "# nameserver 9.9.9.9",
    "  nameserver   10.0.0.1  # one",
    "nameserver fd00::1",
    "nameserver",
    "domain first.test other",
    "options rotate ndots:2 timeout:1",
    "search a.test b.test.",
    "",
  ].join("\n");
  assert.deepEqual(parseResolvConf(text, 53), {
    servers: ["10.0.0.1:53", "[fd00::1]:53"],
    search: ["a.test", "b.test."],
    dots: 2,
  });
  assert.deepEqual(parseResolvConf("domain x.test y", 53).search, ["x.test"]);
  assert.deepEqual(
    ["ndots:99", "ndots:-1", "ndots:x", "ndots:"].map((each) => parseResolvConf(`options ${each}`, 53).dots),
    [15, 0, 0, 0],
  );
});

test("names are tried as they stand first if they have enough dots, and last if not", () => {
  const config = { servers: [], search: ["a.test", "b.test."], dots: 1 };
  assert.deepEqual(nameList("web", config), ["web.a.test.", "web.b.test.", "web."]);
  assert.deepEqual(nameList("web.prod", config), ["web.prod.", "web.prod.a.test.", "web.prod.b.test."]);
  assert.deepEqual(nameList("web.prod", { ...config, dots: 2 }), ["web.prod.a.test.", "web.prod.b.test.", "web.prod."]);
  assert.deepEqual(nameList("web.", config), ["web."]);
});

test("whatever resolv.conf says, every name has at least one form, and all forms are whole", () => {
  fc.assert(
    fc.property(fc.string(), fc.domain(), (text, name) => {
      const config = parseResolvConf(text, 5353);
      const forms = nameList(name, config);
      assert.ok(forms.includes(`${name}.`));
      assert.ok(forms.every((each) => each.endsWith(".")));
      assert.ok(config.dots >= 0 && config.dots <= 15);
    }),
  );
});

test("without servers there is nobody to ask", async () => {
  await assert.rejects(readResolverConfig("/nonexistent/resolv.conf", 53), /cannot read \/nonexistent\/resolv\.conf/);
  await assert.rejects(readResolverConfig("/dev/null", 53), /\/dev\/null names no DNS server: add a line `nameserver/);
});
