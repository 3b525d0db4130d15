import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import type { ExplainJson, HistoryJson, PipelineEdgeJson, PipelineJson, StatusJson } from "../../src/app/api/json.ts";
import { startAgent, type TestAgent } from "../kit/agent.ts";
import { cpuSeconds, freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

const status = (agent: TestAgent) => agent.json<StatusJson>("/api/v0/web/status");
const pipeline = (agent: TestAgent, module = "") =>
  agent.json<PipelineJson>(`/api/v0/web/pipeline?${new URLSearchParams({ module })}`);
const explain = (agent: TestAgent, id: string) => agent.json<ExplainJson>(`/api/v0/web/explain/${id}`);
const nodeOf = ({ nodes }: PipelineJson, id: string) => nodes.find((node) => node.id === id)!;
const edgesOf = ({ edges }: PipelineJson) =>
  edges.map(({ from, to, kind, signal }) => `${from} ${kind} ${to} ${signal}`).sort();

async function push(port: number, lines: number): Promise<void> {
  const now = Date.now();
  const values = Array.from({ length: lines }, (_, i) => [`${now}${String(i).padStart(6, "0")}`, `{"n":${i}}`]);
  const response = await fetch(`http://127.0.0.1:${port}/loki/api/v1/push`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ streams: [{ stream: { app: "a" }, values }] }),
  });
  assert.ok(response.ok, `${response.status} ${await response.text()}`);
}

function nested(ports: readonly number[], url: string): string {
  return `logging {
  write_to = [sender.a.receiver]
}

import.string "lib" {
  content = "declare \\"unused\\" { argument \\"x\\" { optional = true } }"
}

declare "sender" {
  argument "url" { }

  loki.write "inner" {
    endpoint {
      url       = argument.url.value
      batch_wait = "100ms"
    }
  }

  export "receiver" {
    value = loki.write.inner.receiver
  }
}

sender "a" {
  url = "${url}/loki/api/v1/push"
}

loki.process "p" {
  stage.json {
    expressions = { n = "" }
  }

  forward_to = [sender.a.receiver]
}

foreach "ports" {
  collection = [${ports.join(", ")}]
  var        = "port"

  template {
    loki.source.api "in" {
      http {
        listen_address = "127.0.0.1"
        listen_port    = port
      }

      forward_to = [loki.process.p.receiver]
    }
  }
}

prometheus.exporter.self "me" { }

discovery.relabel "me" {
  targets = prometheus.exporter.self.me.targets
}

prometheus.scrape "me" {
  targets         = discovery.relabel.me.output
  forward_to      = [prometheus.echo.out.receiver]
  scrape_interval = "200ms"
  scrape_timeout  = "200ms"
}

prometheus.echo "out" { }
`;
}

test("modules: status, pipeline, explain and history of what runs inside of others", async (t) => {
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  const ports = [await freePort(), await freePort()] as const;
  const agent = await startAgent(t, nested(ports, sink.url));
  const sources = ports.map((port) => `foreach.ports/foreach_${port}_1/loki.source.api.in`);
  // Twice, with time between, so that there are rates.
  await push(ports[0], 100);
  await agent.until(
    async () => (await agent.component("sender.a/loki.write.inner")).flow.received.items >= 100,
    "it came",
  );
  await agent.until(async () => {
    await push(ports[1], 10);
    return nodeOf(await pipeline(agent), "foreach.ports").rates!.sent > 0;
  }, "there are rates");

  await t.test("status has every component of every module", async () => {
    const answer = await status(agent);
    assert.deepEqual(
      answer.components.map(({ id }) => id).sort(),
      [
        ...sources,
        "discovery.relabel.me",
        "loki.process.p",
        "prometheus.echo.out",
        "prometheus.exporter.self.me",
        "prometheus.scrape.me",
        "sender.a/loki.write.inner",
      ].sort(),
    );
    const process = answer.components.find(({ id }) => id === "loki.process.p")!;
    assert.equal(process.flow.state, "ok");
    assert.equal(process.flow.received.signal, "logs");
    const [edge] = process.flow.sent;
    assert.equal(edge!.to, "sender.a/loki.write.inner");
    assert.ok(edge!.items >= 110 && edge!.itemsPerSecond > 0 && edge!.bytesPerSecond > edge!.itemsPerSecond);
    assert.ok(process.flow.rates.received > 0);
    const inner = answer.components.find(({ id }) => id === "sender.a/loki.write.inner")!;
    assert.deepEqual([inner.name, inner.label, inner.moduleId, inner.wiring], ["loki.write", "inner", "sender.a", ""]);
    assert.equal(answer.config.path, agent.configPath);
    assert.match(answer.config.hash, /^[0-9a-f]{64}$/);
    assert.equal(answer.lastReload!.diff, "");
    assert.ok(answer.lastReload!.added.includes("sender.a/loki.write.inner"));
    assert.equal(answer.failedReload, null);
    assert.ok(Date.parse(answer.started) <= Date.parse(answer.now));
  });

  await t.test("the root: edges between insides are edges of the blocks around them, with their rates", async () => {
    const root = await pipeline(agent);
    assert.deepEqual(edgesOf(root), [
      "declare.sender reference sender.a null",
      "discovery.relabel.me targets prometheus.scrape.me null",
      "foreach.ports data loki.process.p logs",
      "logging data sender.a logs",
      "loki.process.p data sender.a logs",
      "prometheus.exporter.self.me targets discovery.relabel.me null",
      "prometheus.scrape.me data prometheus.echo.out metrics",
    ]);
    const flowing = root.edges.find(({ from }) => from === "foreach.ports")!;
    assert.ok(flowing.items >= 110, "both iterations count");
    assert.ok(flowing.itemsPerSecond > 0 && flowing.bytesPerSecond > 0);
    const kinds = Object.fromEntries(root.nodes.map(({ id, kind, role }) => [id, `${kind} ${role}`]));
    assert.deepEqual(kinds, {
      logging: "config config",
      "import.string.lib": "import module",
      "declare.sender": "declare config",
      "sender.a": "custom module",
      "loki.process.p": "component processor",
      "foreach.ports": "foreach module",
      "prometheus.exporter.self.me": "component value",
      "discovery.relabel.me": "component value",
      "prometheus.echo.out": "component sink",
      "prometheus.scrape.me": "component source",
    });
    const each = nodeOf(root, "foreach.ports");
    assert.deepEqual(
      each.modules,
      ports.map((port) => `foreach.ports/foreach_${port}_1`),
    );
    assert.equal(each.state, "ok");
    assert.equal(nodeOf(root, "sender.a").rates!.received > 0, true);
    assert.equal(nodeOf(root, "logging").state, null);
    assert.deepEqual(
      root.nodes.filter(({ wiring }) => wiring !== ""),
      [],
      "all is wired",
    );
  });

  await t.test("inside of a custom component: its arguments and exports are where data comes and goes", async () => {
    const inner = await pipeline(agent, "sender.a");
    assert.deepEqual(edgesOf(inner), [
      "sender.a/argument.url reference sender.a/loki.write.inner null",
      "sender.a/export.receiver data sender.a/loki.write.inner logs",
    ]);
    const data = inner.edges.find(({ kind }) => kind === "data")!;
    assert.ok(data.items >= 110);
    assert.ok(data.itemsPerSecond > 0);
    assert.equal(nodeOf(inner, "sender.a/loki.write.inner").localId, "loki.write.inner");
    assert.equal((await agent.api("/api/v0/web/pipeline?module=no.such")).status, 404);
    assert.match(
      await (await agent.api("/api/v0/web/pipeline?module=no.such")).text(),
      /there is no module "no\.such"/,
    );
  });

  await t.test("explain: an inner component, with where its values come from", async () => {
    let inner = await explain(agent, "sender.a/loki.write.inner");
    const sentEntries = () => inner.metrics.find(({ name }) => name === "loki_write_sent_entries_total")!;
    await agent.until(async () => {
      inner = await explain(agent, "sender.a/loki.write.inner");
      return sentEntries().value >= 100;
    }, "the entries are sent");
    assert.deepEqual(
      [inner.kind, inner.localId, inner.moduleId, inner.source.file],
      ["component", "loki.write.inner", "sender.a", agent.configPath],
    );
    assert.match(inner.source.text, /^loki\.write "inner" \{/);
    const line = nested(ports, sink.url).split("\n").indexOf('  loki.write "inner" {') + 1;
    assert.equal(inner.source.line, line);
    assert.deepEqual(inner.arguments.slice(0, 2), [
      {
        path: "endpoint[0].url",
        value: JSON.stringify(`${sink.url}/loki/api/v1/push`),
        origin: "text",
        expression: "argument.url.value",
        line: line + 2,
        references: ["sender.a/argument.url"],
      },
      {
        path: "endpoint[0].batch_wait",
        value: '"100ms"',
        origin: "text",
        expression: '"100ms"',
        line: line + 3,
        references: [],
      },
    ]);
    const wait = inner.arguments.find(({ path }) => path === "endpoint[0].batch_size")!;
    assert.deepEqual([wait.value, wait.origin, wait.line], ['"1MiB"', "default", 0]);
    assert.deepEqual(inner.referencesTo, ["sender.a/argument.url"]);
    assert.deepEqual(inner.referencedBy, ["sender.a/export.receiver"]);
    assert.match(sentEntries().labels, /^\{.*host="127\.0\.0\.1:\d+"/);
    assert.equal(inner.flow!.received.signal, "logs");
  });

  await t.test("explain: nodes that are no components, and one that sees the blocks around its template", async () => {
    const custom = await explain(agent, "sender.a");
    assert.deepEqual(custom.modules, ["sender.a"]);
    assert.deepEqual(
      custom.arguments.map(({ path, origin, line }) => [path, origin, line > 0]),
      [["url", "text", true]],
    );
    assert.deepEqual(custom.referencedBy.toSorted(), ["logging", "loki.process.p"]);
    const each = await explain(agent, "foreach.ports");
    assert.equal(each.arguments.find(({ path }) => path === "collection")!.value, `[${ports.join(", ")}]`);
    const source = await explain(agent, sources[0]!);
    const forward = source.arguments.find(({ path }) => path === "forward_to")!;
    assert.deepEqual(forward.references, ["loki.process.p"]);
    assert.equal(forward.value, '[capsule("loki.LogsReceiver of loki.process.p")]');
    assert.equal(source.arguments.find(({ path }) => path === "http.listen_port")!.value, String(ports[0]));
    const logging = await explain(agent, "logging");
    assert.equal(logging.arguments.find(({ path }) => path === "level")!.value, '"info"');
    const library = await explain(agent, "import.string.lib");
    assert.equal(library.arguments.find(({ path }) => path === "content")!.value, "(secret)");
    assert.equal((await agent.api("/api/v0/web/explain/no.such")).status, 404);
  });

  await t.test("history", async () => {
    const history = await agent.json<HistoryJson>("/api/v0/web/history/sender.a/loki.write.inner");
    for (const column of [history.received, history.sent, history.dropped, history.sentBytes, history.queueBytes])
      assert.equal(column.length, history.received.length);
    assert.ok(history.received.length > 0 && history.stepSeconds > 0);
    const missing = await agent.api("/api/v0/web/history/no.such");
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /there is no component "no\.such"/);
  });
});

const MISWIRED = `declare "never" { }

declare "half" {
  argument "unused" {
    optional = true
  }

  loki.process "inside" {
    forward_to = []
  }

  export "receiver" {
    value = loki.process.inside.receiver
  }
}

half "a" { }

loki.source.api "in" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = PORT
  }

  forward_to = [loki.process.p.receiver]
}

loki.process "p" {
  forward_to = [half.a.receiver]
}

loki.write "lonely" {
  endpoint {
    url = "http://127.0.0.1:1/"
  }
}

prometheus.exporter.unix "unread" { }

otelcol.auth.basic "unused" {
  username = "me"
  password = "x"
}
`;

test("wiring: what goes nowhere is told in the pipeline, in explain, in the status and in the log", async (t) => {
  const agent = await startAgent(t, MISWIRED.replace("PORT", String(await freePort())));
  const root = await pipeline(agent);
  const wiring = Object.fromEntries(
    root.nodes.filter((node) => node.wiring !== "").map((node) => [node.id, node.wiring]),
  );
  assert.deepEqual(Object.keys(wiring).sort(), [
    "declare.never",
    "half.a",
    "loki.process.p",
    "loki.source.api.in",
    "loki.write.lonely",
    "otelcol.auth.basic.unused",
    "prometheus.exporter.unix.unread",
  ]);
  assert.match(wiring["declare.never"]!, /^nothing uses it: write never "NAME"/);
  assert.match(wiring["half.a"]!, /^inside, (argument\.unused|loki\.process\.inside): /);
  assert.match(
    wiring["loki.process.p"]!,
    /^its data reaches no destination: it ends at half\.a\/loki\.process\.inside/,
  );
  assert.match(
    wiring["loki.write.lonely"]!,
    /^nothing feeds it: no component forwards to loki\.write\.lonely\.receiver/,
  );
  assert.match(
    wiring["prometheus.exporter.unix.unread"]!,
    /^nothing reads its targets: give prometheus\.exporter\.unix\.unread\.targets/,
  );
  assert.match(
    wiring["otelcol.auth.basic.unused"]!,
    /^nothing uses it: refer to otelcol\.auth\.basic\.unused\.handler/,
  );
  const inner = await pipeline(agent, "half.a");
  assert.match(nodeOf(inner, "half.a/loki.process.inside").wiring, /^it forwards to nothing: forward_to is empty/);
  assert.match(nodeOf(inner, "half.a/argument.unused").wiring, /^nothing uses it/);
  assert.equal((await explain(agent, "loki.write.lonely")).wiring, wiring["loki.write.lonely"]);
  const lonely = (await status(agent)).components.find(({ id }) => id === "loki.write.lonely")!;
  assert.equal(lonely.wiring, wiring["loki.write.lonely"]);
  await agent.untilLogged(/level=warn msg=wiring component_id=loki\.write\.lonely problem="nothing feeds it/);
  // Credentials have no flow, so they have no state.
  assert.equal(nodeOf(root, "otelcol.auth.basic.unused").state, null);
});

test("reload: what changed, with the difference of the texts, and what a failed one said until one succeeds", async (t) => {
  const first = 'loki.echo "a" { }\n\nprometheus.exporter.self "me" { }\n';
  const second = 'loki.echo "b" { }\n\nprometheus.exporter.self "me" { }\n';
  const agent = await startAgent(t, {
    "one.alloy": first,
    "two.alloy": 'otelcol.auth.basic "x" {\n  username = "me"\n  password = "old"\n}\n',
  });
  await agent.reload({ "one.alloy": second });
  const { lastReload } = await status(agent);
  assert.deepEqual(
    [lastReload!.added, lastReload!.removed, lastReload!.updated],
    [["loki.echo.b"], ["loki.echo.a"], []],
  );
  const file = `${agent.configPath}/one.alloy`;
  assert.equal(
    lastReload!.diff,
    `--- ${file}\n+++ ${file}\n@@ -1,3 +1,3 @@\n-loki.echo "a" { }\n+loki.echo "b" { }\n \n prometheus.exporter.self "me" { }\n`,
  );

  await agent.reload({ "two.alloy": 'otelcol.auth.basic "x" {\n  username = "me"\n  pasword = "hunter2"\n}\n' });
  const failed = await status(agent);
  assert.deepEqual(failed.lastReload, lastReload, "the one before is in force");
  assert.match(failed.failedReload!.error, /two\.alloy:3:3: unrecognized attribute name "pasword"/);
  assert.match(failed.failedReload!.error, /hint: did you mean "password"\?/);

  await agent.reload({ "two.alloy": 'otelcol.auth.basic "x" {\n  username = "me"\n  password = "new"\n}\n' });
  const after = await status(agent);
  assert.equal(after.failedReload, null);
  assert.equal(
    after.lastReload!.diff,
    `# ${agent.configPath}/two.alloy: only values that are not shown have changed\n`,
  );
});

test("1,000 components: the answers are there, soon", async (t) => {
  const blocks = ['loki.write "out" {\n  endpoint {\n    url = "http://127.0.0.1:1/"\n  }\n}\n'];
  for (let i = 0; i < 333; i++) {
    blocks.push(
      `local.file_match "f${i}" {\n  path_targets = [{__path__ = "/nonexistent/${i}.log"}]\n}\n`,
      `loki.source.file "s${i}" {\n  targets    = local.file_match.f${i}.targets\n  forward_to = [loki.process.p${i}.receiver]\n}\n`,
      `loki.process "p${i}" {\n  forward_to = [loki.write.out.receiver]\n}\n`,
    );
  }
  const agent = await startAgent(t, blocks.join("\n"));
  const answer = await status(agent);
  assert.equal(answer.components.length, 1_000);
  const root = await pipeline(agent);
  assert.equal(root.nodes.length, 1_000);
  assert.equal(root.edges.length, 999);
  const kinds = (kind: PipelineEdgeJson["kind"]) => root.edges.filter((edge) => edge.kind === kind).length;
  assert.deepEqual([kinds("data"), kinds("targets"), kinds("reference")], [666, 333, 0]);
  // What the agent works for an answer, since this machine has other things to do. It is 10 to 25 ms.
  for (const path of ["status", "pipeline", "components", "explain/loki.process.p7"]) {
    const asked = 8;
    const before = cpuSeconds(agent.pid);
    for (let i = 0; i < asked; i++) await (await agent.api(`/api/v0/web/${path}`)).text();
    const ms = ((cpuSeconds(agent.pid) - before) / asked) * 1_000;
    t.diagnostic(`${path}: ${ms.toFixed(1)} ms of the processor`);
    assert.ok(ms < 250, `${path} takes ${ms} ms`);
  }
});
