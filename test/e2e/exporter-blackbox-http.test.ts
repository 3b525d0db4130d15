import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { compareProbes, type ProbeCase, prepareFiles } from "../kit/probe-peer.ts";
import * as servers from "../kit/probe-servers.ts";
import { freePort } from "../kit/process.ts";

/** The http prober of `prometheus.exporter.blackbox` against real servers, beside Debian's prometheus-blackbox-exporter. */

test("each http probe gives what Debian's blackbox_exporter gives, and says why it failed", async (t) => {
  const agent = await compareProbes(t, await prepare(t));
  const metric = { module: "refused", result: "failure" };
  assert.equal(await agent.metric("prometheus_exporter_blackbox_probes_total", metric), 1);
  assert.doesNotMatch(agent.log + JSON.stringify(await agent.status()), /top-secret/);
});

async function prepare(t: TestContext): Promise<readonly ProbeCase[]> {
  const { good, expired, other, tls, ca, file } = prepareFiles(t);
  const [http, https, expiredPort, otherPort, proxy] = await Promise.all([
    servers.startHttpServer(t),
    servers.startHttpsServer(t, good),
    servers.startHttpsServer(t, expired),
    servers.startHttpsServer(t, other),
    servers.startProxy(t),
  ]);
  const proxyTls = await servers.startTlsFront(t, good, proxy);
  const nobody = await freePort();
  const h = (path: string) => `127.0.0.1:${http}${path}`;
  const s = (path: string, port = https) => `https://localhost:${port}${path}`;
  const http_ = (more = "") => `http, http: { preferred_ip_protocol: ip4${more && `, ${more}`} }`;
  const https_ = (more = "") => http_(`${tls}${more && `, ${more}`}`);
  return [
    { name: "plain", module: http_(), target: h("/ok") },
    { name: "defaults", module: "http", target: h("/ok") },
    { name: "chunked", module: http_(), target: h("/chunked") },
    { name: "head", module: http_("method: HEAD"), target: h("/ok") },
    {
      name: "ip6",
      module: "http, http: { ip_protocol_fallback: false }",
      target: h("/ok"),
      problem: /127\.0\.0\.1 has no address for ip6 .*allow ip_protocol_fallback/,
    },
    { name: "missing", module: http_(), target: h("/nothing"), problem: /the answer has the status 404, wanted 2xx/ },
    { name: "codes", module: http_("valid_status_codes: [404, 503]"), target: h("/status/503") },
    {
      name: "no_codes",
      module: http_("valid_status_codes: [404]"),
      target: h("/ok"),
      problem: /status 200, wanted 404/,
    },
    { name: "empty", module: http_(), target: h("/status/204") },
    {
      name: "versions",
      module: http_('valid_http_versions: ["HTTP/2.0"]'),
      target: h("/ok"),
      problem: /the answer is HTTP\/1\.1, wanted HTTP\/2\.0/,
    },
    { name: "redirect", module: http_(), target: h("/redirect/301?to=/chunked") },
    { name: "elsewhere", module: https_(), target: h(`/redirect/307?to=${s("/ok")}`) },
    {
      name: "no_follow",
      module: http_("follow_redirects: false"),
      target: h("/redirect/302?to=/ok"),
      problem: /is a redirect \(302\), and follow_redirects is false/,
    },
    {
      name: "no_follow_old",
      module: http_("no_follow_redirects: true, valid_status_codes: [302]"),
      target: h("/redirect/302?to=/ok"),
    },
    { name: "loop", module: http_(), target: h("/loop"), problem: /redirects have no end: the eleventh/ },
    { name: "cookie", module: http_(), target: h("/login") },
    {
      name: "bad_redirect",
      module: http_(),
      target: h("/redirect/302?to=ftp://x/"),
      problem: /redirects to "ftp:\/\/x\/", which is no HTTP URL/,
    },
    {
      name: "gone",
      module: http_(),
      target: h(`/redirect/302?to=http://127.0.0.1:${nobody}/`),
      problem: /refuses connections: nothing listens there/,
    },
    {
      name: "body",
      module: http_('fail_if_body_matches_regexp: ["(?i)error"], fail_if_body_not_matches_regexp: ["all is w[e]ll"]'),
      target: h("/ok"),
    },
    {
      name: "body_bad",
      module: http_('fail_if_body_matches_regexp: ["all is w[e]ll"]'),
      target: h("/ok"),
      problem: /the body matches "all is w\[e\]ll" of fail_if_body_matches_regexp/,
    },
    {
      name: "body_not",
      module: http_('fail_if_body_not_matches_regexp: ["trouble"]'),
      target: h("/ok"),
      problem: /the body does not match "trouble"/,
    },
    {
      name: "header",
      module: http_("fail_if_header_not_matches: [{ header: X-Colour, regexp: green }]"),
      target: h("/chunked"),
    },
    {
      name: "header_bad",
      module: http_("fail_if_header_matches: [{ header: x-colour, regexp: red }]"),
      target: h("/chunked"),
      problem: /the header x-colour matches "red"/,
    },
    {
      name: "header_missing",
      module: http_("fail_if_header_matches: [{ header: x-colour, regexp: red }]"),
      target: h("/ok"),
      problem: /the header x-colour is missing/,
    },
    {
      name: "header_allowed",
      module: http_("fail_if_header_not_matches: [{ header: x-colour, regexp: red, allow_missing: true }]"),
      target: h("/ok"),
    },
    ...["gzip", "br", "deflate"].map((name) => ({
      name,
      module: http_(`compression: ${name}`),
      target: h(`/${name}`),
    })),
    {
      name: "not_gzip",
      module: http_("compression: gzip, body_size_limit: 1KB"),
      target: h("/status/200"),
      problem: /reading the body failed \(compression: gzip\)/,
    },
    {
      name: "odd_compression",
      module: http_("compression: lzw"),
      target: h("/ok"),
      problem: /the compression lzw is not supported/,
    },
    {
      name: "limit",
      module: http_("body_size_limit: 100B"),
      target: h("/ok"),
      problem: /the body is larger than 100 bytes \(body_size_limit\)/,
    },
    {
      name: "post",
      module: http_(
        'method: POST, body: ping, headers: { X-Own: yes }, fail_if_body_not_matches_regexp: [\'"method":"POST".*"x-own":"yes","agent":"Blackbox Exporter","body":"ping"\']',
      ),
      target: h("/echo"),
    },
    {
      name: "post_307",
      module: http_(
        'method: POST, body: ping, fail_if_body_not_matches_regexp: [\'"method":"POST".*"referer":"http://127.*"body":"ping"\']',
      ),
      target: h("/redirect/307?to=/echo"),
    },
    {
      name: "post_303",
      module: http_('method: POST, body: ping, fail_if_body_not_matches_regexp: [\'"method":"GET".*"body":""\']'),
      target: h("/redirect/303?to=/echo"),
    },
    {
      name: "body_file",
      module: http_(
        `method: POST, body_file: ${file("body", "from a file")}, fail_if_body_not_matches_regexp: ['"body":"from a file"']`,
      ),
      target: h("/echo"),
      ours: "0.23 has no body_file",
    },
    {
      name: "no_body_file",
      module: http_("method: POST, body_file: /nowhere"),
      target: h("/echo"),
      problem: /cannot read body_file \/nowhere/,
      ours: "0.23 has no body_file",
    },
    {
      name: "basic",
      module: http_(
        "basic_auth: { username: u, password: top-secret }, fail_if_body_not_matches_regexp: ['Basic dTp0b3Atc2VjcmV0']",
      ),
      target: h("/echo"),
    },
    {
      name: "basic_user_file",
      module: http_(
        `basic_auth: { username_file: ${file("user", "u\n")}, password_file: ${file("password", "top-secret\n")} }, fail_if_body_not_matches_regexp: ['Basic dTp0b3Atc2VjcmV0']`,
      ),
      target: h("/echo"),
      ours: "is new",
    },
    {
      name: "bearer",
      module: http_(
        "authorization: { credentials: top-secret }, fail_if_body_not_matches_regexp: ['Bearer top-secret']",
      ),
      target: h("/redirect/302?to=/echo"),
    },
    {
      name: "no_leak",
      module: http_("authorization: { credentials: top-secret }, fail_if_body_matches_regexp: ['Bearer top-secret']"),
      target: h(`/redirect/302?to=http://localhost:${http}/echo`),
      ours: "it sent credentials to other hosts",
    },
    {
      name: "url_user",
      module: http_("fail_if_body_not_matches_regexp: ['Basic dTp0b3Atc2VjcmV0']"),
      target: `http://u:top-secret@127.0.0.1:${http}/echo`,
    },
    {
      name: "host",
      module: http_('headers: { Host: other.test }, fail_if_body_not_matches_regexp: [\'"host":"other.test"\']'),
      target: h("/echo"),
    },
    {
      name: "hostname",
      module: http_('fail_if_body_not_matches_regexp: [\'"host":"third.test"\']'),
      target: h("/echo"),
      more: { hostname: "third.test" },
    },
    { name: "proxy", module: http_(`proxy_url: "http://127.0.0.1:${proxy}"`), target: h("/ok") },
    { name: "proxy_tls", module: https_(`proxy_url: "http://127.0.0.1:${proxy}"`), target: s("/ok") },
    {
      name: "proxy_secure",
      module: https_(`proxy_url: "https://localhost:${proxyTls}"`),
      target: s("/ok"),
    },
    {
      name: "proxy_gone",
      module: http_(`proxy_url: "http://127.0.0.1:${nobody}"`),
      target: h("/ok"),
      problem: /127\.0\.0\.1:\d+ refuses connections/,
    },
    {
      name: "https_post",
      module: https_('method: POST, body: ping, fail_if_body_not_matches_regexp: [\'"method":"POST".*"body":"ping"\']'),
      target: s("/echo"),
    },
    {
      name: "http_headers",
      module: http_(
        'http_headers: { X-Own: { secrets: [top-secret] } }, fail_if_body_not_matches_regexp: [\'"x-own":"top-secret"\']',
      ),
      target: h("/redirect/302?to=/echo"),
      ours: "is new",
    },
    {
      name: "proxy_unresolved",
      module: http_(`proxy_url: "http://127.0.0.1:${proxy}", skip_resolve_phase_with_proxy: true`),
      target: `http://only-the-proxy.test:${http}/ok`,
    },
    { name: "https", module: https_(), target: s("/ok") },
    { name: "https_old", module: https_("enable_http2: false"), target: s("/ok") },
    { name: "https_head", module: https_("method: HEAD"), target: s("/ok") },
    { name: "https_address", module: https_(), target: `https://127.0.0.1:${https}/ok` },
    { name: "https_name", module: http_(`tls_config: { ca_file: ${ca}, server_name: probe.test }`), target: s("/ok") },
    { name: "insecure", module: http_("tls_config: { insecure_skip_verify: true }"), target: s("/ok", expiredPort) },
    {
      name: "untrusted",
      module: http_(),
      target: s("/ok"),
      problem: /not signed by a trusted authority \(issued by Test CA\)/,
    },
    {
      name: "expired",
      module: https_(),
      target: s("/ok", expiredPort),
      problem: /the certificate of localhost:\d+ has expired on .*: renew it/,
    },
    {
      name: "other_name",
      module: https_(),
      target: s("/ok", otherPort),
      problem: /is for other names: localhost is not among \[elsewhere\.test\]/,
    },
    {
      name: "tls_to_plain",
      module: https_(),
      target: s("/ok", http),
      problem: /does not speak TLS on this port: use http:\/\//,
    },
    {
      name: "no_ca",
      module: http_("tls_config: { ca_file: /nowhere.pem }"),
      target: s("/ok"),
      problem: /cannot read ca_file \/nowhere\.pem: it does not exist/,
    },
    { name: "ssl", module: https_("fail_if_ssl: true"), target: s("/ok"), problem: /made with TLS \(fail_if_ssl\)/ },
    { name: "no_ssl", module: http_("fail_if_not_ssl: true"), target: h("/ok"), problem: /made without TLS/ },
    {
      name: "unknown_host",
      module: http_(),
      target: "http://no-such-host.invalid/",
      problem: /the host no-such-host\.invalid is unknown/,
    },
    {
      name: "refused",
      module: http_(),
      target: `127.0.0.1:${nobody}`,
      problem: /127\.0\.0\.1:\d+ refuses connections: nothing listens there/,
    },
    {
      name: "slow",
      module: `${http_()}, timeout: 300ms`,
      target: h("/slow"),
      problem: /longer than 300ms: it was waiting for the answer of 127/,
    },
    { name: "bad_url", module: http_(), target: "http://[::1", problem: /is no URL: write it as http/ },
  ];
}
