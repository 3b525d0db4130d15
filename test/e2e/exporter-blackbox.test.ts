import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { compareProbes, type ProbeCase, prepareFiles } from "../kit/probe-peer.ts";
import * as servers from "../kit/probe-servers.ts";
import { freePort } from "../kit/process.ts";

/** `prometheus.exporter.blackbox` against real servers, beside Debian's prometheus-blackbox-exporter. */

test("each tcp, dns, icmp and grpc probe gives what Debian's blackbox_exporter gives, and says why it failed", async (t) => {
  await compareProbes(t, await prepare(t));
});

test("targets are scraped, with the time that the scrape has, and an outage shows", async (t) => {
  const silent = await servers.startSilentServer(t);
  const port = await freePort();
  const agent = await startAgent(
    t,
    `prometheus.exporter.blackbox "all" {
      config = "{ modules: { tcp: { prober: tcp, tcp: { query_response: [{ expect: ^x }] } }, open: { prober: tcp } } }"

      target {
        name    = "quiet"
        address = "127.0.0.1:${silent}"
        module  = "tcp"
        labels  = { env = "test" }
      }
      target {
        name    = "database"
        address = "127.0.0.1:${port}"
        module  = "open"
      }
    }
    prometheus.scrape "all" {
      targets         = prometheus.exporter.blackbox.all.targets
      forward_to      = [prometheus.echo.all.receiver]
      scrape_interval = "1s"
      scrape_timeout  = "900ms"
    }
    prometheus.echo "all" { }`,
  );
  const cause = async () => (await agent.component("prometheus.exporter.blackbox.all")).flow.cause;
  for (const wanted of [
    /2 of 2 targets/,
    /quiet \(127\.0\.0\.1:\d+\) with tcp: it took longer than 400ms: it was at step 1/,
    /database \(127\.0\.0\.1:\d+\) with open: 127\.0\.0\.1:\d+ refuses connections/,
  ]) {
    await agent.until(async () => wanted.test(await cause()), `both fail: ${wanted}`);
  }
  await agent.untilRule("prometheus.scrape.all", "", "ok");
  const server = createServer((socket) => socket.on("error", () => {})).listen(port, "127.0.0.1");
  cleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  await agent.until(async () => /1 of 2 targets fail: quiet/.test(await cause()), "one works");
});

async function prepare(t: TestContext): Promise<readonly ProbeCase[]> {
  const { good, tls } = prepareFiles(t);
  const [http, https, mail, banner, silent, health, secureHealth] = await Promise.all([
    servers.startHttpServer(t),
    servers.startHttpsServer(t, good),
    servers.startMailServer(t, good),
    servers.startTlsBanner(t, good),
    servers.startSilentServer(t),
    servers.startHealthServer(t),
    servers.startHealthServer(t, good),
  ]);
  const dns = await servers.startDnsServer(t, [
    ...["host-record=a.test,10.0.0.1", "host-record=a.test,10.0.0.2", "host-record=six.test,fd00::1"],
    ...["cname=alias.test,a.test", "srv-host=_m._tcp.test,a.test,9100,1,2", "mx-host=x.test,mail.test,10"],
    ...['txt-record=t.test,hello,say \\"hi\\"', "caa-record=x.test,0,issue,ca.test"],
    ...["naptr-record=n.test,1,2,u,sip,!^.*$!sip:x@test!", `dns-rr=zone.test,6,${SOA}`],
  ]);
  const dnsTls = await servers.startTlsFront(t, good, dns);
  const nobody = await freePort();
  const ip4 = "preferred_ip_protocol: ip4";
  const dns_ = (name: string, type: string, more = "") =>
    `dns, dns: { ${ip4}, query_name: "${name}", query_type: ${type}${more && `, ${more}`} }`;
  const server = `127.0.0.1:${dns}`;
  return [
    { name: "tcp", module: `tcp, tcp: { ${ip4} }`, target: `127.0.0.1:${http}` },
    {
      name: "tcp_refused",
      module: `tcp, tcp: { ${ip4} }`,
      target: `127.0.0.1:${nobody}`,
      problem: /refuses connections/,
    },
    { name: "tcp_source", module: `tcp, tcp: { ${ip4}, source_ip_address: 127.0.0.3 }`, target: `127.0.0.1:${http}` },
    {
      name: "tcp_no_source",
      module: `tcp, tcp: { ${ip4}, source_ip_address: here }`,
      target: `127.0.0.1:${http}`,
      problem: /source_ip_address "here" is no IP address/,
    },
    {
      name: "tcp_no_port",
      module: "tcp",
      target: "127.0.0.1",
      problem: /is no address for TCP: write it as host:port/,
    },
    {
      name: "smtp",
      module: `tcp, tcp: { ${ip4}, query_response: [{ expect: "^220 ([^ ]+)" }, { send: "EHLO probe" }, { expect: "^250-(.*) greets (.*)", send: "QUIT" }, { expect: "^221" }] }`,
      target: `127.0.0.1:${mail}`,
    },
    {
      name: "smtp_expand",
      module: `tcp, tcp: { ${ip4}, query_response: [{ expect: "^220 ([^ ]+)", send: "EHLO $1" }, { expect: "greets mail.test$" }] }`,
      target: `127.0.0.1:${mail}`,
    },
    {
      name: "smtp_bad",
      module: `tcp, tcp: { ${ip4}, query_response: [{ expect: "^220" }, { send: QUIT }, { expect: "^SSH" }] }`,
      target: `127.0.0.1:${mail}`,
      problem: /before a line matched "\^SSH" of step 3: the last line was "221 bye"/,
    },
    {
      name: "starttls",
      module: `tcp, tcp: { ${ip4}, ${tls}, query_response: [{ expect: "^220" }, { send: STARTTLS }, { expect: "^220" }, { starttls: true }, { send: "EHLO safe" }, { expect: "greets safe" }] }`,
      target: `localhost:${mail}`,
    },
    {
      name: "tcp_tls",
      module: `tcp, tcp: { ${ip4}, tls: true, ${tls}, query_response: [{ expect: "^SSH-2.0-" }] }`,
      target: `localhost:${banner}`,
    },
    {
      name: "tcp_untrusted",
      module: `tcp, tcp: { ${ip4}, tls: true }`,
      target: `localhost:${banner}`,
      problem: /not signed by a trusted authority/,
    },
    {
      name: "silent",
      module: `tcp, timeout: 300ms, tcp: { ${ip4}, query_response: [{ expect: "^SSH" }] }`,
      target: `127.0.0.1:${silent}`,
      problem: /longer than 300ms: it was at step 1 of query_response/,
    },
    {
      name: "labels",
      module: `tcp, tcp: { ${ip4}, query_response: [{ expect: "^220 (?P<host>[^ ]+)", labels: [{ name: host, value: "\${host}" }] }] }`,
      target: `127.0.0.1:${mail}`,
      ours: "is new",
    },

    { name: "dns", module: dns_("a.test", "A"), target: server },
    { name: "dns_tcp", module: dns_("a.test", "A", "transport_protocol: tcp"), target: server },
    {
      name: "dns_tls",
      module: dns_("a.test", "A", `transport_protocol: tcp, dns_over_tls: true, ${tls}`),
      target: `localhost:${dnsTls}`,
    },
    {
      name: "dns_tls_udp",
      module: dns_("a.test", "A", "dns_over_tls: true"),
      target: server,
      problem: /dns_over_tls needs transport_protocol: tcp/,
    },
    {
      name: "dns_nothing",
      module: dns_("none.test", "A"),
      target: server,
      problem: /the server answers NXDOMAIN, wanted NOERROR/,
    },
    { name: "dns_refused", module: dns_("example.com", "A", "valid_rcodes: [REFUSED]"), target: server },
    { name: "dns_soa", module: dns_("zone.test", "SOA"), target: server },
    {
      name: "dns_silent",
      module: `${dns_("a.test", "A", "transport_protocol: tcp")}, timeout: 300ms`,
      target: `127.0.0.1:${silent}`,
      problem: /longer than 300ms: it was waiting for the answer/,
    },
    {
      name: "dns_nobody",
      module: dns_("a.test", "A"),
      target: `127.0.0.1:${nobody}`,
      problem: /nothing listens there/,
    },
    {
      name: "dns_no_answers",
      module: dns_("a.test", "MX", "validate_answer_rrs: { fail_if_not_matches_regexp: [x] }"),
      target: server,
      problem: /validate_answer_rrs: fail_if_not_matches_regexp is set, and there are no records/,
    },
    {
      name: "dns_bad",
      module: dns_("a.test", "A", 'validate_answer_rrs: { fail_if_matches_regexp: ["10.0.0.2$"] }'),
      target: server,
      problem: /"a\.test\.\\t0\\tIN\\tA\\t10\.0\.0\.2" matches 10\.0\.0\.2\$/,
    },
    {
      name: "dns_none",
      module: dns_("a.test", "A", 'validate_answer_rrs: { fail_if_none_matches_regexp: ["192"] }'),
      target: server,
      problem: /no record matches anything/,
    },
    {
      name: "dns_all",
      module: dns_("a.test", "A", 'validate_answer_rrs: { fail_if_all_match_regexp: ["10.0.0.2$"] }'),
      target: server,
      problem: /not all records match/,
    },
    // Each record is written as miekg/dns does.
    ...[
      ["aaaa", "six.test", "AAAA", "^six\\\\.test\\\\.\\t0\\tIN\\tAAAA\\tfd00::1$"],
      ["cname", "alias.test", "CNAME", "^alias\\\\.test\\\\.\\t0\\tIN\\tCNAME\\ta\\\\.test\\\\.$"],
      ["srv", "_m._tcp.test", "SRV", "\\tSRV\\t1 2 9100 a\\\\.test\\\\.$"],
      ["mx", "x.test", "MX", "\\tMX\\t10 mail\\\\.test\\\\.$"],
      ["txt", "t.test", "TXT", '\\tTXT\\t\\"hello\\" '],
      ["caa", "x.test", "CAA", '\\tCAA\\t0 issue \\"ca.test\\"$'],
      ["naptr", "n.test", "NAPTR", '\\tNAPTR\\t1 2 \\"u\\" \\"sip\\" \\"!\\\\^\\\\.\\\\*\\\\$!sip:x@test!\\" \\\\.$'],
    ].map(([name, query, type, regex]) => ({
      name: `dns_${name}`,
      module: dns_(query!, type!, `validate_answer_rrs: { fail_if_not_matches_regexp: ["${regex}"] }`),
      target: server,
    })),

    { name: "ping", module: `icmp, icmp: { ${ip4} }`, target: "127.0.0.1" },
    { name: "ping_6", module: "icmp", target: "::1" },
    {
      name: "ping_large",
      module: `icmp, icmp: { ${ip4}, payload_size: 3000, ttl: 7, source_ip_address: 127.0.0.2 }`,
      target: "localhost",
    },
    { name: "ping_whole", module: `icmp, icmp: { ${ip4}, dont_fragment: true }`, target: "127.0.0.1" },
    { name: "ping_unknown", module: "icmp", target: "no-such-host.invalid", problem: /is unknown/ },
    {
      name: "ping_silent",
      module: `icmp, timeout: 300ms, icmp: { ${ip4} }`,
      target: "239.1.2.3",
      problem: /longer than 300ms: it was waiting for the reply|no network route/,
    },

    { name: "grpc", module: `grpc, grpc: { ${ip4} }`, target: `127.0.0.1:${health}` },
    { name: "grpc_service", module: `grpc, grpc: { ${ip4}, service: good }`, target: `127.0.0.1:${health}` },
    {
      name: "grpc_sick",
      module: `grpc, grpc: { ${ip4}, service: sick }`,
      target: `127.0.0.1:${health}`,
      problem: /the server says that it is NOT_SERVING/,
    },
    {
      name: "grpc_unknown",
      module: `grpc, grpc: { ${ip4}, service: what }`,
      target: `127.0.0.1:${health}`,
      problem: /does not know the service "what"/,
    },
    { name: "grpc_tls", module: `grpc, grpc: { ${ip4}, tls: true, ${tls} }`, target: `localhost:${secureHealth}` },
    {
      name: "grpc_untrusted",
      module: `grpc, grpc: { ${ip4}, tls: true }`,
      target: `localhost:${secureHealth}`,
      problem: /not signed by a trusted authority/,
    },
    {
      name: "grpc_nobody",
      module: `grpc, grpc: { ${ip4} }`,
      target: `127.0.0.1:${nobody}`,
      problem: /nothing listens there/,
    },
    {
      name: "grpc_http",
      module: `grpc, grpc: { ${ip4}, tls: true, ${tls} }`,
      target: `localhost:${https}`,
      problem: /has no health service/,
    },
    {
      name: "grpc_slow",
      module: `grpc, timeout: 2s, grpc: { ${ip4}, service: slow }`,
      target: `127.0.0.1:${health}`,
      problem: /longer than 2s/,
      ours: "it waited without an end",
    },
  ];
}

/** `ns.test. hostmaster.zone.test. 42 3600 600 86400 60` */
const SOA = "026e730474657374000a686f73746d6173746572047a6f6e650474657374000000002a00000e1000000258000151800000003c";
