import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBody } from "#lang/decode";
import { parseFile } from "#lang/parser";
import { decodeArguments } from "#pipeline/testing";
import { debugMetricsSchema } from "./schema.ts";
import { tlsServerSchema } from "./tls.ts";

function warnings(text: string): string[] {
  const { file } = parseFile({ name: "test.alloy", text });
  const { diagnostics } = decodeBody(
    debugMetricsSchema,
    file.body,
    { lookup: () => undefined },
    { name: "debug_metrics", minimumStability: "generally-available" },
  );
  return diagnostics.map(({ severity, message, why }) => `${severity}: ${message} ${why ?? ""}`);
}

test("a server does not check clients by `ca_file`, which is said", () => {
  const told = (text: string) => {
    const args = decodeArguments({ name: "test", args: tlsServerSchema }, `cert_file = "c"\nkey_file = "k"\n${text}`);
    return tlsServerSchema.suspicions.flatMap((find) => find(args)).map(({ field, message }) => `${field} ${message}`);
  };
  const said = "does not have the certificates of clients checked, as in Alloy";
  assert.deepEqual(told('ca_file = "a"'), [`ca_file ${said}`]);
  assert.deepEqual(told('ca_pem = "a"'), [`ca_pem ${said}`]);
  assert.deepEqual(told('client_ca_file = "a"'), []);
});

test("debug_metrics says what has no effect, and nothing about what holds anyway", () => {
  assert.deepEqual(warnings('disable_high_cardinality_metrics = true\nlevel = "detailed"'), []);
  const [peers, level, ...others] = warnings('disable_high_cardinality_metrics = false\nlevel = "none"');
  assert.match(peers!, /^warning: .*"disable_high_cardinality_metrics" has no effect.*never have addresses/);
  assert.match(level!, /^warning: .*"level" has no effect.*always come in full detail/);
  assert.deepEqual(others, []);
  assert.match(warnings('level = "loud"')[0]!, /^error: /);
});
