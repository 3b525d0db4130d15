import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { Prometheus } from "../kit/prometheus.ts";

/** Two collectors with the same identity in front of a real Prometheus, which throws whole requests away for one sample. */

const WRITE = "prometheus.remote_write.out";

/** A target whose `requests_total` grows, with some more series that never change. */
async function startTarget(t: TestContext, more = () => ""): Promise<string> {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    const steady = Array.from({ length: 30 }, (_, i) => `steady{i="${i}"} 1`).join("\n");
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(`requests_total ${requests}\n${steady}\n${more()}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function config(target: string, url: string, deadline: string, more = ""): string {
  return `prometheus.scrape "t" {
  targets         = [{ __address__ = "${target}" }]
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}
prometheus.remote_write "out" {
  ${more}
  endpoint {
    url = "${url}/api/v1/write"
    queue_config {
      batch_send_deadline = "${deadline}"
    }
  }
}
`;
}

suite("one identity for two collectors", { concurrency: true }, () => {
  test("out of order: the series and its target are named, and external labels mend it", async (t) => {
    const target = await startTarget(t);
    const prometheus = await Prometheus.start(t);
    const late = await startAgent(t, config(target, prometheus.url, "3s"));
    await late.until(async () => (await prometheus.query("requests_total")).length === 1, "samples arrive");
    await late.untilRule(WRITE, "", "ok");
    const prompt = await startAgent(t, config(target, prometheus.url, "100ms"));
    const flow = await late.untilRule(WRITE, "rejected", "degraded");
    await late.until(
      async () => /out of order sample \(such as/.test((await late.component(WRITE)).flow.cause),
      "the series at fault is found",
    );
    assert.match(flow.cause, /^dropped \d+ samples as (out_of_order|duplicate_sample)/);
    const { cause, dropped } = (await late.component(WRITE)).flow;
    assert.match(
      cause,
      new RegExp(
        `answered 400 Bad Request: out of order sample \\(such as \\{__name__=".*", instance="${target}", job="prometheus\\.scrape\\.t"\\}, scraped here by prometheus\\.scrape\\.t from http://${target}/metrics\\); another collector sends the same series, .*external_labels`,
      ),
    );
    assert.ok(dropped.some(({ reason }) => reason === "out_of_order"));
    await late.untilLogged(
      /level=warn msg="data flow (degraded|failing)" .*component_id=prometheus\.remote_write\.out cause="dropped /,
    );
    await late.untilLogged(
      /level=error msg="non-recoverable error while sending samples" .*reason=out_of_order .*series=/,
    );
    assert.equal(await late.metric("alloy_component_flow_rule", { component_id: WRITE, rule: "rejected" }), 1);

    assert.equal(
      (await late.reload(config(target, prometheus.url, "3s", 'external_labels = { collector = "late" }'))).status,
      200,
    );
    const own = 'requests_total{collector="late"}';
    await late.until(async () => (await prometheus.query(own)).length === 1, "its own series arrive");
    const before = (await late.component(WRITE)).flow.dropped.reduce((sum, { items }) => sum + items, 0);
    const count = async () => Number((await prometheus.query(`count_over_time(${own}[1m])`))[0]?.value?.[1] ?? 0);
    const first = await count();
    await late.until(async () => (await count()) > first + 2, "more of them arrive");
    const after = (await late.component(WRITE)).flow.dropped.reduce((sum, { items }) => sum + items, 0);
    assert.equal(after, before, "nothing is dropped any more");
    assert.equal(await late.stop(), 0);
    assert.equal(await prompt.stop(), 0);
  });

  test("one sample that comes with an ever older time costs only itself", async (t) => {
    const begun = Date.now();
    let turns = 0;
    let broken = false;
    const target = await startTarget(t, () => {
      turns += broken ? 1 : 0;
      return `backwards 1 ${begun - turns * 1_000}\n`;
    });
    const prometheus = await Prometheus.start(t);
    const agent = await startAgent(t, config(target, prometheus.url, "100ms"));
    await agent.until(async () => (await prometheus.query("steady")).length === 30, "samples arrive");
    await agent.untilRule(WRITE, "", "ok");
    broken = true;
    const flow = await agent.untilRule(WRITE, "rejected", "degraded");
    assert.match(
      flow.cause,
      /out of order sample \(such as \{__name__="backwards", .*scraped here by prometheus\.scrape\.t from/,
    );
    const steady = async () => Number((await prometheus.query("sum(count_over_time(steady[1m]))"))[0]!.value![1]);
    const before = await steady();
    await agent.until(
      async () => (await steady()) > before + 30,
      "the others arrive, although Prometheus refused them all",
    );
    const lost = await agent.dropped(WRITE, "out_of_order");
    assert.ok(lost <= turns, `${lost} were dropped for ${turns} requests with one bad sample each`);
    assert.equal(await agent.stop(), 0);
  });
});
