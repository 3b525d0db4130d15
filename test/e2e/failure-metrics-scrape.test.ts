import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";

/** Scrapes that work until the target, or what is configured about it, breaks in the ways in which that happens. */

const ID = "prometheus.scrape.t";
const NOBODY = 65_534;

interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly body?: string;
  /** Answers only after this time. */
  readonly afterMs?: number;
}

/** A target that can be changed, and that can go away and come back. */
class Target {
  page: Page = {};
  readonly #port: number;
  #server: Server | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = createServer(async (_, response) => {
      const { status = 200, type = "text/plain; version=0.0.4", body = "up_to_you 1\n", afterMs = 0 } = this.page;
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      response.writeHead(status, { "content-type": type }).end(body);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  }
}

async function startTarget(t: TestContext): Promise<Target> {
  const target = new Target(await freePort());
  await target.start();
  cleanUp(t, () => target.stop());
  return target;
}

function config(targets: string, more = ""): string {
  return `prometheus.scrape "t" {
  targets         = ${targets}
  forward_to      = [prometheus.remote_write.t.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "800ms"
  ${more}
}
prometheus.remote_write "t" {
  endpoint {
    url = "http://127.0.0.1:1/api/v1/write"
  }
}
`;
}

async function untilCause(agent: TestAgent, id: string, rule: string, cause: RegExp): Promise<string> {
  let state = "";
  await agent.until(async () => {
    const { flow } = await agent.component(id);
    ({ state } = flow);
    return flow.rule === rule && cause.test(flow.cause);
  }, `${id} has the rule ${rule} with ${cause}`);
  return state;
}

suite("failures of scrapes", { concurrency: true }, () => {
  test("a target goes away and comes back: said at once, once, and so is its end", async (t) => {
    const target = await startTarget(t);
    const other = await startTarget(t);
    const targets = `[{ __address__ = "${target.address}" }, { __address__ = "${other.address}" }]`;
    const agent = await startAgent(t, config(targets));
    await agent.untilRule(ID, "", "ok");
    await target.stop();
    const some = `1 of 2 targets fail, such as http://${target.address}/metrics: Get "http://${target.address}/metrics": ${target.address} refuses connections: nothing listens there`;
    await agent.until(async () => (await agent.component(ID)).flow.cause === some, `the cause is: ${some}`);
    assert.equal((await agent.untilRule(ID, "scrape_failed", "degraded")).cause, some);
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=prometheus\.scrape\.t cause="1 of 2 targets/,
    );
    await other.stop();
    const all = await agent.untilRule(ID, "scrape_failed", "failing");
    assert.match(all.cause, /^every scrape of 2 targets fails, such as http/);
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=prometheus\.scrape\.t cause="every scrape/,
    );
    assert.equal(await agent.ruleMetric(ID, "scrape_failed"), 1);
    await Promise.all([target.start(), other.start()]);
    await agent.untilRule(ID, "", "ok");
    await agent.untilLogged(/level=info msg="data flow recovered" .*component_id=prometheus\.scrape\.t after="/);
    agent.assertSaidSparingly(ID, "data flow failing");
    assert.equal(await agent.ruleMetric(ID, "scrape_failed"), 0);
    assert.equal(await agent.stop(), 0);
  });

  test("answers that are no pages of metrics, one after the other", async (t) => {
    const target = await startTarget(t);
    const agent = await startAgent(
      t,
      config(`[{ __address__ = "${target.address}" }]`, 'body_size_limit = "2KiB"\nsample_limit = 3'),
    );
    await agent.untilRule(ID, "", "ok");
    const cases: readonly (readonly [page: Page, rule: string, cause: RegExp])[] = [
      [{ status: 404 }, "scrape_failed", /HTTP status 404 Not Found: it has nothing at \/metrics; set metrics_path/],
      [{ status: 401 }, "scrape_failed", /HTTP status 401 Unauthorized: it refuses the credentials; check basic_auth/],
      [{ status: 500 }, "scrape_failed", /HTTP status 500 Internal Server Error: the target itself fails/],
      [
        { type: "text/html", body: "<html>\n" },
        "scrape_failed",
        /: what is at \/metrics is a web page; check the port/,
      ],
      [
        { afterMs: 3_000 },
        "scrape_failed",
        /context deadline exceeded: it did not answer within 800ms; raise scrape_timeout/,
      ],
      [{ body: "a 1\nb 1\nc 1\nd 1\n" }, "sample_limit", /sample limit exceeded: raise sample_limit/],
      [{ body: `a 1\n${"#".repeat(3_000)}\n` }, "body_size_limit", /body size limit exceeded: raise body_size_limit/],
    ];
    for (const [page, rule, cause] of cases) {
      target.page = page;
      assert.equal(await untilCause(agent, ID, rule, cause), "failing");
    }
    assert.ok((await agent.dropped(ID, "sample_limit")) >= 4);
    assert.ok(
      (await agent.metric("alloy_component_dropped_total", { component_id: ID, reason: "sample_limit" }))! >= 4,
    );
    target.page = {};
    await agent.untilRule(ID, "", "ok");
    target.page = { body: "a 1\na 2\n" };
    assert.equal(
      await untilCause(agent, ID, "duplicate_samples", /^dropped 1 samples of series that are there before/),
      "degraded",
    );
    assert.ok((await agent.dropped(ID, "duplicate_sample")) >= 1);
    assert.equal(await agent.stop(), 0);
  });

  test("targets that vanish, that are none, and too many of them", async (t) => {
    const target = await startTarget(t);
    const one = `[{ __address__ = "${target.address}" }]`;
    const relabelled = (targets: string) => `discovery.relabel "t" {
  targets = ${targets}
  rule {
    source_labels = ["__address__"]
    regex         = "127.*"
    action        = "keep"
  }
}
${config("discovery.relabel.t.output")}`;
    const agent = await startAgent(t, relabelled(one));
    await agent.untilRule(ID, "", "ok");
    assert.equal((await agent.reload(relabelled('[{ __address__ = "elsewhere:80" }]'))).status, 200);
    const none = await agent.untilRule(ID, "no_targets", "idle");
    assert.match(
      none.cause,
      /^`targets` has been empty for \d+ s: discovery\.relabel\.t gives none; look at its status$/,
    );
    const all = await agent.untilRule("discovery.relabel.t", "all_targets_dropped", "idle");
    assert.equal(all.cause, "the rules drop all of 1 targets; rule 1 drops the last of them");
    assert.equal(await agent.ruleMetric(ID, "no_targets"), 1);

    const bad = `[{ __address__ = "${target.address}" }, { instance = "x" }, { __address__ = "127.0.0.1:1", __scrape_timeout__ = "5s" }]`;
    assert.equal((await agent.reload(config(bad))).status, 200);
    const invalid = await agent.untilRule(ID, "invalid_targets", "degraded");
    assert.match(invalid.cause, /^2 of 3 targets cannot be scraped: no address in \{instance="x"\}/);
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=prometheus\.scrape\.t cause="2 of 3 targets/,
    );

    const two = `[{ __address__ = "${target.address}" }, { __address__ = "${target.address}", __metrics_path__ = "/x" }]`;
    assert.equal((await agent.reload(config(two, "target_limit = 1"))).status, 200);
    const many = await agent.untilRule(ID, "target_limit", "failing");
    assert.match(many.cause, /number of targets: 2, limit: 1\): raise target_limit/);
    assert.equal((await agent.reload(config(one))).status, 200);
    await agent.untilRule(ID, "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a host exporter that may not read, or does not find, what it is to show", {
    skip: process.getuid?.() !== 0,
  }, async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const text = join(folder, "text");
    mkdirSync(text, { mode: 0o755 });
    writeFileSync(join(text, "backup.prom"), "backup_age_seconds 7\n");
    const unix = (more: string) => `prometheus.exporter.unix "host" {
  set_collectors = ["textfile", "loadavg"]
  textfile {
    directory = "${text}"
  }
  ${more}
}
${config("prometheus.exporter.unix.host.targets")}`;
    const exporter = "prometheus.exporter.unix.host";
    const storage = join(folder, "storage");
    mkdirSync(storage);
    chownSync(storage, NOBODY, NOBODY);
    const agent = await startAgent(t, unix(""), { user: NOBODY, storage });
    await agent.untilRule(exporter, "", "ok");
    chmodSync(text, 0o700);
    const denied = await agent.untilRule(exporter, "collectors", "degraded");
    assert.equal(
      denied.cause,
      `textfile: cannot read the directory of text files: the agent's user has no permission to read ${text}; grant it, or take the collector out with disable_collectors`,
    );
    await agent.untilLogged(
      new RegExp(
        `level=warn msg="data flow degraded" .*component_id=prometheus\\.exporter\\.unix\\.host cause=".*no permission to read ${text}`,
      ),
    );
    assert.equal(await agent.ruleMetric(exporter, "collectors"), 1);
    chmodSync(text, 0o755);
    await agent.untilRule(exporter, "", "ok");
    rmSync(text, { recursive: true });
    assert.equal(
      await untilCause(agent, exporter, "collectors", new RegExp(`text files: ${text} does not exist$`)),
      "degraded",
    );
    mkdirSync(text, { mode: 0o755 });
    await agent.untilRule(exporter, "", "ok");
    assert.equal(agent.logged(exporter, "collector failed").length, 2, "not with each scrape");
    assert.equal((await agent.reload(unix('procfs_path = "/host/proc"'))).status, 200);
    const paths = await agent.untilRule(exporter, "host_paths", "degraded");
    assert.equal(paths.cause, "procfs_path: /host/proc does not exist; in a container, mount the host's there");
    assert.equal(await agent.stop(), 0);
  });
});
