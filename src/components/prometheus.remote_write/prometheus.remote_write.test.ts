import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { type Clock, systemClock } from "#base/clock";
import { batchOf, endpoint, folder, NOW, receiver, start, until } from "./testing.ts";

test("sends what it accepted, with the protocol's headers", async (t) => {
  const { url, requests, samples } = await receiver(t);
  const { send, component } = await start(
    t,
    `external_labels = { env = "prod", a = "not used" }\n${endpoint(url, 'headers = { "X-Scope-OrgID" = "team" }')}`,
  );
  let safe = 0;
  await send([{ labels: { __name__: "m", a: "1" }, value: 1.5 }, { labels: { __name__: "m" } }], () => safe++);
  assert.equal(safe, 1);
  await until("both came", () => samples().length === 2);
  assert.deepEqual(samples(), [
    '{__name__="m", a="1", env="prod"} 1.5@0',
    '{__name__="m", a="not used", env="prod"} stale@0',
  ]);
  const [{ headers } = assert.fail()] = requests;
  assert.equal(headers["content-type"], "application/x-protobuf");
  assert.equal(headers["content-encoding"], "snappy");
  assert.equal(headers["x-prometheus-remote-write-version"], "0.1.0");
  assert.equal(headers["x-scope-orgid"], "team");
  await until("it is accounted for", () => component.metric("prometheus_remote_storage_samples_total") === 2);
  assert.equal(component.metric("prometheus_remote_write_wal_samples_appended_total"), 2);
  assert.equal(component.metric("prometheus_remote_write_wal_storage_active_series"), 2);
  assert.equal(component.flow.status.state, "ok");
  assert.equal(component.flow.queue!.bytes, 0);
});

test("joins small batches into one request and cuts large ones", async (t) => {
  const { url, requests, samples } = await receiver(t);
  const queue = 'queue_config {\nbatch_send_deadline = "100ms"\nmax_samples_per_send = 10\n}';
  const { send } = await start(t, endpoint(url, "", queue));
  for (let i = 0; i < 5; i++) await send([{ labels: { __name__: "small", i: `${i}` }, value: i }]);
  await until("the small ones came", () => samples().length === 5);
  assert.equal(requests.length, 1);
  await send(Array.from({ length: 25 }, (_, i) => ({ labels: { __name__: "large", i: `${i}` }, value: i })));
  await until("the large one came", () => samples().length === 30);
  assert.deepEqual(
    requests.slice(1).map((each) => each.samples.length),
    [10, 10, 5],
  );
});

test("relabels for each endpoint on its own", async (t) => {
  const all = await receiver(t);
  const some = await receiver(t);
  const rule = 'write_relabel_config {\nsource_labels = ["__name__"]\nregex = "go_.*"\naction = "drop"\n}';
  const { send, component } = await start(t, endpoint(all.url) + endpoint(some.url, rule));
  await send([
    { labels: { __name__: "go_x" }, value: 1 },
    { labels: { __name__: "y" }, value: 2 },
  ]);
  await until("both endpoints have theirs", () => all.samples().length === 2 && some.samples().length === 1);
  assert.deepEqual(some.samples(), ['{__name__="y"} 2@0']);
  assert.equal(component.metric("prometheus_remote_storage_samples_dropped_total", { reason: "dropped_series" }), 1);
  assert.equal(component.flow.dropped.get("metrics")!.get("write_relabel_config"), 1);
});

test("repeats what may pass later, and says so", async (t) => {
  const { url, samples, state } = await receiver(t);
  const answers = [500, 503, 429];
  state.answer = () => answers.shift() ?? 204;
  const { send, component } = await start(t, endpoint(url));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it came", () => samples().length === 1);
  assert.equal(state.asked, 4);
  assert.equal(component.metric("prometheus_remote_storage_samples_retried_total"), 3);
  assert.equal(component.logs.filter(({ level }) => level === "warn").length, 1);
  await until("it recovered", () => component.flow.status.state === "ok");
  assert.match(component.flow.lastError!.message, /answered 429 Too Many Requests: because of the test/);
});

test("waits as long as Retry-After says", async (t) => {
  const { url, samples, state } = await receiver(t);
  let refusedAt = 0;
  state.answer = (response) => {
    if (refusedAt > 0) return 204;
    refusedAt = Date.now();
    response.setHeader("retry-after", "1");
    return 503;
  };
  const { send } = await start(t, endpoint(url));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it came", () => samples().length === 1);
  assert.ok(Date.now() - refusedAt >= 990);
});

test("drops what is refused for good, with a reason, and only that", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = (_, { samples: got }) => (got.some((each) => each.includes("bad")) ? 400 : 204);
  const { send, component } = await start(t, endpoint(url));
  await send([{ labels: { __name__: "good" }, value: 1 }]);
  await send([{ labels: { __name__: "bad" }, value: 2 }]);
  await send([{ labels: { __name__: "fine" }, value: 3 }]);
  await until("the others came", () => samples().length === 2);
  assert.equal(component.flow.dropped.get("metrics")!.get("http_400"), 1);
  assert.equal(component.metric("prometheus_remote_storage_samples_failed_total"), 1);
  await until("nothing is pending", () => component.metric("prometheus_remote_storage_samples_pending") === 0);
});

test("keeps everything while credentials are refused, and is failing", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = () => 401;
  const { send, component } = await start(t, endpoint(url));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it is failing", () => component.flow.status.state === "failing");
  assert.match(
    component.flow.status.cause,
    /answered 401 Unauthorized: because of the test \(it wants credentials and none are configured/,
  );
  assert.equal(component.metric("prometheus_remote_storage_samples_pending"), 1);
  state.answer = () => 204;
  await until("it came", () => samples().length === 1);
  assert.equal(component.flow.dropped.size, 0);
});

test("goes on after a restart where it stopped", async (t) => {
  const { url, samples, state } = await receiver(t);
  const dataPath = await folder(t);
  state.answer = () => 503;
  const first = await start(t, endpoint(url), dataPath);
  for (let i = 0; i < 20; i++) await first.send([{ labels: { __name__: "m", i: `${i}` }, value: i }]);
  await until("it is failing", () => first.component.flow.status.state === "failing");
  await first.component.stop();
  state.answer = () => 204;
  const second = await start(t, endpoint(url), dataPath);
  await until("all came", () => samples().length === 20);
  await second.send([{ labels: { __name__: "m", i: "new" }, value: 0 }]);
  await until("the new one came", () => samples().length === 21);
  assert.equal(new Set(samples()).size, 21);
  assert.ok(second.component.logs.some(({ message }) => /going on with what was not delivered/.test(message)));
});

test("an endpoint that is down does not stop another, and is named", async (t) => {
  const up = await receiver(t);
  const down = await receiver(t);
  down.state.answer = () => 500;
  const { send, component } = await start(t, endpoint(up.url) + endpoint(down.url));
  for (let i = 0; i < 10; i++) await send([{ labels: { __name__: "m" }, value: i, at: i }]);
  await until("the other has all", () => up.samples().length === 10);
  await until("it is degraded", () => component.flow.status.state === "degraded");
  assert.match(component.flow.status.cause, new RegExp(new URL(down.url).host));
});

test("keeps the order of each series with many shards and changing numbers of them", async (t) => {
  const { url, samples, state } = await receiver(t);
  const queue = (shards: number) =>
    `queue_config {\nbatch_send_deadline = "5ms"\nmin_backoff = "1ms"\nmax_samples_per_send = 7\nmin_shards = ${shards}\nmax_shards = ${shards}\n}`;
  const { send, component } = await start(t, endpoint(url, "", queue(4)));
  let asked = 0;
  state.answer = () => (asked++ % 5 === 0 ? 500 : 204);
  for (let round = 0; round < 30; round++) {
    if (round % 10 === 9) await component.update(endpoint(url, "", queue(1 + (round % 4))));
    await send(
      Array.from({ length: 20 }, (_, i) => ({ labels: { __name__: "m", i: `${i}` }, value: round, at: round })),
    );
  }
  await until("all came", () => samples().length >= 600);
  assert.equal(samples().length, 600);
  for (let i = 0; i < 20; i++) {
    const own = samples().filter((each) => each.startsWith(`{__name__="m", i="${i}"}`));
    assert.deepEqual(
      own.map((each) => Number(each.split("@")[1])),
      Array.from({ length: 30 }, (_, round) => round),
    );
  }
});

test("a stop waits until everything is delivered", async (t) => {
  const { url, samples } = await receiver(t);
  const { send, component } = await start(t, endpoint(url, "", 'queue_config {\nbatch_send_deadline = "1h"\n}'));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  assert.equal(samples().length, 0);
  await component.stop();
  assert.equal(samples().length, 1);
});

test("sends metadata", async (t) => {
  const { url, requests } = await receiver(t);
  const { component } = await start(t, endpoint(url, 'metadata_config {\nsend_interval = "1s"\n}'));
  const batch = batchOf(component.services.series, []);
  batch.metadata = [{ family: "m", type: "counter", help: "Some help.", unit: "" }];
  await component.exports.receiver.consume(batch, new AbortController().signal);
  await until("it came", () => requests.some((each) => each.metadata.length > 0));
  assert.deepEqual(requests.find((each) => each.metadata.length > 0)!.metadata, ["m counter Some help."]);
});

test("takes changed arguments and endpoints without losing what is queued", async (t) => {
  const one = await receiver(t);
  const other = await receiver(t);
  one.state.answer = () => 503;
  const { send, component } = await start(t, endpoint(one.url));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await component.update(`external_labels = { x = "y" }\n${endpoint(one.url)}${endpoint(other.url)}`);
  one.state.answer = () => 204;
  await send([{ labels: { __name__: "m" }, value: 2 }]);
  await until("all came", () => one.samples().length === 2 && other.samples().length === 1);
  assert.deepEqual(one.samples(), ['{__name__="m"} 1@0', '{__name__="m", x="y"} 2@0']);
  await component.update(endpoint(other.url));
  await send([{ labels: { __name__: "m" }, value: 3 }]);
  await until("the other has it", () => other.samples().length === 2);
  assert.equal(one.samples().length, 2);
});

test("waits for a folder that cannot be used, says why, and goes on once it can", async (t) => {
  const { url, samples } = await receiver(t);
  const parent = await folder(t);
  const dataPath = join(parent, "data");
  await writeFile(dataPath, "in the way");
  const { send, component } = await start(t, endpoint(url), dataPath);
  const sent = send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it is failing", () => component.flow.status.state === "failing");
  assert.match(component.flow.status.cause, /cannot open the queue in/);
  await rm(dataPath);
  await sent;
  await until("it came", () => samples().length === 1);
  await until("nothing is wrong any more", () => component.flow.status.state === "ok");
});

test("half-open connections and answers that never come are given up", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = () => (state.asked === 1 ? undefined : 204);
  const { send, component } = await start(t, endpoint(url, 'remote_timeout = "100ms"'));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it came", () => samples().length === 1);
  assert.match(component.flow.lastError!.message, /did not answer within 100ms/);
});

test("endpoints of one URL are told apart by user, headers and rules", async (t) => {
  const { url, requests } = await receiver(t);
  const tenant = (name: string) => endpoint(url, `headers = { "X-Scope-OrgID" = "${name}" }`);
  const { send, component } = await start(t, tenant("a") + tenant("b"));
  const tenants = () => new Set(requests.map(({ headers }) => headers["x-scope-orgid"]));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("both have it", () => tenants().size === 2);
  await component.update(tenant("b") + tenant("a"));
  assert.equal(component.flow.status.state, "ok", "a new order changes nothing");
});

test("credentials in the URL are sent and shown nowhere", async (t) => {
  const { url, state } = await receiver(t);
  let authorization: string | undefined;
  state.answer = (_response, { headers }) => {
    authorization = headers.authorization;
    return 400;
  };
  const { send, component } = await start(t, endpoint(url.replace("//", "//user:se:cr%2Fet@")));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it is dropped", () => component.flow.dropped.size === 1);
  assert.equal(authorization, `Basic ${Buffer.from("user:se:cr/et").toString("base64")}`);
  const metrics = component.services.metrics.collect().flatMap(({ samples }) => samples);
  const { status, lastError } = component.flow;
  const shown = inspect([status, lastError, component.logs, metrics], { depth: 10, maxArrayLength: null });
  assert.match(shown, /http:\/\/127\.0\.0\.1:\d+\/api\/v1\/write/);
  assert.doesNotMatch(shown, /se:cr|cr%2Fet|cr\/et/);
});

test("samples beyond sample_age_limit are dropped when they come, and when they have waited for so long", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = () => 503;
  const queue =
    'queue_config {\nbatch_send_deadline = "5ms"\nmin_backoff = "5ms"\nmax_backoff = "20ms"\nsample_age_limit = "500ms"\n}';
  const { send, component } = await start(t, endpoint(url, "", queue));
  const age = Date.now() - NOW;
  await send([
    { labels: { __name__: "old" }, value: 1, at: age - 60_000 },
    { labels: { __name__: "new" }, value: 1, at: age },
  ]);
  assert.deepEqual([...component.flow.dropped.get("metrics")!], [["too_old", 1]]);
  assert.equal(component.metric("prometheus_remote_storage_samples_dropped_total", { reason: "too_old" }), 1);
  await until(
    "the other one has waited for too long",
    () => component.flow.dropped.get("metrics")!.get("too_old") === 2,
  );
  state.answer = () => 204;
  await send([{ labels: { __name__: "newer" }, value: 1, at: Date.now() - NOW }]);
  await until("it came", () => samples().length === 1);
  assert.match(samples()[0]!, /newer/);
});

test("a longer max_keepalive_time counts for what waits already", async (t) => {
  const { url, samples, state } = await receiver(t);
  const clock = new SkewedClock();
  state.answer = () => 503;
  const wal = (time: string) => `wal {\nmin_keepalive_time = "1s"\nmax_keepalive_time = "${time}"\n}\n`;
  const { send, component } = await start(t, wal("1m") + endpoint(url), undefined, { clock });
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await component.update(wal("1h") + endpoint(url));
  clock.skewMs = 30 * 60_000;
  await send([{ labels: { __name__: "m" }, value: 2, at: 1 }]);
  state.answer = () => 204;
  await until("both came", () => samples().length === 2);
  assert.equal(component.flow.droppedItems, 0);
});

/** The real time, put forward. */
class SkewedClock implements Clock {
  skewMs = 0;
  now() {
    return systemClock.now() + this.skewMs;
  }
  monotonic() {
    return systemClock.monotonic() + this.skewMs;
  }
  sleep(ms: number, signal?: AbortSignal) {
    return systemClock.sleep(ms, signal);
  }
}

test("with round_robin_dns a host is looked up for each connection", async (t) => {
  const { url, samples } = await receiver(t);
  const named = url.replace("127.0.0.1", "localhost");
  const { send } = await start(t, endpoint(named, "round_robin_dns = true"));
  await send([{ labels: { __name__: "m" }, value: 1 }]);
  await until("it came", () => samples().length === 1);
});

test("wrong arguments are refused", async (t) => {
  const cases: [string, RegExp][] = [
    [endpoint("nonsense"), /`url` is no HTTP URL/],
    [endpoint("http://a") + endpoint("http://a"), /same `url`, user and headers and no name/],
    [endpoint("http://a", 'protobuf_message = "io.prometheus.write.v3.Request"'), /protobuf_message/],
    [endpoint("http://a", 'headers = { "Content-Type" = "x" }'), /sets itself/],
    ['wal {\nmin_keepalive_time = "9h"\n}', /must be greater than `min_keepalive_time`/],
  ];
  for (const [config, message] of cases) await assert.rejects(start(t, config), message, config);
});
