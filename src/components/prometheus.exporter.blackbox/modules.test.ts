import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { parseModules } from "./modules.ts";
import { ModuleFileError } from "./yaml-fields.ts";

const one = (text: string) => parseModules(`modules:\n  a:\n${text.replace(/^/gm, "    ")}`).get("a")!;
const http = (text: string) => one(`prober: http\nhttp:\n${text.replace(/^/gm, "  ")}`).http;

test("defaults, also of sections that are not there", () => {
  const { prober, timeoutMs, http, dns, icmp, tcp, grpc } = one("prober: dns");
  assert.deepEqual([prober, timeoutMs], ["dns", 0]);
  assert.deepEqual(http.ip, { preferred: "ip6", fallback: true });
  assert.deepEqual([http.method, http.client.follow_redirects, http.client.enable_http2], ["GET", true, true]);
  assert.deepEqual([dns.queryType, dns.queryClass, dns.recursion, dns.transport], ["ANY", "IN", true, "udp"]);
  assert.deepEqual([dns.validRcodes, icmp.ttl, tcp.queryResponse, grpc.tls], [["NOERROR"], 64, [], false]);
  assert.equal(parseModules("modules:").size, 0);
});

test("values are what yaml.v3 makes of them", () => {
  const text = `modules:
  base: &base
    prober: http
    timeout: 1m30s
    http: &http
      valid_status_codes: [200, 0x12c, 0o10, 010]
      body: 15
      fail_if_ssl: yes
      body_size_limit: 2KB
      headers: { Number: 1, Nothing: null, Flag: true }
  copy:
    <<: *base
    http:
      <<: *http
      body: other
      no_follow_redirects: true
`;
  const modules = parseModules(text);
  const base = modules.get("base")!;
  assert.deepEqual([base.timeoutMs, base.http.body, base.http.failIfSsl], [90_000, "15", true]);
  assert.deepEqual(base.http.validStatusCodes, [200, 300, 8, 8]);
  assert.equal(base.http.bodySizeLimit, 2048);
  assert.deepEqual(
    [...base.http.ownHeaders],
    [
      ["Number", "1"],
      ["Nothing", ""],
      ["Flag", "true"],
    ],
  );
  const copy = modules.get("copy")!;
  assert.deepEqual(
    [copy.prober, copy.timeoutMs, copy.http.body, copy.http.bodySizeLimit],
    ["http", 90_000, "other", 2048],
  );
  assert.equal(copy.http.client.follow_redirects, false);
});

test("client settings, and nothing secret is shown", () => {
  const { client, headers, usernameFile } = http(`basic_auth: { username_file: /user, password: top-secret }
proxy_url: http://proxy:3128
proxy_connect_header: { X-Key: [top-secret] }
http_headers: { X-Own: { values: [a], secrets: [top-secret], files: [/more] } }
tls_config: { ca_file: /ca, cert_file: /cert, key: top-secret, min_version: TLS13, server_name: x }`);
  assert.equal(client.basic_auth!.password.reveal(), "top-secret");
  assert.deepEqual(
    [usernameFile, client.proxy_url, client.tls_config.min_version],
    ["/user", "http://proxy:3128", "TLS13"],
  );
  assert.deepEqual(
    headers[0]!.values.map((each) => each.reveal()),
    ["a", "top-secret"],
  );
  assert.doesNotMatch(inspect({ client, headers }, { depth: 9 }), /top-secret/);
  const { oauth2 } = http(
    "oauth2: { client_id: me, client_secret: s, token_url: http://t/, scopes: [a], endpoint_params: { b: c } }",
  ).client;
  assert.deepEqual([oauth2!.client_id, oauth2!.scopes, oauth2!.endpoint_params], ["me", ["a"], new Map([["b", "c"]])]);
  assert.equal(http("bearer_token_file: /token").client.bearer_token_file, "/token");
});

test("what cannot be is refused, with its line and its name", () => {
  const long = "modules:\n  a:\n    prober: http\n    http:\n";
  for (const [text, problem] of [
    ["", /there is nothing in it: it needs `modules`/],
    ["a: [", /^line 1: this is no valid YAML/],
    ["modules: [a]", /^line 1: `modules` must be a map/],
    ["module: {}", /^line 1: `module` is unknown; did you mean `modules`\?/],
    [`${long}      metod: POST`, /^line 5: `modules.a.http.metod` is unknown; did you mean `method`\?/],
    [`${long}      method: GET\n      method: PUT`, /duplicate key/],
    [
      `${long}      fail_if_body_matches_regexp: ["(?=a)"]`,
      /^line 5: .*_regexp` has an expression that is not valid: .*Perl/,
    ],
    [`${long}      fail_if_ssl: 1`, /^line 5: .* must be true or false/],
    [`${long}      valid_status_codes: 200`, /must be a list/],
    [`${long}      valid_status_codes: [ok]`, /must be a whole number/],
    [`${long}      body_size_limit: 10`, /must be a size with a unit, such as 10MB/],
    [`${long}      body: a\n      body_file: b`, /^line 6: `modules.a.http.body_file` and `body` exclude each other/],
    [`${long}      bearer_token: a\n      authorization: {}`, /^line 5: .*`authorization` exclude each other/],
    [`${long}      basic_auth: { password: a, password_file: b }`, /password_file` and `password` exclude/],
    [`${long}      basic_auth: { password_ref: a }`, /names a secret of a secret manager, and there is none/],
    [`${long}      authorization: { type: Basic }`, /cannot be "basic": use `basic_auth`/],
    [`${long}      oauth2: { client_id: a }`, /token_url` is missing/],
    [`${long}      oauth2: { client_id: a, token_url: x }`, /token_url` is no HTTP URL/],
    [`${long}      oauth2: { client_id: a, token_url: "http://x", grant_type: jwt }`, /can only be client_credentials/],
    [`${long}      tls_config: { cert_file: a }`, /key_file` is missing beside the client certificate/],
    [`${long}      tls_config: { max_version: TLS12 }`, /max_version` is not supported/],
    [`${long}      tls_config: { min_version: "1.2" }`, /cannot be "1\.2": use TLS10, TLS11, TLS12, TLS13/],
    [`${long}      no_proxy: x`, /no_proxy` needs `proxy_url`/],
    [`${long}      proxy_url: "socks5://x:1"`, /proxy_url` is no HTTP URL/],
    [`${long}      proxy_connect_header: { a: [b] }`, /needs `proxy_url` or `proxy_from_environment`/],
    [`${long}      http_headers: { host: { values: [a] } }`, /which the agent sets itself; use `headers`/],
    [
      `${long}      compression: gzip\n      headers: { accept-encoding: br }`,
      /^line 6: .* does not accept `compression: gzip`/,
    ],
    [`${long}      fail_if_header_matches: [{ regexp: a }]`, /header` is missing: name the header/],
    [`${long}      fail_if_header_matches: [{ header: a }]`, /regexp` is missing: give what to match/],
    [`${long}      fail_if_body_json_matches_cel: "body.ok"`, /newer blackbox_exporter than the one in Alloy/],
    [`${long}      enable_http3: true`, /newer blackbox_exporter/],
    ["modules: { a: { prober: http, timeout: 5 } }", /timeout` must be a duration with a unit/],
    ["modules: { a: { websocket: {} } }", /newer blackbox_exporter/],
    ["modules: { a: { grpc: { metadata: {} } } }", /newer blackbox_exporter/],
    ["modules: { a: { tcp: { query_response: [{ expect_bytes: x }] } } }", /newer blackbox_exporter/],
    ["modules: { a: { tcp: { query_response: [{ labels: [{ name: 1a }] }] } } }", /is no name of a label/],
    [
      "modules: { a: { tcp: { query_response: [{ expekt: x }] } } }",
      /query_response\[0\]\.expekt` is unknown; did you mean `expect`/,
    ],
    ["modules: { a: { dns: { query_type: A } } }", /query_name` is missing/],
    ["modules: { a: { dns: { query_name: a, query_type: a } } }", /query_type` 'a' is not valid/],
    ["modules: { a: { dns: { query_name: a, query_class: X } } }", /query_class` 'X' is not valid/],
    ["modules: { a: { dns: { query_name: a, validate_answer_rrs: { x: 1 } } } }", /validate_answer_rrs\.x` is unknown/],
    ["modules: { a: { icmp: { ttl: 256 } } }", /ttl` must be between 0 and 255/],
    ["modules: { a: { icmp: { payload_size: 70000 } } }", /payload_size` must be between 0 and 65507/],
    ["modules: { a: &a { http: *a } }", /too deep|unknown|no such anchor/],
    ["modules: { a: *b }", /there is no such anchor|no valid YAML/],
    ["modules: { a: { <<: [1] } }", /what `<<` merges must be a map/],
    ["modules: { [a]: {} }", /a list or a map cannot be a key/],
  ] as const) {
    assert.throws(
      () => parseModules(text),
      (error) => {
        assert.ok(error instanceof ModuleFileError, String(error));
        assert.match(error.message, problem, text);
        return true;
      },
    );
  }
});

test("aliases that repeat each other do not fill the memory", () => {
  const lines = Array.from({ length: 20 }, (_, i) => `k${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`);
  assert.throws(() => parseModules(`k0: &a0 [x]\n${lines.join("\n")}`), /too large or too deep/);
});

test("any text is modules or a ModuleFileError", () => {
  const word = fc.constantFrom(
    "modules",
    "a",
    "http",
    "dns",
    "prober",
    "tls_config",
    "headers",
    ":",
    "\n",
    "  ",
    "- ",
    "[",
    "{",
    "}",
    "]",
    "&x",
    "*x",
    "<<",
    "1",
    "true",
    '"',
    ",",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 40 }).map((words) => words.join("")),
      ),
      (text) => {
        try {
          parseModules(text);
        } catch (error) {
          assert.ok(error instanceof ModuleFileError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});
