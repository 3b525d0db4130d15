import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { NumberedPages, ScrapeRecord } from "../kit/numbered-pages.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink, type SinkAnswer } from "../kit/sink.ts";

/** A pipeline that delivers samples meets a backend that refuses them; the answers are those of Mimir. */

const WRITE = "prometheus.remote_write.out";
const PAGE = "/page/0";

function config(pages: NumberedPages, url: string, more = ""): string {
  return `prometheus.scrape "t" {
  targets         = ${pages.targets(1)}
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"
}
prometheus.remote_write "out" {
  endpoint {
    url = "${url}/api/v1/write"
    ${more}
    queue_config {
      batch_send_deadline = "100ms"
      min_backoff         = "50ms"
      max_backoff         = "200ms"
    }
  }
}
`;
}

async function prepare(t: TestContext, more = "", environment: Readonly<Record<string, string>> = {}) {
  const pages = await NumberedPages.start(t);
  const numbers: number[] = [];
  const record = new ScrapeRecord();
  const onBody = (_path: string, body: Uint8Array) => {
    for (const series of decodeWrite(body)) {
      record.add(series);
      if (series.labels.get("__name__") !== "scrape_number") continue;
      for (const { value } of series.samples) if (!Number.isNaN(value)) numbers.push(value);
    }
  };
  const sink = await Sink.start(onBody);
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(t, config(pages, sink.url, more), { environment });
  return {
    agent,
    sink,
    numbers,
    onBody,
    /** Whether every scrape from the first that arrived to the last did, but for those that failed in the agent. */
    isComplete: () => {
      const seen = new Set(numbers);
      let missing = 0;
      for (let i = Math.min(...seen); i < Math.max(...seen); i++) if (!seen.has(i)) missing += 1;
      return missing <= record.failed(PAGE);
    },
    instance: /127\.0\.0\.1:\d+/.exec(pages.targets(1))![0],
    config: (url: string, next = "") => config(pages, url, next),
    /** The backend answers so from now on. */
    answer: (answer: SinkAnswer) => {
      sink.answer = () => answer;
    },
  };
}

const mimir = (what: string) =>
  `failed pushing to ingester mimir-0: user=a: ${what}. The affected sample has timestamp 2026-01-01T00:00:00Z and is from series {__name__="scrape_number", instance="INSTANCE", job="prometheus.scrape.t", page="0"}`;

suite("failures of delivering metrics", { concurrency: true }, () => {
  test("no tenant: failing with what to set; all is kept, and delivered when it is mended", async (t) => {
    const { agent, answer, numbers, isComplete } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    answer({ status: 401, body: "no org id" });
    const flow = await agent.untilRule(WRITE, "unauthorized", "failing");
    assert.match(
      flow.cause,
      /^127\.0\.0\.1:\d+ answered 401 Unauthorized: no org id \(the backend has several tenants: set headers = \{ "X-Scope-OrgID" = "TENANT" \}\)$/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=prometheus\.remote_write\.out cause="127.*no org id/,
    );
    assert.equal(await agent.ruleMetric(WRITE, "unauthorized"), 1);
    const before = numbers.length;
    const growing = (await agent.component(WRITE)).flow.queue!.bytes;
    await agent.until(
      async () => (await agent.component(WRITE)).flow.queue!.bytes > growing,
      "what comes meanwhile waits on disk",
    );
    agent.assertSaidSparingly(WRITE, "data flow failing");
    assert.equal(numbers.length, before);
    answer({ status: 204 });
    await agent.untilRule(WRITE, "", "ok");
    await agent.until(() => numbers.length > before + 2 && isComplete(), "what was kept is delivered");
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    await agent.untilLogged(
      /msg="data flow recovered" .*component_id=prometheus\.remote_write\.out after="127.* dropped=0/,
    );
    assert.equal(await agent.ruleMetric(WRITE, "unauthorized"), 0);
    assert.equal(await agent.stop(), 0);
  });

  test("an empty password from a variable that is not set; two authentications at once", async (t) => {
    const password = 'basic_auth {\n      username = "u"\n      password = sys.env("BACKEND_PASSWORD")\n    }';
    const { agent, sink, numbers, isComplete, config: configured } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    sink.answer = () => ({ status: 401, body: "" });
    assert.equal((await agent.reload(configured(sink.url, password))).status, 200);
    const flow = await agent.untilRule(WRITE, "unauthorized", "failing");
    await agent.until(
      async () => /basic_auth\.password is empty/.test((await agent.component(WRITE)).flow.cause),
      `the cause names the password: ${flow.cause}`,
    );
    await agent.untilLogged(
      /level=warn msg="\\"password\\" is empty: the environment variable BACKEND_PASSWORD is not set" .*component_id=prometheus\.remote_write\.out at=.*config\.alloy:\d+:18 hint="set BACKEND_PASSWORD where/,
    );
    const both = await agent.reload(configured(sink.url, `${password}\n    bearer_token = "x"`));
    assert.equal(both.status, 400);
    assert.match(both.text, /`basic_auth` is one authentication of several/);
    sink.answer = () => ({ status: 204 });
    assert.equal((await agent.reload(configured(sink.url))).status, 200);
    await agent.untilRule(WRITE, "", "ok");
    await agent.until(() => isComplete(), "nothing is lost");
    assert.equal(await agent.stop(), 0);
  });

  test("a path that is not there: dropped, counted, with the paths that there are", async (t) => {
    const { agent, answer, numbers } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    answer({ status: 404, body: "404 page not found" });
    const flow = await agent.untilRule(WRITE, "rejected", "failing");
    assert.match(
      flow.cause,
      /^dropped \d+ samples as http_404 in the last 5 min: .*the path of `url` is wrong, and what is sent is dropped: should it be \/api\/v1\/write .*, \/api\/v1\/push \(Mimir\)/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=prometheus\.remote_write\.out cause="dropped /,
    );
    assert.ok((await agent.metric("alloy_component_dropped_total", { component_id: WRITE, reason: "http_404" }))! > 0);
    answer({ status: 204 });
    await agent.untilRule(WRITE, "rejected", "degraded");
    agent.assertSaidSparingly(WRITE, "non-recoverable error while sending samples");
    assert.equal(await agent.stop(), 0);
  });

  test("samples that the backend rejects: a reason each, the series, and who scrapes it here", async (t) => {
    const { agent, answer, numbers, instance } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    const kinds: readonly (readonly [reason: string, text: string, says: RegExp])[] = [
      [
        "out_of_order",
        mimir(
          "the sample has been rejected because another sample with a more recent timestamp has already been ingested and out-of-order samples are not allowed (err-mimir-sample-out-of-order)",
        ),
        /another collector sends the same series, .*give each collector external_labels of its own/,
      ],
      [
        "duplicate_sample",
        mimir(
          "the sample has been rejected because another sample with the same timestamp, but a different value, has already been ingested (err-mimir-sample-duplicate-timestamp)",
        ),
        /give each collector external_labels of its own/,
      ],
      [
        "too_old",
        mimir("the sample has been rejected because its timestamp is too old (err-mimir-sample-timestamp-too-old)"),
        /samples that waited for long in the queue may be lost so/,
      ],
      [
        "series_limit",
        "failed pushing to ingester mimir-0: user=a: per-user series limit of 150000 exceeded (err-mimir-max-series-per-user). To adjust the related per-tenant limit, configure -ingester.max-global-series-per-user, or contact your service administrator.",
        /the tenant may not have more series/,
      ],
      [
        "invalid_labels",
        "received a series whose number of labels exceeds the limit (actual: 41, limit: 40) series: 'x' (err-mimir-max-label-names-per-series)",
        /mend the labels where they are exposed/,
      ],
    ];
    for (const [reason, text, says] of kinds) {
      const before = new Map(
        (await agent.component(WRITE)).flow.dropped.map(({ reason: each, items }) => [each, items]),
      );
      answer({ status: 400, body: text.replace("INSTANCE", instance) });
      await agent.until(
        async () => (await agent.dropped(WRITE, reason)) > (before.get(reason) ?? 0),
        `drops as ${reason}`,
      );
      answer({ status: 204 });
      await agent.until(async () => {
        const { flow } = await agent.component(WRITE);
        return flow.rule === "rejected" && flow.cause.includes(`as ${reason}`);
      }, `the status names ${reason}`);
      if (before.size > 0) continue;
      const { cause } = (await agent.component(WRITE)).flow;
      assert.match(cause, says);
      assert.match(
        cause,
        new RegExp(`page="0"\\} \\(scraped here by prometheus\\.scrape\\.t from http://${instance}/page/0\\); another`),
      );
    }
    assert.equal(await agent.stop(), 0);
  });

  test("a clock that is minutes behind the backend's", async (t) => {
    const { agent, sink, numbers } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    const date = () => new Date(Date.now() + 7 * 60_000).toUTCString();
    sink.answer = () => ({ status: 204, headers: { date: date() } });
    const flow = await agent.untilRule(WRITE, "clock_skew", "degraded");
    assert.match(flow.cause, /^this machine's clock is 7 min behind that of 127\.0\.0\.1:\d+.*: timestamps are wrong/);
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=prometheus\.remote_write\.out cause="this machine/,
    );
    assert.equal(await agent.ruleMetric(WRITE, "clock_skew"), 1);
    sink.answer = () => ({ status: 204 });
    await agent.untilRule(WRITE, "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a backend that is gone while scrapes go on: the queue on disk grows, and loses nothing", async (t) => {
    const { agent, sink, numbers, onBody, isComplete } = await prepare(t);
    await agent.until(() => numbers.length > 1, "samples arrive");
    const { port } = sink;
    await sink.stop();
    const flow = await agent.untilRule(WRITE, "endpoint_down", "failing");
    assert.match(flow.cause, new RegExp(`^127\\.0\\.0\\.1:${port} refuses connections: nothing listens there$`));
    const bytes = () => agent.metric("alloy_component_queue_bytes", { component_id: WRITE });
    const first = (await bytes())!;
    await agent.until(async () => (await bytes())! > first * 2, "the queue grows");
    assert.equal(await agent.metric("alloy_component_queue_limit_bytes", { component_id: WRITE }), 4 * 2 ** 30);
    assert.ok((await agent.metric("alloy_component_queue_oldest_seconds", { component_id: WRITE }))! > 0);
    await agent.untilRule("prometheus.scrape.t", "", "ok"); // sources do not wait
    const again = await Sink.start(onBody, port);
    cleanUp(t, () => again.stop());
    await agent.untilRule(WRITE, "", "ok");
    await agent.until(async () => (await bytes()) === 0 && isComplete(), "everything came");
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    agent.assertSaidSparingly(WRITE, "data flow failing");
    assert.equal(await agent.stop(), 0);
  });
});
