import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Prometheus } from "../kit/prometheus.ts";
import { Sink } from "../kit/sink.ts";
import { traceRequest } from "../kit/spans.ts";

/** The alert rules and the dashboard in `packaging/`, against Debian's promtool, a real Prometheus and a real agent. */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const RULES = join(ROOT, "packaging/prometheus/invar-alerts.yml");
const RULES_TEST = join(ROOT, "packaging/prometheus/invar-alerts_test.yml");
const DASHBOARD = join(ROOT, "packaging/grafana/invar.json");
const ALERTS_PAGE = join(ROOT, "docs/alerts.md");
const FLOW_PAGE = join(ROOT, "docs/flow-status.md");

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
}
interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
}

function promtool(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("/usr/bin/promtool", args, { encoding: "utf8" });
  assert.equal(status, 0, `promtool ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

/** Names of alerts, in order. */
function alertsOf(text: string): string[] {
  return [...text.matchAll(/^ +- alert: (\S+)$/gm)].map((match) => match[1]!);
}

/** Every expression of the rules, a line each. */
function ruleExpressions(text: string): string[] {
  return [...text.matchAll(/^( +)expr: (?:\|\n((?:\1 {2}.*\n)+)|(.*)\n)/gm)].map((match) => match[2] ?? match[3]!);
}

function dashboardExpressions(dashboard: Dashboard): { readonly panel: Panel; readonly expression: string }[] {
  return dashboard.panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr }) => ({
      panel,
      expression: expr
        .replaceAll("$__rate_interval", "10s")
        .replaceAll("$__range", "30s")
        .replaceAll(/\$(job|instance|component_id)/g, ".+"),
    })),
  );
}

/** Names of the agent's own metrics in an expression. */
function metricNames(expression: string): string[] {
  const plain = expression.replaceAll(/"[^"]*"/g, '""').replaceAll(/\{[^}]*\}/g, "");
  return [...plain.matchAll(/(?<![\w:])(?:alloy|loki|prometheus|otelcol|nodejs|process)_\w+/g)].map(
    (match) => match[0],
  );
}

test("promtool takes the rules, and each alert fires when it shall and does not when it shall not", () => {
  const text = readFileSync(RULES, "utf8");
  const alerts = alertsOf(text);
  assert.ok(alerts.length >= 20);
  assert.match(promtool("check", "rules", RULES), new RegExp(`${ruleExpressions(text).length} rules found`));
  promtool("test", "rules", RULES_TEST);
  const cases = readFileSync(RULES_TEST, "utf8").split("\n  - name: ").slice(1);
  for (const alert of alerts) {
    const own = cases.filter((each) => each.includes(`alertname: ${alert}\n`));
    assert.ok(
      own.some((each) => each.includes("exp_labels:")),
      `${alert} has a case in which it fires`,
    );
    assert.ok(
      own.some((each) => each.includes("exp_alerts: []")),
      `${alert} has a case in which it does not fire`,
    );
  }
});

test("each alert leads to its section of the page about alerts, and the page has no other", () => {
  const text = readFileSync(RULES, "utf8");
  const alerts = alertsOf(text);
  const rules = text.split(/^ +- alert: /m).slice(1);
  for (const [i, rule] of rules.entries()) {
    assert.ok(rule.includes(`runbook_url: docs/alerts.md#${alerts[i]!.toLowerCase()}\n`), alerts[i]!);
    for (const annotation of ["summary", "description"])
      assert.match(rule, new RegExp(`${annotation}: ["']`), alerts[i]!);
    assert.match(rule, /severity: (critical|warning)\n/, alerts[i]!);
  }
  const sections = [...readFileSync(ALERTS_PAGE, "utf8").matchAll(/^## (Invar\w+)$/gm)].map((match) => match[1]!);
  assert.deepEqual(sections, alerts);
});

test("the dashboard is sound: ids, places, data source, expressions", (t) => {
  const dashboard = JSON.parse(readFileSync(DASHBOARD, "utf8")) as Dashboard;
  assert.ok(dashboard.schemaVersion >= 41);
  assert.deepEqual(
    dashboard.templating.list.map(({ name }) => name),
    ["datasource", "job", "instance", "component_id"],
  );
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const panel of panels) {
    if (panel.type === "row") continue;
    assert.ok(panel.description, `${panel.title} has a description`);
    assert.equal(panel.datasource?.uid, "${datasource}");
    assert.ok(panel.targets!.length > 0);
    for (const target of panel.targets!) assert.equal(target.datasource.uid, "${datasource}");
    const { x, y, w, h } = panel.gridPos;
    assert.ok(x >= 0 && x + w <= 24, panel.title);
    for (const other of panels) {
      const { gridPos: place } = other;
      if (other === panel) continue;
      const apart = x + w <= place.x || place.x + place.w <= x || y + h <= place.y || place.y + place.h <= y;
      assert.ok(apart, `${panel.title} and ${other.title} do not overlap`);
    }
  }
  const rules = dashboardExpressions(dashboard).map(
    ({ expression }, i) => `      - record: test:expression:${i}\n        expr: ${JSON.stringify(expression)}\n`,
  );
  const path = join(temporaryFolder(t), "expressions.yml");
  writeFileSync(path, `groups:\n  - name: expressions\n    rules:\n${rules.join("")}`);
  assert.match(promtool("check", "rules", path), new RegExp(`${rules.length} rules found`));
});

/** An agent with a component of each kind that rules and dashboard are about, some of them in trouble. */
async function startEverything(t: TestContext) {
  const folder = temporaryFolder(t);
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  const [otlp, dead] = [await freePort(), await freePort()];
  writeFileSync(join(folder, "a.log"), "one\ntwo\n".repeat(100));
  const big = join(folder, "big.txt");
  writeFileSync(big, `${"x".repeat(99)}\n`.repeat(80_000));
  const agent = await startAgent(
    t,
    `
loki.source.file "x" {
  targets    = [{ __path__ = "${folder}/a.log" }]
  forward_to = [loki.process.x.receiver]
}
loki.process "x" {
  forward_to = [loki.write.x.receiver]

  stage.drop {
    expression = "two"
  }
}
loki.write "x" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}

loki.source.file "behind" {
  targets    = [{ __path__ = "${big}" }]
  forward_to = [loki.write.away.receiver]
}
loki.write "away" {
  endpoint {
    url                 = "http://127.0.0.1:${dead}/loki/api/v1/push"
    batch_size          = "64KiB"
    batch_wait          = "50ms"
    min_backoff_period  = "100ms"
    max_backoff_period  = "100ms"
    max_backoff_retries = 1

    queue_config {
      capacity = "64KiB"
    }
  }
}

prometheus.exporter.self "x" { }
prometheus.scrape "x" {
  targets         = prometheus.exporter.self.x.targets
  forward_to      = [prometheus.remote_write.x.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"
}
prometheus.remote_write "x" {
  endpoint {
    url = "${sink.url}/api/v1/write"

    queue_config {
      batch_send_deadline = "100ms"
    }
  }
}

otelcol.receiver.otlp "x" {
  http {
    endpoint = "127.0.0.1:${otlp}"
  }
  output {
    traces = [otelcol.exporter.otlphttp.x.input]
  }
}
otelcol.exporter.otlphttp "x" {
  client {
    endpoint = "${sink.url}"
  }
}
`,
  );
  const traced = await fetch(`http://127.0.0.1:${otlp}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/x-protobuf" },
    body: traceRequest(5),
  });
  assert.equal(traced.status, 200);
  const id = "loki.source.file.behind";
  await agent.until(async () => (await agent.component(id)).flow.sent[0]!.items > 0, "the large file is being read");
  truncateSync(big, 0);
  writeFileSync(big, "begun anew\n");
  await agent.until(
    async () => ((await agent.metric("loki_source_file_lost_bytes_total", { component_id: id })) ?? 0) > 0,
    "unread bytes were lost",
  );
  return agent;
}

test("a real agent has every metric of the rules, and every panel of the dashboard shows something", async (t) => {
  const agent = await startEverything(t);
  const scrape = `[{job_name: invar, static_configs: [{targets: ["127.0.0.1:${agent.port}"]}]}]`;
  const prometheus = await Prometheus.start(t, scrape);
  await agent.until(
    async () => Number((await prometheus.query("count_over_time(alloy_build_info[1m])"))[0]?.value?.[1]) >= 5,
    "Prometheus has scraped the agent several times",
  );
  const names = new Set((await agent.metrics()).map(({ name }) => name));
  const missing: string[] = [];
  for (const expression of ruleExpressions(readFileSync(RULES, "utf8"))) {
    for (const name of metricNames(expression)) if (!names.has(name)) missing.push(`${name} of ${expression.trim()}`);
  }
  const dashboard = JSON.parse(readFileSync(DASHBOARD, "utf8")) as Dashboard;
  for (const { panel, expression } of dashboardExpressions(dashboard)) {
    for (const name of metricNames(expression)) if (!names.has(name)) missing.push(`${name} of ${panel.title}`);
  }
  for (const { definition } of dashboard.templating.list) {
    for (const name of metricNames(definition ?? "")) if (!names.has(name)) missing.push(`${name} of ${definition}`);
  }
  assert.deepEqual(missing, []);
  const page = readFileSync(FLOW_PAGE, "utf8");
  const rules = new Set(
    (await agent.metrics()).map(({ labels }) => labels.get("rule")).filter((rule) => rule !== undefined),
  );
  assert.deepEqual(
    [...rules].filter((rule) => !page.includes(`\`${rule}\``)),
    [],
    "docs/flow-status.md says what every rule finds",
  );
  let empty: string[] = [];
  const isFull = async () => {
    empty = [];
    for (const { panel, expression } of dashboardExpressions(dashboard)) {
      if ((await prometheus.query(expression)).length === 0) empty.push(`${panel.title}: ${expression}`);
    }
    return empty.length === 0;
  };
  await agent.until(isFull, "every panel shows something").catch(() => assert.deepEqual(empty, []));
  // What is wrong with this agent is what the first panels are about.
  const bad = await prometheus.query('alloy_component_flow_status{state=~"degraded|failing"} == 1');
  assert.ok(bad.some(({ metric }) => metric.component_id === "loki.write.away"));
  assert.equal(await agent.stop(), 0);
});
