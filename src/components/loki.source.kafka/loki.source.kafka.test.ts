import assert from "node:assert/strict";
import { test } from "node:test";
import { DiagnosticError } from "#lang/diagnostic";
import { decodeArguments, recordLogs } from "#pipeline/testing";
import component from "./loki.source.kafka.ts";

const options = { scope: { out: recordLogs().value } };
const config = (more = "", brokers = '"b:9092"', topics = '"t"') =>
  `brokers = [${brokers}]\ntopics = [${topics}]\nforward_to = [out]\n${more}`;

function problems(text: string): string {
  try {
    decodeArguments(component, text, options);
    return "";
  } catch (error) {
    assert.ok(error instanceof DiagnosticError, String(error));
    return error.message;
  }
}

test("arguments that cannot work are refused with what to do", () => {
  const cases: readonly (readonly [text: string, message: RegExp])[] = [
    [config("", ""), /no Kafka bootstrap brokers defined/],
    [config("", '"kafka"'), /has "kafka", which has no port.*kafka:9092/],
    [config("", '"http://kafka:9092"'), /without a scheme/],
    [config("", '"kafka:99999"'), /is no address/],
    [config("", '"::1"'), /is no address/],
    [config("", '"b:9092"', ""), /no topics given to be consumed/],
    [config("", '"b:9092"', '""'), /invalid empty topic/],
    [config("", '"b:9092"', '"^a("'), /invalid topic pattern/],
    [config("", '"b:9092"', '"logs-*"'), /a regular expression begins with \^/],
    [config('version = "two"'), /invalid version/],
    [config('version = "0.10.2.0"'), /before 0\.11/],
    [config('assignor = "cooperative"'), /cannot be "cooperative"/],
    [config('authentication {\n type = "kerberos"\n}'), /cannot be "kerberos"/],
    [config('authentication {\n type = "sasl"\n}'), /has no `user`, which PLAIN needs/],
    [config('authentication {\n type = "sasl"\n sasl_config {\n user = "u"\n }\n}'), /has no `password`/],
    [config('authentication {\n type = "sasl"\n sasl_config {\n mechanism = "GSSAPI"\n }\n}'), /cannot be "GSSAPI"/],
    [
      config('authentication {\n type = "sasl"\n sasl_config {\n mechanism = "OAUTHBEARER"\n }\n}'),
      /has no `oauth_config`/,
    ],
  ];
  for (const [text, message] of cases) assert.match(problems(text), message, text);
});

test("what Alloy takes is taken", () => {
  for (const text of [
    config(),
    config("", '"[::1]:9092", "kafka.example.com:80"', '"^app-.*", "a.b_c-d"'),
    config('version = ""\ngroup_id = ""\nassignor = ""\nauthentication {\n type = ""\n}'),
    config('version = "0.11.0.2"'),
    config('version = "3.9.0"\nassignor = "sticky"'),
  ]) {
    assert.equal(problems(text), "", text);
  }
});
