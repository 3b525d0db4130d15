import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { Answer } from "#kits/discovery/answer";
import { defaultsOf } from "#lang/decode";
import { startComponent } from "#pipeline/testing";
import { ConsulApi } from "./consul-api.ts";
import { ConsulServer } from "./consul-server.testing.ts";
import { healthOf } from "./consul-targets.ts";
import discoveryConsul from "./discovery.consul.ts";

async function serve(t: TestContext): Promise<ConsulServer> {
  const consul = await ConsulServer.start();
  cleanUp(t, () => consul.stop());
  return consul;
}

async function start(t: TestContext, consul: ConsulServer, more = "") {
  const config = `server = "127.0.0.1:${consul.port}"\nrefresh_interval = "20ms"\n${more}`;
  const component = await startComponent(discoveryConsul, config);
  cleanUp(t, () => component.stop());
  return component;
}

type Component = Awaited<ReturnType<typeof start>>;
const ids = ({ exports }: Component) => exports.targets.map((each) => each.get("__meta_consul_service_id")).join();
const found = (component: Component, wanted: string) =>
  until(
    () => ids(component) === wanted,
    () => `${wanted}: ${ids(component)} ${component.flow.status.cause}`,
  );

const NODE =
  '__meta_consul_metadata_a_b="c", __meta_consul_metadata_consul_network_segment="", __meta_consul_metadata_consul_version="1.22.3", ' +
  '__meta_consul_metadata_env="test", __meta_consul_namespace="", __meta_consul_node="node-1", __meta_consul_partition="", ';
const ADDRESSES =
  '__meta_consul_tagged_address_lan="127.0.0.1", __meta_consul_tagged_address_lan_ipv4="127.0.0.1", ' +
  '__meta_consul_tagged_address_wan="127.0.0.1", __meta_consul_tagged_address_wan_ipv4="127.0.0.1"';

test("all services of a Consul, with the labels that Prometheus gives them", async (t) => {
  const consul = await serve(t);
  const component = await start(t, consul);
  await found(component, "web-1,odd,consul,web-2,ext,db");
  const shown = component.exports.targets.map(String);
  assert.equal(
    shown[0],
    `{__address__="10.0.0.5:8080", __meta_consul_address="127.0.0.1", __meta_consul_dc="dc1", __meta_consul_health="passing", ${NODE}` +
      '__meta_consul_service="web", __meta_consul_service_address="10.0.0.5", __meta_consul_service_id="web-1", ' +
      '__meta_consul_service_metadata_team_name="shop", __meta_consul_service_metadata_version="1.2", ' +
      `__meta_consul_service_port="8080", ${ADDRESSES}, __meta_consul_tags=",v1,prod,"}`,
  );
  assert.equal(
    shown[4],
    '{__address__="192.0.2.9:9100", __meta_consul_address="192.0.2.9", __meta_consul_dc="dc1", __meta_consul_health="warning", ' +
      '__meta_consul_metadata_external_node="true", __meta_consul_metadata_rack="r1", __meta_consul_namespace="", ' +
      '__meta_consul_node="ext-1", __meta_consul_partition="", __meta_consul_service="ext", __meta_consul_service_address="", ' +
      '__meta_consul_service_id="ext", __meta_consul_service_port="9100", __meta_consul_tagged_address_lan="192.0.2.9", ' +
      '__meta_consul_tagged_address_wan="198.51.100.9", __meta_consul_tags=",a,b,"}',
  );
  const of = (name: string) => component.exports.targets.map((each) => each.get(name));
  const addresses = [
    "10.0.0.5:8080",
    "127.0.0.1:0",
    "127.0.0.1:18300",
    "127.0.0.1:8081",
    "192.0.2.9:9100",
    "[fd00::7]:5432",
  ];
  assert.deepEqual(of("__address__"), addresses);
  assert.deepEqual(of("__meta_consul_health"), ["passing", "maintenance", "passing", "warning", "warning", "critical"]);
  assert.deepEqual(of("__meta_consul_tags"), [",v1,prod,", ",,", ",,", ",v2,", ",a,b,", ",,"]);
  assert.equal(component.flow.status.state, "ok");
  assert.ok(component.metric("prometheus_sd_consul_rpc_duration_seconds_count", { call: "service" })! >= 5);
  assert.equal(component.metric("prometheus_sd_consul_rpc_failures_total"), 0);
});

test("services by name, by tags and by metadata of their nodes; what is asked", async (t) => {
  const consul = await serve(t);
  await found(await start(t, consul, 'services = ["db", "odd/name x", "nobody"]'), "odd,db");
  assert.ok(!consul.asked.some(({ path }) => path === "/v1/catalog/services"));
  await found(await start(t, consul, 'tags = ["v1", "prod"]'), "web-1");
  await found(await start(t, consul, 'services = ["db", "web"]\ntags = ["v1", "prod"]'), "web-1");
  consul.asked.length = 0;
  const ext = await start(
    t,
    consul,
    'node_meta = { rack = "r1" }\ntag_separator = "|"\ntoken = "t0ken"\ndatacenter = "dc7"\nallow_stale = false\nbasic_auth {\n username = "me"\n password = "pass"\n}',
  );
  await found(ext, "ext");
  assert.equal(ext.exports.targets[0]!.get("__meta_consul_tags"), "|a|b|");
  assert.equal(ext.exports.targets[0]!.get("__meta_consul_dc"), "dc7");
  const [catalog, service] = consul.asked.filter(({ query }) => query.get("node-meta") === "rack:r1");
  assert.equal(catalog!.path, "/v1/catalog/services");
  assert.equal(catalog!.query.toString(), "dc=dc7&wait=120000ms&node-meta=rack%3Ar1");
  assert.equal(service!.headers["x-consul-token"], "t0ken");
  assert.equal(service!.headers.authorization, `Basic ${btoa("me:pass")}`);
});

test("what waits is told of changes: instances, services that come and go", async (t) => {
  const consul = await serve(t);
  consul.change("/v1/catalog/services", { web: ["v1"], db: [] });
  const component = await start(t, consul);
  await found(component, "web-1,web-2,db");
  const waits = () =>
    consul.asked.filter(({ path, query }) => path.endsWith("/db") && query.get("index") === "19").length;
  await until(() => waits() === 1, "asked with the index");
  const web = consul.answers.get("/v1/health/service/web")!.body as unknown[];
  consul.change("/v1/health/service/web", web.slice(1));
  await found(component, "web-2,db");
  consul.change("/v1/catalog/services", { db: [], ext: [] });
  await found(component, "ext,db");
  assert.equal(waits(), 1); // and waits still
  consul.change("/v1/catalog/services", {});
  await until(() => component.flow.status.rule === "nothing_found", "no services");
  assert.deepEqual(component.exports.targets, []);
});

test("an outage keeps the last targets; afterwards changes are seen, even if Consul counts anew", async (t) => {
  const consul = await serve(t);
  const component = await start(t, consul, 'services = ["web", "db"]');
  await found(component, "web-1,web-2,db");
  const { port } = consul;
  await consul.stop();
  await until(() => component.flow.status.state === "degraded", "the outage");
  assert.match(
    component.flow.status.cause,
    /^the 2 targets of web are as of .* ago: .*(refuses connections|closed the connection)/,
  );
  await until(() => component.metric("prometheus_sd_consul_rpc_failures_total")! >= 2, "failures");
  assert.equal(ids(component), "web-1,web-2,db");
  for (const [path, { body }] of consul.answers) consul.answers.set(path, { index: 2, body });
  await consul.listen(port);
  await until(() => component.flow.status.state === "ok", "back again");
  consul.change("/v1/health/service/db", []);
  await found(component, "web-1,web-2");
});

test("answers that cannot be used, each with what to do", async (t) => {
  const consul = await serve(t);
  const component = await start(t, consul, 'services = ["web"]');
  await found(component, "web-1,web-2");
  const says = (message: RegExp) =>
    until(
      () => message.test(component.flow.status.cause),
      () => `${message}: ${component.flow.status.cause}`,
    );
  consul.failure = [500, "No cluster leader"];
  consul.change("/v1/health/service/web", []);
  await says(/answers 500 \(No cluster leader\): the server fails; look at its log/);
  consul.failure = [403, "Permission denied: token with AccessorID '1' lacks permission 'service:read'"];
  await says(/answers 403 \(Permission denied.*\): check the credentials and what they allow/);
  consul.failure = [200, "<html>"];
  await says(/does not answer as expected: it is no JSON; check the address/);
  consul.failure = [200, "[]"];
  await says(/does not answer as Consul does: check `server`/);
  consul.failure = undefined;
  consul.change("/v1/health/service/web", [{ Node: { Address: 5 } }]);
  await says(/does not answer as expected: \[0\]\.Node\.Address must be a text/);
  assert.equal(ids(component), "web-1,web-2");
});

test("changed arguments count at once; a Consul that is not there is told of", async (t) => {
  const consul = await serve(t);
  const component = await startComponent(discoveryConsul, 'server = "127.0.0.1:1"');
  cleanUp(t, () => component.stop());
  await until(() => component.flow.status.state === "failing", "nobody there");
  assert.match(
    component.flow.status.cause,
    /^no targets of the list of services yet: 127\.0\.0\.1:1 refuses connections/,
  );
  await component.update(`server = "http://127.0.0.1:${consul.port}/"\nservices = ["db"]\nrefresh_interval = "20ms"`);
  await found(component, "db");
  assert.equal(component.flow.status.state, "ok");
  await component.update(`server = "127.0.0.1:${consul.port}"\nservices = ["ext"]\nusername = "a"\npassword = "b"`);
  await found(component, "ext");
  assert.equal(consul.asked.at(-1)!.headers.authorization, `Basic ${btoa("a:b")}`);
  for (const [config, message] of [
    ['server = ""', /is no address of Consul/],
    ['server = "ftp://a"', /is no address of Consul/],
    ['server = "unix://a"', /is no address of Consul/],
    ['scheme = "ftp"', /cannot be "ftp"/],
    ['refresh_interval = "0s"', /must be greater than 0/],
    ['username = "a"\nbasic_auth {\n username = "b"\n password = "c"\n}', /and `basic_auth` exclude each other/],
  ] as const) {
    await assert.rejects(startComponent(discoveryConsul, config), message);
  }
});

test("token, namespace and partition of the environment, as for Consul's own programs", async (t) => {
  const consul = await serve(t);
  const args = { ...defaultsOf(discoveryConsul.args), server: `127.0.0.1:${consul.port}` };
  const environment = { CONSUL_HTTP_TOKEN: "e", CONSUL_NAMESPACE: "n", CONSUL_PARTITION: "p" };
  const api = new ConsulApi(args, "0", environment);
  cleanUp(t, () => api.close());
  assert.equal(await api.datacenter(new AbortController().signal), "dc1");
  const { query, headers } = consul.asked[0]!;
  assert.deepEqual([query.toString(), headers["x-consul-token"]], ["ns=n&partition=p", "e"]);
  assert.throws(() => new ConsulApi(args, "0", { CONSUL_HTTP_TOKEN_FILE: "/nonexistent/t" }), /CONSUL_HTTP_TOKEN_FILE/);
});

test("the health of an instance is the worst of its checks, and maintenance before all", () => {
  const of = (...checks: readonly (readonly [id: string, status: string])[]) =>
    healthOf(checks.map(([CheckID, Status]) => new Answer({ CheckID, Status })));
  assert.equal(of(), "passing");
  assert.equal(of(["a", "passing"], ["b", "warning"]), "warning");
  assert.equal(of(["a", "critical"], ["b", "warning"]), "critical");
  assert.equal(of(["_node_maintenance", "critical"]), "maintenance");
  assert.equal(of(["_service_maintenance:x", "critical"], ["a", "critical"]), "maintenance");
  assert.equal(of(["_service_maintenance:x", "critical"], ["a", "new"]), "");
});
