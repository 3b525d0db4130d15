import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { FakeDocker } from "#kits/docker-engine.testing";
import { startComponent } from "#pipeline/testing";
import component from "./discovery.docker.ts";

async function setUp(t: TestContext, overSocket = true) {
  const root = await mkdtemp(join(tmpdir(), "discovery-docker-"));
  const docker = await FakeDocker.start(overSocket ? join(root, "docker.sock") : undefined);
  cleanUp(t, async () => {
    await docker.stop();
    await rm(root, { recursive: true, force: true });
  });
  return docker;
}

async function discover(t: TestContext, docker: FakeDocker, more = "") {
  const source = await startComponent(component, `host = "${docker.host}"\nrefresh_interval = "50ms"\n${more}`);
  cleanUp(t, () => source.stop());
  await eventually(
    () => source.exported.length > 1,
    () => source.flow.status.cause,
  );
  return source;
}

async function eventually(check: () => boolean, what: () => unknown = () => ""): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`it did not come about: ${String(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const shown = (source: Awaited<ReturnType<typeof discover>>) => source.exports.targets.map((each) => each.toString());

test("a target for each TCP port, with the container's and the network's labels", async (t) => {
  const docker = await setUp(t);
  docker.networks[0] = { ...docker.networks[0]!, Labels: { "net.label": "n" } };
  const web = docker.add("c1", "web");
  web.labels = { "com.example/app-name": "shop" };
  web.ports = [
    { PrivatePort: 80, PublicPort: 8080, IP: "0.0.0.0", Type: "tcp" },
    { PrivatePort: 443, Type: "tcp" },
    { PrivatePort: 53, Type: "udp" },
  ];
  const common =
    '__meta_docker_container_id="c1", __meta_docker_container_label_com_example_app_name="shop", ' +
    '__meta_docker_container_name="/web", __meta_docker_container_network_mode="bridge", __meta_docker_network_id="net1", ' +
    '__meta_docker_network_ingress="false", __meta_docker_network_internal="false", __meta_docker_network_ip="172.17.0.2", ' +
    '__meta_docker_network_label_net_label="n", __meta_docker_network_name="bridge", __meta_docker_network_scope="local", ';
  assert.deepEqual(shown(await discover(t, docker)), [
    `{__address__="172.17.0.2:443", ${common}__meta_docker_port_private="443"}`,
    `{__address__="172.17.0.2:80", ${common}__meta_docker_port_private="80", __meta_docker_port_public="8080", __meta_docker_port_public_ip="0.0.0.0"}`,
  ]);
});

test("addresses without ports, in the host's network, in another container's, in several, over IPv6", async (t) => {
  const docker = await setUp(t, false);
  docker.add("plain", "plain");
  const host = docker.add("host", "host");
  host.networkMode = "host";
  host.networks = { host: { NetworkID: "net2", IPAddress: "", GlobalIPv6Address: "" } };
  const sidecar = docker.add("sidecar", "sidecar");
  sidecar.networkMode = "container:plain";
  sidecar.networks = {};
  const several = docker.add("several", "several");
  several.networks = {
    z: { NetworkID: "z", IPAddress: "10.0.0.9", GlobalIPv6Address: "" },
    b: { NetworkID: "b", IPAddress: "", GlobalIPv6Address: "fd00::2" },
    a: null,
  };
  const addresses = async (more: string) =>
    (await discover(t, docker, more)).exports.targets
      .map((each) => `${each.get("__meta_docker_container_id")} ${each.get("__address__")}`)
      .sort();
  assert.deepEqual(await addresses('port = 9100\nhost_networking_host = "me"'), [
    "host me",
    "plain 172.17.0.2:9100",
    "several [fd00::2]:9100",
    "sidecar 172.17.0.2:9100",
  ]);
  assert.deepEqual(await addresses("match_first_network = false"), [
    "host localhost",
    "plain 172.17.0.2:80",
    "several 10.0.0.9:80",
    "several [fd00::2]:80",
    "sidecar 172.17.0.2:80",
  ]);
});

test("filters are Docker's; containers that come and go change the targets, an outage does not", async (t) => {
  const docker = await setUp(t);
  docker.add("c1", "one").labels = { scrape: "yes" };
  docker.add("c2", "two");
  const source = await discover(t, docker, 'filter {\n  name   = "label"\n  values = ["scrape"]\n}');
  const ids = () => source.exports.targets.map((each) => each.get("__meta_docker_container_id"));
  assert.deepEqual(ids(), ["c1"]);
  assert.ok(docker.asked.includes(`/containers/json?filters=${encodeURIComponent('{"label":{"scrape":true}}')}`));
  docker.broken = true;
  await eventually(() => source.flow.status.cause.includes("500"));
  assert.match(source.flow.status.cause, /the 1 targets are as of .*: Docker answers 500: the daemon is broken/);
  docker.containers.get("c2")!.labels = { scrape: "yes" };
  docker.broken = false;
  await eventually(() => ids().length === 2);
  docker.containers.get("c1")!.stop();
  await eventually(() => ids().length === 1);
  assert.deepEqual(ids(), ["c2"]);
});

test("a web server that is not Docker's is told from one that is", async (t) => {
  const server = createServer((_, response) => void response.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const source = await startComponent(component, `host = "${address}"`);
  cleanUp(t, () => source.stop());
  await eventually(() => source.flow.status.rule === "refresh_failed");
  const cause = `no targets yet: ${address} does not answer as Docker does: is it its address?`;
  assert.equal(source.flow.status.cause, cause);
});

test("a socket that is not there is said with what to do; other addresses are refused", async (t) => {
  const source = await startComponent(component, 'host = "unix:///nonexistent/docker.sock"');
  cleanUp(t, () => source.stop());
  await eventually(() => source.flow.status.rule === "refresh_failed");
  assert.match(
    source.flow.status.cause,
    /there is no socket \/nonexistent\/docker\.sock: does Docker run here\? In a container mount/,
  );
  assert.equal(source.flow.status.state, "failing");
  await assert.rejects(startComponent(component, 'host = "docker.sock"'), /no address of a Docker daemon/);
});
