import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultOf } from "#lang/decode";
import { DiagnosticError } from "#lang/diagnostic";
import { type BodySchema, type Field, s } from "#lang/schema";
import { decodeArguments } from "#pipeline/testing";
import { httpClientFields, httpClientRules } from "./client-schema.ts";
import { httpServerFields } from "./server-schema.ts";

interface CatalogueBlock {
  name: string;
  required: boolean;
  presentByDefault: boolean;
  arguments: { name: string; type: string; default: unknown; required: boolean }[];
  blocks: CatalogueBlock[];
}

function catalogue(component: string): CatalogueBlock {
  return JSON.parse(
    readFileSync(new URL(`../../../test/catalog/components/${component}.json`, import.meta.url), "utf8"),
  );
}

/** Compares the fields of ours that `theirs` has; with `whole`, there must be no others. */
function compare(ours: ReadonlyMap<string, Field>, theirs: CatalogueBlock, whole: boolean, path: string): void {
  const seen = new Set<string>();
  for (const argument of theirs.arguments) {
    const field = ours.get(argument.name);
    if (field === undefined && !whole) continue;
    assert.ok(field?.node === "attribute", `${path}.${argument.name}`);
    seen.add(argument.name);
    assert.equal(field.typeText, argument.type, `${path}.${argument.name}`);
    assert.equal(field.isRequired, argument.required, `${path}.${argument.name}`);
    assert.deepEqual(field.defaultValue ?? null, argument.default, `${path}.${argument.name}`);
    defaultOf(field); // what is written as default decodes
  }
  for (const block of theirs.blocks) {
    const field = ours.get(block.name);
    if (field === undefined && !whole) continue;
    assert.ok(field?.node === "block", `${path}.${block.name}`);
    seen.add(block.name);
    assert.equal(field.isPresentByDefault, block.presentByDefault, `${path}.${block.name}`);
    compare(field.body.fields, block, true, `${path}.${block.name}`);
  }
  const missing = [...ours.keys()].filter((name) => !seen.has(name));
  if (whole) assert.deepEqual(missing, [], path);
  else assert.ok(missing.length <= 1, `${path} lacks ${missing}`);
}

test("the client's fields are those of the catalogue", () => {
  const ours = new Map<string, Field>(Object.entries(httpClientFields));
  for (const component of ["prometheus.scrape", "discovery.http", "remote.http"]) {
    if (component === "remote.http") {
      const client = catalogue(component).blocks.find(({ name }) => name === "client")!;
      compare(ours, client, true, "remote.http.client");
    } else compare(ours, catalogue(component), false, component);
  }
  const endpoint = (component: string) => catalogue(component).blocks.find(({ name }) => name === "endpoint")!;
  compare(ours, endpoint("loki.write"), false, "loki.write.endpoint");
  const override = new Map(ours).set("enable_http2", s.bool().default(false));
  compare(override, endpoint("prometheus.remote_write"), false, "prometheus.remote_write.endpoint");
});

test("the server's fields are those of the catalogue", () => {
  compare(
    new Map<string, Field>(Object.entries(httpServerFields)),
    catalogue("loki.source.api"),
    false,
    "loki.source.api",
  );
});

const client = { name: "test.client", args: httpClientRules(s.object(httpClientFields)) };

/** The messages of all problems of a configuration. */
function problems(args: BodySchema<unknown>, config: string): string {
  try {
    decodeArguments({ name: "test.client", args } as Parameters<typeof decodeArguments>[0], config, {});
    return "";
  } catch (error) {
    assert.ok(error instanceof DiagnosticError, String(error));
    return error.diagnostics.map(({ message }) => message).join("\n");
  }
}

test("client arguments that exclude or need each other are refused with Alloy's reasons", () => {
  const cases: [config: string, problem: RegExp | undefined][] = [
    ["", undefined],
    ['bearer_token = "x"', undefined],
    [
      'basic_auth { username = "u" }\nbearer_token = "x"',
      /at most one of basic_auth, authorization, oauth2, bearer_token/,
    ],
    ['basic_auth { password = "p"\n password_file = "f" }', /at most one of basic_auth password & password_file/],
    ['authorization { type = "Basic" }', /cannot be "basic".*`basic_auth` block/],
    ['authorization { credentials = "p"\n credentials_file = "f" }', /at most one of authorization credentials/],
    ["oauth2 { }", /oauth2 client_id must be configured/],
    ['oauth2 { client_id = "i"\n client_secret = "s"\n token_url = "http://t" }', undefined],
    ['oauth2 { client_id = "i"\n token_url = "http://t" }', /either oauth2 client_secret or client_secret_file/],
    ['tls_config { ca_pem = "a"\n ca_file = "b" }', /at most one of ca_pem and ca_file/],
    ['tls_config { cert_file = "b" }', /exactly one of key_pem or key_file/],
    ['tls_config { key_file = "b" }', /exactly one of cert_pem or cert_file/],
    ['tls_config { min_version = "TLS12" }', undefined],
    ['tls_config { min_version = "1.2" }', /`min_version` cannot be "1.2"/],
    ['proxy_url = "proxy:3128"', /is no HTTP URL: write it as http:\/\/host:port or https/],
    ['proxy_url = "http://proxy:3128"\nproxy_from_environment = true', /proxy_url must not be configured/],
    ['no_proxy = "a"', /proxy_url must also be configured/],
    ['proxy_connect_header = { a = ["b"] }', /if proxy_connect_header is configured/],
    ['http_headers = { "X-Scope" = ["b"] }', undefined],
    ['http_headers = { "user-agent" = ["b"] }', /is not allowed/],
  ];
  for (const [config, problem] of cases) {
    const found = problems(client.args as BodySchema<unknown>, config);
    if (problem === undefined) assert.equal(found, "", config);
    else assert.match(found, problem, config);
  }
});

test("a gRPC block is refused rather than ignored", () => {
  const args = s.object(httpServerFields) as BodySchema<unknown>;
  assert.equal(problems(args, "http { listen_port = 0 }"), "");
  assert.match(problems(args, "grpc { listen_port = 0 }"), /grpc/);
});
