import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { startComponent } from "#pipeline/testing";
import { discoveryDns } from "./discovery.dns.ts";
import { lookUp } from "./resolver.ts";

/** A DNS server of Debian on a free port of 127.0.0.1, with these records. Names outside of `test` it refuses. */
class DnsServer {
  readonly folder = mkdtempSync(join(tmpdir(), "discovery-dns-"));
  readonly resolvConf = join(this.folder, "resolv.conf");
  #process: ChildProcess | undefined;
  port = 0;

  static async start(t: TestContext, records: readonly string[]): Promise<DnsServer> {
    const server = new DnsServer();
    cleanUp(t, async () => {
      await server.stop();
      rmSync(server.folder, { recursive: true });
    });
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    server.port = (socket.address() as AddressInfo).port;
    socket.close();
    await server.serve(records);
    return server;
  }

  async serve(records: readonly string[]): Promise<void> {
    await this.stop();
    const options = ["keep-in-foreground", "conf-file=/dev/null", "no-resolv", "no-hosts", "user=", "pid-file="];
    options.push(`port=${this.port}`, "listen-address=127.0.0.1", "bind-interfaces", "local=/test/", ...records);
    const child = spawn(
      "/usr/sbin/dnsmasq",
      options.map((each) => `--${each}`),
      { stdio: "ignore" },
    );
    this.#process = child;
    const signal = new AbortController().signal;
    const config = { servers: [`127.0.0.1:${this.port}`], search: [], dots: 1 };
    let isUp = false;
    const ask = () =>
      lookUp("up.test", "A", config, signal).then(
        () => void (isUp = true),
        () => setTimeout(ask, 10),
      );
    void ask();
    await until(() => isUp || child.exitCode !== null, "dnsmasq answers");
    assert.equal(child.exitCode, null);
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill();
    await once(child, "exit");
  }
}

const LOOPBACK = "nameserver 127.0.0.1\n";

async function start(t: TestContext, server: DnsServer, config: string, resolvConf = LOOPBACK) {
  writeFileSync(server.resolvConf, resolvConf);
  const definition = discoveryDns(server.resolvConf, server.port);
  const component = await startComponent(definition, `refresh_interval = "50ms"\n${config}`);
  cleanUp(t, () => component.stop());
  return component;
}

const shown = (component: Awaited<ReturnType<typeof start>>) =>
  component.exports.targets.map((each) => {
    const labels = new Map(each);
    const record = [...labels].filter(([name, value]) => name.includes("record") && value !== "");
    return [labels.get("__address__"), labels.get("__meta_dns_name"), ...record.map((pair) => pair.join("="))].join(
      " ",
    );
  });

const RECORDS = [
  "host-record=a.x.test,10.0.0.1",
  "host-record=a.x.test,10.0.0.2",
  "host-record=six.x.test,fd00::1",
  "cname=alias.x.test,a.x.test",
  "srv-host=_m._tcp.x.test,a.x.test,9100",
  "srv-host=_m._tcp.x.test,b.x.test,9200",
  "mx-host=x.test,mail.x.test,10",
  // NS is a number for dnsmasq, and its value the name as DNS writes it
  "dns-rr=x.test,2,036e73310178047465737400",
];

test("all types of records, with Prometheus's labels", async (t) => {
  const server = await DnsServer.start(t, RECORDS);
  for (const [config, expected] of [
    [
      'names = ["_m._tcp.x.test"]',
      [
        "a.x.test:9100 _m._tcp.x.test __meta_dns_srv_record_port=9100 __meta_dns_srv_record_target=a.x.test.",
        "b.x.test:9200 _m._tcp.x.test __meta_dns_srv_record_port=9200 __meta_dns_srv_record_target=b.x.test.",
      ],
    ],
    [
      'names = ["a.x.test", "alias.x.test."]\ntype = "a"\nport = 80',
      ["10.0.0.1:80 a.x.test", "10.0.0.1:80 alias.x.test.", "10.0.0.2:80 a.x.test", "10.0.0.2:80 alias.x.test."],
    ],
    ['names = ["six.x.test"]\ntype = "AAAA"\nport = 80', ["[fd00::1]:80 six.x.test"]],
    ['names = ["x.test"]\ntype = "MX"\nport = 25', ["mail.x.test:25 x.test __meta_dns_mx_record_target=mail.x.test."]],
    ['names = ["x.test"]\ntype = "NS"\nport = 53', ["ns1.x.test:53 x.test __meta_dns_ns_record_target=ns1.x.test."]],
  ] as const) {
    const component = await start(t, server, config);
    await until(
      () => component.exported.length > 1,
      () => component.flow.status.cause,
    );
    assert.deepEqual(shown(component), expected);
  }
  const component = await start(t, server, 'names = ["a.x.test"]\ntype = "A"\nport = 1');
  await until(() => component.exports.targets.length > 0, "targets");
  assert.equal(
    String(component.exports.targets[0]),
    '{__address__="10.0.0.1:1", __meta_dns_mx_record_target="", __meta_dns_name="a.x.test", __meta_dns_ns_record_target="", __meta_dns_srv_record_port="", __meta_dns_srv_record_target=""}',
  );
});

test("search domains, names without records and names that do not exist", async (t) => {
  const server = await DnsServer.start(t, [...RECORDS, "host-record=web.b.test,10.0.0.9", "txt-record=web.a.test,x"]);
  const names = async (name: string, resolvConf: string) => {
    const component = await start(t, server, `names = ["${name}"]\ntype = "A"\nport = 80`, resolvConf);
    await until(
      () => component.metric("prometheus_sd_refresh_duration_seconds_count")! > 0,
      () => component.flow.status.cause,
    );
    return { shown: shown(component), status: component.flow.status };
  };
  assert.deepEqual((await names("web", `${LOOPBACK}search none.test b.test`)).shown, ["10.0.0.9:80 web"]);
  // A server that has the name, but no address for it, has the last word.
  const without = await names("web", `${LOOPBACK}search a.test b.test`);
  assert.deepEqual(without.shown, []);
  assert.equal(without.status.rule, "nothing_found");
  const nobody = await names("nobody.x.test", LOOPBACK);
  assert.equal(nobody.status.rule, "nothing_found");
  assert.equal(nobody.status.cause, "the last look found no targets: there are none of nobody.x.test");
  // Names outside of `test` are refused, so that nobody knows whether they exist; one that is found all the same counts.
  const refused = await names("web", `${LOOPBACK}search example.com none.test`);
  assert.match(
    refused.status.cause,
    /no targets of web yet: no DNS server can resolve web\.example\.com\.: 127\.0\.0\.1:\d+ answers REFUSED/,
  );
  assert.deepEqual((await names("web", `${LOOPBACK}search example.com b.test`)).shown, ["10.0.0.9:80 web"]);
});

test("an outage keeps the last targets, name by name; another server is asked; changed arguments count at once", async (t) => {
  const server = await DnsServer.start(t, RECORDS);
  const both = 'names = ["a.x.test", "alias.x.test"]\ntype = "A"\nport = 80';
  const component = await start(t, server, both);
  await until(() => component.exports.targets.length === 4, "targets");
  await server.stop();
  await until(() => component.flow.status.state === "degraded", "the outage");
  assert.match(
    component.flow.status.cause,
    /^the 2 targets of a(lias)?\.x\.test are as of .* ago: .* nothing listens there \(and 1 more\)$/,
  );
  assert.equal(component.exported.length, 2);
  assert.ok(component.metric("prometheus_sd_dns_lookup_failures_total")! >= 2);
  await server.serve(RECORDS.slice(1));
  await until(() => component.exports.targets.length === 2, "fewer records");
  assert.equal(component.flow.status.state, "ok");
  // 127.0.0.2 has no server on this port.
  writeFileSync(server.resolvConf, `nameserver 127.0.0.2\n${LOOPBACK}`);
  await component.update('names = ["six.x.test"]\ntype = "AAAA"\nport = 80');
  await until(() => shown(component).join() === "[fd00::1]:80 six.x.test", "the other arguments");
  writeFileSync(server.resolvConf, "");
  await component.update('names = ["six.x.test"]\ntype = "AAAA"\nport = 81');
  await until(() => /names no DNS server/.test(component.flow.status.cause), "no server");
  assert.equal(component.exports.targets.length, 1);
});

test("arguments that cannot be right", async () => {
  const definition = discoveryDns("/etc/resolv.conf", 53);
  for (const [config, message] of [
    ["names = []", /must have at least one name/],
    ['names = ["a"]\ntype = "A"', /is required unless `type` is "SRV"/],
    ['names = ["a"]\ntype = "TXT"\nport = 1', /cannot be "TXT"/],
    ['names = ["a"]\nport = 65536', /must be between 1 and 65535/],
    ['names = ["a"]\nrefresh_interval = "0s"', /must be greater than 0/],
  ] as const) {
    await assert.rejects(startComponent(definition, config), message);
  }
});
