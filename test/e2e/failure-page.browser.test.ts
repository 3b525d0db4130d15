import assert from "node:assert/strict";
import { appendFileSync, chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { openBrowserPage, useBrowser } from "../kit/browser.ts";
import { Sink } from "../kit/sink.ts";

/**
 * What the page says of each way in which a pipeline breaks without a word elsewhere. The files failure-*.test.ts break a
 * running pipeline in each of these ways and look at status, log and metrics; here all of them stand side by side in one
 * agent, and each has to be on the first page with its cause, and one click away with the rule that found it.
 */

useBrowser();

/** As the agent is not root, files that only root may read are out of its reach. */
const NOBODY = 65_534;

/** Component, rule, and a word of the cause. */
const FAILURES: readonly (readonly [id: string, rule: string, cause: RegExp])[] = [
  ["local.file_match.typo", "no_files", /0 files for/],
  ["loki.source.file.pathless", "missing_path", /__path__/],
  ["loki.source.file.denied", "unreadable_files", /setfacl/],
  ["loki.source.file.discovered", "labels_not_kept", /__meta_kubernetes_pod_name/],
  ["loki.process.cri", "lines_not_parsed", /stage\.cri/],
  ["loki.write.many", "high_cardinality", /request_id/],
  ["loki.write.future", "timestamps", /future/],
  ["loki.write.tenantless", "unauthorized", /no org id/],
  ["loki.write.clock", "clock_skew", /clock/],
  ["loki.write.gone", "endpoint_down", /nothing listens/],
  ["prometheus.remote_write.order", "rejected", /out of order/],
  ["prometheus.remote_write.denied", "unauthorized", /401/],
  ["prometheus.scrape.tls", "scrape_failed", /TLS|https/],
  ["prometheus.scrape.once", "duplicate_targets", /prometheus\.scrape\.twice/],
  ["prometheus.scrape.nothing", "no_targets", /targets/],
  ["discovery.relabel.metric", "misplaced_label", /__name__/],
];

/** A backend that says always the same. */
async function backend(t: TestContext, status: number, body = "", headers: Record<string, string> = {}) {
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  sink.answer = () => ({ status, body, headers });
  return sink.url;
}

async function metricsPage(t: TestContext): Promise<number> {
  const server = createServer((_, response) => response.end("# TYPE up_to_date gauge\nup_to_date 1\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => void server.close());
  return (server.address() as AddressInfo).port;
}

async function brokenConfiguration(t: TestContext): Promise<{ config: string; write(many: number): void }> {
  const folder = join(temporaryFolder(t), "logs");
  mkdirSync(folder);
  chmodSync(join(folder, ".."), 0o755);
  const file = (name: string, mode = 0o644) => {
    const path = join(folder, name);
    writeFileSync(path, "");
    chmodSync(path, mode);
    return path;
  };
  const paths = {
    open: file("open.log"),
    denied: file("denied.log", 0o600),
    cri: file("cri.log"),
    many: file("many.log"),
    future: file("future.log"),
  };
  const [fine, tenant, order, denied, late] = await Promise.all([
    backend(t, 204),
    backend(t, 401, "no org id"),
    backend(t, 400, "out of order sample"),
    backend(t, 401, "authentication required"),
    backend(t, 204, "", { date: new Date(Date.now() - 7 * 60_000).toUTCString() }),
  ]);
  const page = await metricsPage(t);
  const logs = (name: string, url: string) => `loki.write "${name}" {
  endpoint {
    url        = "${url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`;
  const source = (name: string, target: string, to: string) => `loki.source.file "${name}" {
  targets    = [{ ${target} }]
  forward_to = [${to}]
}
`;
  const metrics = (name: string, url: string) => `prometheus.remote_write "${name}" {
  endpoint {
    url = "${url}/api/v1/push"
  }
}
`;
  const scrape = (name: string, targets: string, to: string, more = "") => `prometheus.scrape "${name}" {
  targets         = ${targets}
  forward_to      = [prometheus.remote_write.${to}.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "400ms"
  ${more}
}
`;
  const target = `[{ __address__ = "127.0.0.1:${page}" }]`;
  const backends = [
    logs("fine", fine),
    logs("many", fine),
    logs("future", fine),
    logs("tenantless", tenant),
    logs("clock", late),
    logs("gone", "http://127.0.0.1:1"),
    metrics("fine", fine),
    metrics("order", order),
    metrics("denied", denied),
  ];
  const others = ["tenantless", "clock", "gone"].map((name) => `loki.write.${name}.receiver`).join(", ");
  const config = `${backends.join("")}
local.file_match "typo" {
  path_targets = [{ __path__ = "${folder}/lgos/*.log" }]
}
${source("typo", `__path__ = "${paths.open}", app = "a"`, others).replace(
  /targets {4}= .*/,
  "targets    = local.file_match.typo.targets",
)}
${source("open", `__path__ = "${paths.open}", app = "a"`, others)}
${source("pathless", 'app = "a"', "loki.write.fine.receiver")}
${source("denied", `__path__ = "${paths.denied}"`, "loki.write.fine.receiver")}
${source("discovered", `__path__ = "${paths.open}", __meta_kubernetes_pod_name = "web-1"`, "loki.write.fine.receiver")}
${source("cri", `__path__ = "${paths.cri}", app = "a"`, "loki.process.cri.receiver")}
loki.process "cri" {
  forward_to = [loki.write.fine.receiver]
  stage.json {
    expressions = { level = "" }
  }
}
${source("many", `__path__ = "${paths.many}", app = "a"`, "loki.process.many.receiver")}
loki.process "many" {
  forward_to = [loki.write.many.receiver]
  stage.logfmt {
    mapping = { request_id = "" }
  }
  stage.labels {
    values = { request_id = "" }
  }
}
${source("future", `__path__ = "${paths.future}", app = "a"`, "loki.process.future.receiver")}
loki.process "future" {
  forward_to = [loki.write.future.receiver]
  stage.logfmt {
    mapping = { time = "" }
  }
  stage.timestamp {
    source = "time"
    format = "RFC3339"
  }
}
${scrape("once", target, "order")}
${scrape("twice", target, "denied", 'job_name = "twice"')}
${scrape("tls", target, "fine", 'scheme = "https"')}
${scrape("nothing", "[]", "fine")}
discovery.relabel "metric" {
  targets = ${target}
  rule {
    source_labels = ["__name__"]
    regex         = "go_.*"
    action        = "drop"
  }
}
${scrape("relabelled", "discovery.relabel.metric.output", "fine", 'metrics_path = "/other"')}
`;
  const future = new Date(Date.now() + 2 * 3_600_000).toISOString();
  let written = 0;
  function write(many: number) {
    const lines = (path: string, count: number, line: (i: number) => string) =>
      appendFileSync(path, Array.from({ length: count }, () => `${line(written++)}\n`).join(""));
    lines(paths.open, 20, (i) => `line ${i}`);
    lines(paths.cri, many / 8, (i) => `${new Date().toISOString()} stdout F {"level":"info","i":${i}}`);
    lines(paths.many, many, (i) => `level=info request_id=r${i.toString(36)} msg=served`);
    lines(paths.future, 200, (i) => `time=${future} msg=served i=${i}`);
  }
  return { config, write };
}

/** Ages and counts go on while the page is asked. */
const withoutFigures = (text: string) => text.replace(/[\d.,]+/g, "0").replace(/\s+/g, " ");

test("each failure is on the first page with its cause, and one click away with its rule", async (t) => {
  const { config, write } = await brokenConfiguration(t);
  const storage = temporaryFolder(t);
  chownSync(storage, NOBODY, NOBODY);
  const agent = await startAgent(t, config, { user: NOBODY, storage });
  write(12_000);
  const writing = setInterval(() => write(80), 500); // the pipelines are in use
  cleanUp(t, () => clearInterval(writing));
  for (const [id, rule, cause] of FAILURES) {
    const found = async () => {
      const { flow } = await agent.component(id);
      return flow.state !== "ok" && flow.rule === rule && cause.test(flow.cause);
    };
    await agent.until(found, `${id} is found by the rule ${rule}, with a cause like ${cause}`);
  }
  await using opened = await openBrowserPage(agent.url, { height: 2400 });
  const { page } = opened;
  await page.getByRole("list", { name: "Problems" }).waitFor();
  await opened.picture("failures");
  for (const [id, rule] of FAILURES) {
    await page.goto(`${agent.url}/`);
    const entry = page.locator("main li").filter({ has: page.getByRole("link", { name: id, exact: true }) });
    const says = async () => {
      const shown = withoutFigures((await entry.first().textContent()) ?? "");
      return shown.includes(withoutFigures((await agent.component(id)).flow.cause));
    };
    await agent.until(says, `the page says of ${id} what the API says`);
    await entry.first().getByRole("link", { name: id, exact: true }).click();
    await page.getByText(`says the rule ${rule}`).first().waitFor();
  }
  await opened.picture("failure-component");
  assert.deepEqual(opened.faults, []);
});

test("a reload that fails is on the first page, and shows no secret", async (t) => {
  const agent = await startAgent(t, 'loki.echo "x" { }');
  const { status } = await agent.reload(
    'loki.echo "x" { }\nprometheus.remote_write "y" {\n  endpoint {\n    url = "http://user:p@ss/w#rd@host/"\n    unknown = 1\n  }\n}\n',
  );
  assert.equal(status, 400);
  await using opened = await openBrowserPage(agent.url);
  const problems = opened.page.getByRole("list", { name: "Problems" });
  await problems.getByText("The last reload failed").waitFor();
  const text = (await problems.textContent()) ?? "";
  assert.match(text, /unknown/);
  assert.doesNotMatch(text, /w#rd/);
  await opened.picture("failed-reload");
  assert.deepEqual(opened.faults, []);
});
