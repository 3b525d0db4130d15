import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { ScrapeDirectory } from "#kits/scrape/directory";
import type { TestComponent } from "#pipeline/testing";
import { endpoint, receiver, start, until } from "./testing.ts";

const one = [{ labels: { __name__: "m" }, value: 1 }];
const RULE = (component: Pick<TestComponent<unknown, unknown>, "flow">) => {
  const { state, rule } = component.flow.status;
  return `${state} ${rule}`;
};

test("an endpoint that is down, slow or limits the tenant has a rule each, and nothing is lost", async (t) => {
  const { url, state, samples } = await receiver(t);
  const { send, component } = await start(t, endpoint(url));
  state.answer = () => ({ status: 503, body: "out of memory" });
  await send(one);
  await until("it is down", () => RULE(component) === "failing endpoint_down");
  assert.match(component.flow.status.cause, /answered 503 Service Unavailable: out of memory/);
  state.answer = () => 429;
  await until("it is limited", () => RULE(component) === "failing rate_limited");
  state.answer = () => 204;
  await until("it is fine", () => component.flow.status.state === "ok");
  assert.deepEqual([samples().length, component.flow.dropped.size], [1, 0]);
  assert.equal(component.logs.filter(({ level }) => level === "warn").length, 1, "one line for the whole outage");
  assert.equal(component.logs.filter(({ message }) => message === "samples are delivered again").length, 1);
});

test("refused credentials: what to do depends on what was sent, and a change is tried at once", async (t) => {
  const { url, state, samples } = await receiver(t);
  state.answer = (_, { headers }) =>
    headers["x-scope-orgid"] === "team" && headers.authorization !== undefined
      ? 204
      : { status: 401, body: "no org id" };
  // A pause so long that only the change ends it.
  const queue = 'queue_config {\nbatch_send_deadline = "20ms"\nmax_backoff = "1m"\n}';
  const { send, component } = await start(t, endpoint(url, "", queue));
  await send(one);
  await until("it is refused", () => RULE(component) === "failing unauthorized");
  assert.match(
    component.flow.status.cause,
    /401 Unauthorized: no org id \(the backend has several tenants: set headers = /,
  );
  state.answer = (_, { headers }) => (headers.authorization === "Bearer right" ? 204 : { status: 403, body: "" });
  const cases: [string, RegExp][] = [
    ["", /403 Forbidden \(it wants credentials and none are configured: set basic_auth, authorization/],
    ['basic_auth {\nusername = "u"\n}', /basic_auth\.password is empty: set it, or the environment variable/],
    ['bearer_token = "wrong"', /\(check bearer_token, and the tenant/],
  ];
  for (const [more, cause] of cases) {
    await component.update(endpoint(url, more, queue));
    await until(String(cause), () => cause.test(component.flow.status.cause));
  }
  await component.update(endpoint(url, 'bearer_token = "right"', queue));
  await until("it is fine", () => component.flow.status.state === "ok");
  assert.deepEqual([samples().length, component.flow.dropped.size], [1, 0]);
});

test("a wrong path is told with the paths that there are; TLS on one side only loses nothing", async (t) => {
  const { url, state, samples } = await receiver(t);
  state.answer = () => ({ status: 404, body: "page not found" });
  const { send, component } = await start(t, endpoint(url));
  await send(one);
  await until("it is rejected", () => RULE(component) === "failing rejected");
  assert.match(
    component.flow.status.cause,
    /^dropped 1 samples as http_404 in the last 5 min: .* answered 404 Not Found: page not found; the path of `url` is wrong, and what is sent is dropped: should it be \/api\/v1\/write/,
  );
  state.answer = () => ({ status: 400, body: "Client sent an HTTP request to an HTTPS server." });
  await send(one);
  await until("it wants TLS", () => RULE(component) === "failing wrong_url");
  assert.match(component.flow.status.cause, /use https:\/\/ in `url`/);
  state.answer = () => 204;
  await until("it came", () => samples().length === 1);
  assert.equal(component.flow.droppedItems, 1);
});

test("rejected samples: the series, who scrapes it here, and the good ones of the same request arrive", async (t) => {
  const { url, state, samples } = await receiver(t);
  state.answer = (_, { samples: got }) =>
    got.some((each) => each.includes("bad")) ? { status: 400, body: "out of order sample" } : 204;
  const { send, component } = await start(t, endpoint(url));
  const target = { job: "x", instance: "a:1" };
  ScrapeDirectory.of(component.services.series).add({
    componentId: "prometheus.scrape.a",
    href: "http://a:1/metrics",
    shownUrl: "http://a:1/metrics",
    labels: Labels.from(Object.entries(target)),
  });
  await send([
    ...Array.from({ length: 20 }, (_, i) => ({ labels: { __name__: "good", i: String(i), ...target }, value: i })),
    { labels: { __name__: "bad", ...target }, value: 1 },
  ]);
  await until("the good ones came", () => samples().length === 20);
  await until("the bad one is told of", () => RULE(component) === "degraded rejected");
  assert.match(
    component.flow.status.cause,
    /^dropped 1 samples as out_of_order in the last 5 min: .*out of order sample \(such as \{__name__="bad", instance="a:1", job="x"\}, scraped here by prometheus\.scrape\.a from http:\/\/a:1\/metrics\); another collector sends the same series.*external_labels/,
  );
  assert.deepEqual([...component.flow.dropped.get("metrics")!], [["out_of_order", 1]]);
  assert.equal(component.metric("prometheus_remote_storage_samples_failed_total"), 1);
  assert.equal(component.metric("prometheus_remote_storage_samples_total"), 20);
  for (let i = 0; i < 3; i++) await send([{ labels: { __name__: "bad" }, value: i, at: i }]);
  await until("all are counted", () => component.flow.droppedItems === 4);
  const lines = component.logs.filter(({ level }) => level === "error");
  assert.equal(lines.length, 1, "the log is not flooded");
});

test("with several endpoints one that fails only degrades, and is named", async (t) => {
  const [bad, good] = [await receiver(t), await receiver(t)];
  bad.state.answer = () => 401;
  const { send, component } = await start(t, endpoint(bad.url) + endpoint(good.url));
  await send(one);
  await until("one is refused", () => RULE(component) === "degraded unauthorized");
  assert.match(component.flow.status.cause, new RegExp(`^${new URL(bad.url).host} answered 401`));
  good.state.answer = () => 503;
  await send(one);
  await until("both fail", () => component.flow.status.state === "failing");
});

test("a clock that is minutes apart from the backend's degrades the flow", async (t) => {
  const server = createServer((_, response) => {
    response.setHeader("date", new Date(Date.now() + 7 * 60_000).toUTCString());
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const { send, component } = await start(t, endpoint(`http://127.0.0.1:${port}/api/v1/write`));
  for (let i = 0; i < 2; i++) {
    await send([{ ...one[0]!, at: i }]);
    await until("it was sent", () => component.metric("prometheus_remote_storage_samples_total") === i + 1);
  }
  component.flow.judge();
  assert.equal(RULE(component), "degraded clock_skew");
  assert.match(component.flow.status.cause, /this machine's clock is 7 min behind that of 127\.0\.0\.1:\d+/);
});

test("write_relabel_config with labels of targets degrades the flow", async (t) => {
  const { url } = await receiver(t);
  const rule = 'write_relabel_config {\nsource_labels = ["__meta_x"]\ntarget_label = "x"\n}';
  const { component } = await start(t, endpoint(url, rule));
  component.flow.judge();
  assert.equal(RULE(component), "degraded misplaced_label");
  assert.match(component.flow.status.cause, /^write_relabel_config 1 uses __meta_x, which no sample has/);
});
