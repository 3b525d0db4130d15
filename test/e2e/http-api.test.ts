import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { ProtoReader } from "#formats/protobuf";
import { startAgent, type TestAgent } from "../kit/agent.ts";
import { WAIT_MS } from "../kit/process.ts";
import { readZip } from "../kit/zip.ts";

const CONFIG = `livedebugging {
  enabled = true
}

prometheus.exporter.self "me" {}

discovery.relabel "targets" {
  targets = prometheus.exporter.self.me.targets

  rule {
    target_label = "team"
    replacement  = "a"
  }
}

prometheus.scrape "s" {
  targets         = discovery.relabel.targets.output
  forward_to      = [prometheus.relabel.r.receiver]
  scrape_interval = "200ms"
  scrape_timeout  = "200ms"
}

prometheus.relabel "r" {
  forward_to = []
}

declare "counted" {
  prometheus.relabel "inner" {
    forward_to = []
  }

  export "receiver" {
    value = prometheus.relabel.inner.receiver
  }
}

counted "c" {}
`;

interface ComponentJson {
  readonly name: string;
  readonly localID: string;
  readonly moduleID: string;
  readonly referencesTo: string[];
  readonly referencedBy: string[];
  readonly dataFlowEdgesTo: string[];
  readonly health: { readonly state: string; readonly message: string; readonly updatedTime: string };
  readonly arguments?: { name: string; type: string }[];
  readonly exports?: { name: string; type: string }[];
  readonly debugInfo?: unknown[];
  readonly createdModuleIDs?: string[];
  readonly liveDebuggingEnabled: boolean;
}

test("the API answers as Alloy's does", async (t) => {
  const agent = await startAgent(t, CONFIG);
  const status = async (path: string, init?: RequestInit) => (await agent.api(path, init)).status;
  const text = async (path: string) => (await agent.api(path)).text();

  await t.test("readiness and health", async () => {
    assert.equal(await text("/-/ready"), "Alloy is ready.\n");
    assert.equal(await text("/-/healthy"), "All Alloy components are healthy.\n");
    for (const method of ["HEAD", "POST"]) assert.equal(await status("/-/ready", { method }), 200, "any method");
  });

  await t.test("metrics as text and as OpenMetrics", async () => {
    const plain = await agent.api("/metrics");
    assert.match(plain.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    assert.match(await plain.text(), /^# HELP alloy_build_info .*\n# TYPE alloy_build_info gauge\nalloy_build_info\{/m);
    const open = await agent.api("/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
    assert.match(open.headers.get("content-type")!, /^application\/openmetrics-text; version=1\.0\.0/);
    assert.match(await open.text(), /# EOF\n$/);
  });

  await t.test("the list of components: shapes and edges", async () => {
    const response = await agent.api("/api/v0/web/components");
    assert.equal(response.headers.get("content-type"), "application/json");
    const components = (await response.json()) as ComponentJson[];
    const byId = new Map(components.map((each) => [each.localID, each]));
    const scrape = byId.get("prometheus.scrape.s")!;
    assert.deepEqual(
      { ...scrape, health: undefined, flow: undefined, original: undefined },
      {
        name: "prometheus.scrape",
        type: "block",
        localID: "prometheus.scrape.s",
        moduleID: "",
        label: "s",
        referencesTo: ["discovery.relabel.targets", "prometheus.relabel.r"],
        referencedBy: [],
        dataFlowEdgesTo: ["prometheus.relabel.r"],
        liveDebuggingEnabled: true,
        health: undefined,
        flow: undefined,
        original: undefined,
      },
    );
    assert.match(scrape.health.updatedTime, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.ok(["healthy", "unknown"].includes(scrape.health.state));
    assert.deepEqual(byId.get("discovery.relabel.targets")!.dataFlowEdgesTo, ["prometheus.scrape.s"]);
    assert.deepEqual(byId.get("discovery.relabel.targets")!.referencedBy, ["prometheus.scrape.s"]);
    assert.deepEqual(byId.get("counted.c")!.createdModuleIDs, ["counted.c"]);
    assert.deepEqual(
      components.map((each) => each.moduleID),
      components.map(() => ""),
      "only the root module's",
    );
  });

  await t.test("one component in full", async () => {
    const found = await agent.json<ComponentJson>("/api/v0/web/components/prometheus.scrape.s");
    const names = found.arguments!.map((each) => each.name);
    for (const name of ["targets", "forward_to", "scrape_interval"]) assert.ok(names.includes(name), name);
    assert.ok(found.arguments!.every((each) => each.type === "attr" || each.type === "block"));
    const target = await agent.json<ComponentJson>("/api/v0/web/components/discovery.relabel.targets");
    assert.deepEqual(
      target.exports!.map((each) => each.name),
      ["output", "rules"],
    );
    assert.equal(await status("/api/v0/web/components/no.such"), 404);
  });

  await t.test("modules", async () => {
    const inner = await agent.json<ComponentJson[]>("/api/v0/web/modules/counted.c/components");
    assert.ok(inner.some((each) => each.localID === "prometheus.relabel.inner" && each.moduleID === "counted.c"));
    const found = await agent.json<ComponentJson>("/api/v0/web/components/counted.c/prometheus.relabel.inner");
    assert.equal(found.moduleID, "counted.c");
    assert.equal(await status("/api/v0/web/modules/no.such/components"), 404);
  });

  await t.test("a component's own endpoints", async () => {
    const page = await agent.api("/api/v0/component/prometheus.exporter.self.me/metrics");
    assert.equal(page.status, 200);
    assert.match(await page.text(), /^alloy_build_info\{/m);
    assert.equal(await status("/api/v0/component/prometheus.relabel.r/metrics"), 404);
    assert.equal(await status("/api/v0/component/no.such.thing/metrics"), 404);
  });

  await t.test("peers, remote configuration and unknown paths", async () => {
    assert.deepEqual(await agent.json("/api/v0/web/peers"), []);
    for (const path of ["components", "components/x", "modules/x/components"])
      assert.equal(await status(`/api/v0/web/remotecfg/${path}`), 500);
    assert.equal(await status("/api/v0/web/none"), 404);
    assert.equal(await status("/-/none"), 200, "views of the page are its own business");
  });

  await t.test("the page", async () => {
    const page = await agent.api("/");
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
    assert.match(page.headers.get("content-security-policy")!, /default-src 'self'/);
    assert.equal(await status("/no-such-file.js"), 404);
  });

  await t.test("streams of the graph and of what passes a component end each piece with |;|", async () => {
    await agent.until(async () => {
      const graph = await firstPiece(agent, "/api/v0/web/graph?window=1");
      const edges = JSON.parse(graph) as {
        componentID: string;
        targetComponentIDs: string[];
        type: string;
        rate: number;
      }[];
      const edge = edges.find((each) => each.componentID === "prometheus.scrape.s")!;
      assert.deepEqual(edge.targetComponentIDs, ["prometheus.relabel.r"]);
      return edge.rate > 0; // not in a second without a scrape
    }, "samples pass along the edge");
    assert.match(await firstPiece(agent, "/api/v0/web/debug/prometheus.relabel.r"), /alloy_|up|scrape_/);
    for (const query of ["window=0", "window=61", "window=x"])
      assert.equal(await status(`/api/v0/web/graph?${query}`), 400, query);
    assert.equal(await status("/api/v0/web/debug/prometheus.relabel.r?sampleProb=2"), 400);
    assert.equal(await status("/api/v0/web/debug/no.such"), 500);
  });

  await t.test("profiles are gzipped pprof", async () => {
    const [cpu, heap] = await Promise.all([
      agent.api("/debug/pprof/profile?seconds=1"),
      agent.api("/debug/pprof/heap?seconds=1"),
    ]);
    assert.deepEqual(sampleTypes(await cpu.bytes()), ["samples/count", "cpu/nanoseconds"]);
    assert.deepEqual(sampleTypes(await heap.bytes()), ["inuse_objects/count", "inuse_space/bytes"]);
    assert.equal(await status("/debug/pprof/"), 200);
    assert.match(await text("/debug/pprof/cmdline"), /run\0/);
    assert.equal(await status("/debug/pprof/goroutine"), 404);
    assert.equal(await status("/debug/pprof/profile?seconds=0"), 400);
    assert.equal(await status("/debug/pprof/profile?seconds=x"), 400);
  });

  await t.test("the support bundle", async () => {
    const response = await agent.api("/-/support?duration=1");
    assert.equal(response.headers.get("content-type"), "application/zip");
    assert.equal(response.headers.get("content-disposition"), 'attachment; filename="alloy-support-bundle.zip"');
    const files = readZip(Buffer.from(await response.bytes()));
    const root = "alloy-support-bundle/";
    assert.deepEqual(
      [...files.keys()].sort(),
      [
        "alloy-components.json",
        "alloy-environment.txt",
        "alloy-logs.txt",
        "alloy-metadata.yaml",
        "alloy-metrics-sample-end.txt",
        "alloy-metrics-sample-start.txt",
        "alloy-peers.json",
        "alloy-runtime-flags.txt",
        "pprof/cpu.pprof",
        "pprof/heap.pprof",
        "sources/config.alloy",
      ].map((name) => root + name),
    );
    assert.equal(files.get(`${root}sources/config.alloy`)!.toString(), CONFIG);
    assert.match(files.get(`${root}alloy-runtime-flags.txt`)!.toString(), /^--stability\.level=experimental$/m);
    assert.match(files.get(`${root}alloy-metrics-sample-end.txt`)!.toString(), /^alloy_build_info/m);
    assert.match(files.get(`${root}alloy-logs.txt`)!.toString(), /config loaded/);
    assert.deepEqual(sampleTypes(files.get(`${root}pprof/cpu.pprof`)!), ["samples/count", "cpu/nanoseconds"]);
    const components = JSON.parse(files.get(`${root}alloy-components.json`)!.toString()) as ComponentJson[];
    assert.ok(components.some((each) => each.localID === "prometheus.scrape.s" && each.arguments!.length > 0));
    for (const duration of ["0", "-1", "x", "1.5"]) assert.equal(await status(`/-/support?duration=${duration}`), 400);
  });
  assert.equal(await agent.stop(), 0);
});

test("what flags turn off is off, and the prefix moves the page and its API alone", async (t) => {
  const agent = await startAgent(t, 'prometheus.exporter.self "me" {}\n', {
    flags: [
      "--server.http.disable-support-bundle",
      "--server.http.enable-pprof=false",
      "--server.http.ui-path-prefix=/below/here/",
    ],
  });
  const status = async (path: string) => (await agent.api(path)).status;
  assert.equal(await status("/-/support?duration=1"), 403);
  assert.equal(await status("/debug/pprof/profile?seconds=1"), 404);
  assert.equal(await status("/below/here/api/v0/web/components"), 200);
  assert.equal(await status("/api/v0/web/components"), 404);
  assert.equal(await status("/metrics"), 200);
  assert.equal(await status("/api/v0/component/prometheus.exporter.self.me/metrics"), 200);
  assert.match(await (await agent.api("/below/here/")).text(), /<base href="\/below\/here\/"/);
});

test("live debugging is off unless the configuration asks for it", async (t) => {
  const agent = await startAgent(t, 'prometheus.exporter.self "me" {}\n');
  assert.equal((await agent.api("/api/v0/web/debug/prometheus.exporter.self.me")).status, 500);
});

test("an unhealthy component is named, and its neighbours go on", async (t) => {
  const agent = await startAgent(
    t,
    `prometheus.exporter.self "me" {}
loki.source.api "b" {
  http {
    listen_address = "192.0.2.1"
    listen_port    = 20000
  }
  forward_to = []
}
`,
  );
  await agent.until(async () => (await agent.api("/-/healthy")).status === 500, "something is unhealthy");
  assert.match(await (await agent.api("/-/healthy")).text(), /^unhealthy components: .*loki\.source\.api\.b/);
  assert.equal((await agent.component("prometheus.exporter.self.me")).health.state, "healthy");
  assert.ok((await agent.metric("alloy_component_controller_running_components", { health_type: "unhealthy" }))! >= 1);
});

const GOOD = 'prometheus.exporter.self "me" {}\n';
const BETTER = `${GOOD}prometheus.relabel "r" {\n  forward_to = []\n}\n`;
const BAD = `${GOOD}prometheus.relabel "r" {\n  forward_too = []\n}\n`;

test("a component that has failed serves no page of before, so that a scrape of it fails", async (t) => {
  const taken = createSocket("udp4").bind(0, "127.0.0.1");
  await once(taken, "listening");
  cleanUp(t, () => new Promise<void>((resolve) => taken.close(resolve)));
  const address = `127.0.0.1:${taken.address().port}`;
  const id = "prometheus.exporter.statsd.s";
  const agent = await startAgent(
    t,
    `prometheus.exporter.statsd "s" {\n  listen_udp = "${address}"\n  listen_tcp = ""\n}\n`,
  );
  const scrape = () => agent.api(`/api/v0/component/${id}/metrics`);
  await agent.until(async () => (await scrape()).status === 503, "it waits for its next start");
  const problem = `cannot listen on UDP ${address}: another program listens there`;
  assert.ok((await (await scrape()).text()).includes(problem));
  assert.equal((await agent.component(id)).flow.state, "failing");
});

test("reload over HTTP and by SIGHUP: all of it or nothing, and it says what happened", async (t) => {
  const agent = await startAgent(t, GOOD);
  const ids = async () => (await agent.status()).map((each) => each.id);
  assert.deepEqual(await agent.reload(BETTER), { status: 200, text: "config reloaded\n" });
  assert.deepEqual(await ids(), ["prometheus.exporter.self.me", "prometheus.relabel.r"]);

  const failed = await agent.reload(BAD);
  assert.equal(failed.status, 400);
  assert.match(failed.text, /config\.alloy:3:3: .*forward_too/);
  assert.deepEqual(await ids(), ["prometheus.exporter.self.me", "prometheus.relabel.r"], "nothing has changed");
  assert.equal(await agent.metric("alloy_config_last_load_successful"), 0);
  assert.equal(await agent.metric("alloy_config_load_failures_total"), 1);
  assert.equal((await agent.api("/-/ready")).status, 200);
  await agent.untilLogged(/level=error msg="failed to load config".*the previous configuration stays in force/);

  rmSync(agent.configPath);
  assert.equal((await agent.reload()).status, 400);
  agent.write(GOOD);
  agent.signal("SIGHUP");
  await agent.until(async () => (await ids()).length === 1, "SIGHUP has brought the first configuration back");
  assert.equal(await agent.metric("alloy_config_last_load_successful"), 1);
  agent.write(BAD);
  agent.signal("SIGHUP");
  await agent.until(
    async () => (await agent.metric("alloy_config_load_failures_total")) === 3,
    "the failure is counted",
  );
  assert.deepEqual(await ids(), ["prometheus.exporter.self.me"]);

  assert.equal((await agent.api("/-/reload", { method: "PUT" })).status, 405);
  agent.write(GOOD);
  assert.equal((await agent.api("/-/reload")).status, 200, "GET reloads as well");
});

test("--config.watch reloads after a change, survives bad and missing files", async (t) => {
  const agent = await startAgent(t, GOOD, { flags: ["--config.watch"] });
  const ids = async () => (await agent.status()).map((each) => each.id).join(" ");
  agent.write(BETTER);
  await agent.until(async () => (await ids()).includes("prometheus.relabel.r"), "the change is in force");
  rmSync(agent.configPath);
  await agent.until(
    async () => (await agent.metric("alloy_config_load_failures_total"))! >= 1,
    "the missing file is a failed load",
  );
  agent.write(BAD);
  await agent.untilLogged(/failed to load config.*forward_too/);
  writeFileSync(join(agent.folder, "other.txt"), "no configuration");
  agent.write(GOOD);
  await agent.until(async () => !(await ids()).includes("prometheus.relabel.r"), "the last change is in force");
});

/** The first piece of a streamed answer. */
async function firstPiece(agent: TestAgent, path: string): Promise<string> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error(`${path}: nothing came`)), WAIT_MS);
  const response = await agent.api(path, { signal: abort.signal });
  assert.equal(response.status, 200, path);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.includes("|;|")) break;
  }
  clearTimeout(timer);
  return text.slice(0, text.indexOf("|;|"));
}

/** What the values of a pprof profile measure; throws unless the whole message can be read. */
function sampleTypes(body: Uint8Array): string[] {
  const types: [number, number][] = [];
  const strings: string[] = [];
  const reader = new ProtoReader(gunzipSync(body));
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >> 3 === 6) strings.push(reader.string());
    else if (tag >> 3 === 1) {
      const after = reader.enter();
      const type: [number, number] = [0, 0];
      while (!reader.done) {
        const field = reader.tag();
        if (field >> 3 === 1) type[0] = reader.int64Number();
        else if (field >> 3 === 2) type[1] = reader.int64Number();
        else reader.skip(field);
      }
      reader.leave(after);
      types.push(type);
    } else reader.skip(tag);
  }
  return types.map(([type, unit]) => `${strings[type]}/${strings[unit]}`);
}
