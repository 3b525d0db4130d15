import assert from "node:assert/strict";
import { test } from "node:test";
import { SAMPLE_STALE } from "#pipeline/batch";
import { batchOf, endpoint, receiver, start, until } from "./testing.ts";

/**
 * What the specification of remote write 1.0 asks of senders (prometheus/docs, docs/specs/prw/remote_write_spec.md), one
 * test for each clause; docs/delivery-metrics.md has the table.
 */

const ONE = [{ labels: { __name__: "up", job: "a" }, value: 1 }];
const STALE_BITS = "020000000000f07f";

test("1.0 MUST: a POST to the path of the URL, with the body as protobuf in Snappy's block format", async (t) => {
  const { url, all, samples } = await receiver(t);
  const { send } = await start(t, endpoint(url.replace("/api/v1/write", "/any/path?tenant=x")));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  const [{ method, path, raw } = assert.fail()] = all;
  assert.deepEqual([method, path], ["POST", "/any/path?tenant=x"]);
  assert.notEqual(raw.subarray(4, 10).toString("latin1"), "sNaPpY", "the framed format begins so");
  assert.deepEqual(samples(), ['{__name__="up", job="a"} 1@0']);
});

test("1.0 MUST: timestamps are int64 in milliseconds, values float64", async (t) => {
  const { url, samples } = await receiver(t);
  const { send } = await start(t, endpoint(url));
  const values = [0.1, -0, 5e-324, Number.MAX_VALUE, 2 ** 53 + 2, Infinity, -Infinity, NaN];
  const times = [0, 1, -1_000, 2 ** 40, -(2 ** 42)];
  await send(values.map((value, i) => ({ labels: { __name__: "v", i: `${i}` }, value })));
  await send(times.map((at, i) => ({ labels: { __name__: "t", i: `${i}` }, value: 1, at })));
  await until("all came", () => samples().length === values.length + times.length);
  const all = samples();
  for (const [i, value] of values.entries()) {
    const found = all.find((each) => each.startsWith(`{__name__="v", i="${i}"}`))!;
    assert.ok(Object.is(Number(found.split(" ").at(-1)!.split("@")[0]), value) || value === 0, found);
  }
  for (const [i, at] of times.entries()) assert.ok(all.includes(`{__name__="t", i="${i}"} 1@${at}`));
});

test("1.0 MUST: Content-Encoding, Content-Type, User-Agent and the version 0.1.0 in the headers of each request", async (t) => {
  const { url, all } = await receiver(t);
  const { send } = await start(t, endpoint(url));
  await send(ONE);
  await until("it came", () => all.length === 1);
  const { headers } = all[0]!;
  assert.equal(headers["content-encoding"], "snappy");
  assert.equal(headers["content-type"], "application/x-protobuf");
  assert.equal(headers["x-prometheus-remote-write-version"], "0.1.0");
  assert.match(headers["user-agent"]!, /^Invar\/\S+$/);
});

test("1.0 MUST NOT: users cannot set reserved headers", async (t) => {
  for (const name of ["Content-Encoding", "content-type", "X-Prometheus-Remote-Write-Version", "User-Agent"]) {
    await assert.rejects(start(t, endpoint("http://a", `headers = { "${name}" = "x" }`)), /sets itself/, name);
    await assert.rejects(start(t, endpoint("http://a", `http_headers = { "${name}" = ["x"] }`)), /sets itself/, name);
  }
});

test("1.0 MUST: the body of a successful answer is ignored", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = (response) => {
    response.writeHead(200, { "content-type": "text/plain" }).end("error: out of order sample");
    return undefined;
  };
  const { send, component } = await start(t, endpoint(url));
  await send(ONE);
  await until("it is delivered", () => component.metric("prometheus_remote_storage_samples_total") === 1);
  assert.deepEqual([samples().length, state.asked, component.flow.droppedItems], [0, 1, 0]);
});

test("1.0 MUST, SHOULD: the complete set of labels with each sample, with a name, sorted, no name twice, none empty", async (t) => {
  const { url, samples } = await receiver(t);
  const rule = 'write_relabel_config {\ntarget_label = "zone"\nreplacement = ""\n}';
  const external = 'external_labels = { b = "2", none = "", a = "overridden" }\n';
  const { send } = await start(t, external + endpoint(url, rule));
  const labels = { zone: "gone", a: "own", __name__: "m", Z: "z", é: "e" };
  await send([{ labels, value: 1 }]);
  await send([{ labels, value: 2, at: 1 }]);
  await until("both came", () => samples().length === 2);
  const whole = '{Z="z", __name__="m", a="own", b="2", é="e"}';
  assert.deepEqual(samples(), [`${whole} 1@0`, `${whole} 2@1`]);
});

test("1.0 MUST: names that are no plain identifiers are sent as they are, as Prometheus 3 does (deliberate difference)", async (t) => {
  const { url, samples } = await receiver(t);
  const { send } = await start(t, endpoint(url));
  await send([{ labels: { __name__: "http.requests", "service.name": "x" }, value: 1 }]);
  await until("it came", () => samples().length === 1);
  assert.deepEqual(samples(), ['{__name__="http.requests", service.name="x"} 1@0']);
});

test("1.0 SHOULD: an error is logged as the backend words it", async (t) => {
  const { url, state } = await receiver(t);
  state.answer = () => ({ status: 422, body: 'what "happened" here\nis odd' });
  const { send, component } = await start(t, endpoint(url));
  await send(ONE);
  await until("it is logged", () =>
    component.logs.some(
      ({ level, fields }) =>
        level === "error" && /what "happened" here is odd/.test(JSON.stringify(fields).replaceAll("\\", "")),
    ),
  );
});

test("1.0 MUST: samples of a series arrive in the order of their times, over many lanes, whatever fails between", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = () => (state.asked % 3 === 0 ? 503 : 204);
  const queue =
    'queue_config {\nbatch_send_deadline = "5ms"\nmin_backoff = "1ms"\nmax_samples_per_send = 5\nmin_shards = 3\n}';
  const { send } = await start(t, endpoint(url, "", queue));
  const last = new Map<string, number>();
  for (let round = 0; round < 20; round++) {
    await send(Array.from({ length: 12 }, (_, i) => ({ labels: { __name__: "m", i: `${i}` }, value: 1, at: round })));
  }
  await until("all came", () => samples().length === 240);
  for (const each of samples()) {
    const [labels, at] = each.split("@") as [string, string];
    assert.ok(Number(at) > (last.get(labels) ?? -1), each);
    last.set(labels, Number(at));
  }
});

for (const status of [500, 502, 503, 504, 599]) {
  test(`1.0 MUST: a request that was answered with ${status} is sent again, as it was`, async (t) => {
    const { url, all, samples, state } = await receiver(t);
    state.answer = () => (state.asked < 3 ? status : 204);
    const { send } = await start(t, endpoint(url));
    await send(ONE);
    await until("it came", () => samples().length === 1);
    assert.equal(all.length, 3);
    for (const { raw } of all) assert.deepEqual(raw, all[0]!.raw);
    assert.deepEqual(
      all.map(({ headers }) => headers["retry-attempt"]),
      [undefined, "1", "2"],
    );
  });
}

test("1.0 MUST: a request that got no answer is sent again", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = (response) => {
    if (state.asked > 2) return 204;
    response.destroy();
    return undefined;
  };
  const { send } = await start(t, endpoint(url));
  await send(ONE);
  await until("it came", () => samples().length === 1);
});

test("1.0 MUST: pauses between attempts grow, and stay within min_backoff and max_backoff", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = () => (state.asked < 6 ? 500 : 204);
  const queue = 'queue_config {\nbatch_send_deadline = "5ms"\nmin_backoff = "40ms"\nmax_backoff = "200ms"\n}';
  const { send } = await start(t, endpoint(url, "", queue));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  const pauses = all.slice(1).map((each, i) => each.at - all[i]!.at);
  assert.equal(pauses.length, 5);
  for (const [i, pause] of pauses.entries()) assert.ok(pause >= Math.min(200, 40 * 2 ** i) - 2, `${pauses}`);
  assert.ok(pauses[4]! < 1_000, `the last pause has a bound: ${pauses}`);
});

const FINAL: readonly (readonly [status: number, reason: string])[] = [
  [400, "http_400"],
  [402, "http_402"],
  [404, "http_404"],
  [405, "http_405"],
  [409, "http_409"],
  [415, "http_415"],
  [422, "http_422"],
  [499, "http_499"],
];
for (const [status, reason] of FINAL) {
  test(`1.0 MUST NOT: a request that was answered with ${status} is not sent again, but dropped and counted`, async (t) => {
    const { url, samples, state } = await receiver(t);
    state.answer = () => (state.asked === 1 ? status : 204);
    const { send, component } = await start(t, endpoint(url));
    await send(ONE);
    await until("it is dropped", () => component.flow.dropped.get("metrics")?.get(reason) === 1);
    await send([{ ...ONE[0]!, at: 1 }]);
    await until("the next one came", () => samples().length === 1);
    assert.deepEqual([state.asked, samples()], [2, ['{__name__="up", job="a"} 1@1']]);
  });
}

for (const status of [401, 403]) {
  test(`1.0 MUST NOT: a request that was answered with ${status} is not sent again while that lasts: an empty one asks`, async (t) => {
    const { url, all, samples, state } = await receiver(t);
    state.answer = () => (state.asked <= 4 ? status : 204);
    const { send, component } = await start(t, endpoint(url));
    await send(ONE);
    await send([{ ...ONE[0]!, at: 1 }]);
    await until("both came", () => samples().length === 2);
    // The first request is refused; three questions are; the fourth is not, and then all goes on where it was.
    assert.deepEqual(
      all.slice(0, 5).map((each) => each.samples.length > 0),
      [true, false, false, false, false],
    );
    assert.equal(component.flow.droppedItems, 0);
  });
}

test("1.0 MUST NOT: a request that was answered with 413 is not sent again, but its halves are", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (_, request) => (request.samples.length > 3 ? 413 : 204);
  const { send, component } = await start(t, endpoint(url));
  await send(Array.from({ length: 10 }, (_, i) => ({ labels: { __name__: "m", i: `${i}` }, value: i })));
  await until("all came", () => samples().length === 10);
  assert.deepEqual(
    all.map((each) => each.samples.length),
    [10, 5, 3, 2, 5, 3, 2],
  );
  assert.deepEqual(
    samples().map((each) => each.split(" ").at(-1)),
    Array.from({ length: 10 }, (_, i) => `${i}@0`),
  );
  assert.equal(component.flow.droppedItems, 0);
  assert.equal(component.metric("prometheus_remote_storage_samples_total"), 10);
  assert.ok(component.logs.some(({ message }) => /too large for the endpoint and are sent in halves/.test(message)));
});

test("a single sample that is too large is dropped, with its labels", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = (_, request) => (request.raw.length > 500 ? 413 : 204);
  const { send, component } = await start(t, endpoint(url));
  const large = Array.from({ length: 2_000 }, (_, i) => i).join("-");
  await send([
    { labels: { __name__: "a" }, value: 1 },
    { labels: { __name__: "large", large }, value: 1 },
    { labels: { __name__: "b" }, value: 1 },
  ]);
  await until("the others came", () => samples().length === 2);
  await until("it is dropped", () => component.flow.dropped.get("metrics")?.get("payload_too_large") === 1);
  assert.match(component.flow.status.cause, /as payload_too_large .*\{__name__="large"/);
});

test("1.0 MAY: 429 is tried again, not before Retry-After; or dropped with retry_on_http_429 = false", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (response) => {
    if (state.asked > 1) return 204;
    response.setHeader("retry-after", "1");
    return 429;
  };
  const { send } = await start(t, endpoint(url));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  assert.ok(all[1]!.at - all[0]!.at >= 990);
  const other = await receiver(t);
  other.state.answer = () => 429;
  const queue = 'queue_config {\nbatch_send_deadline = "5ms"\nretry_on_http_429 = false\n}';
  const second = await start(t, endpoint(other.url, "", queue));
  await second.send(ONE);
  await until("it is dropped", () => second.component.flow.dropped.get("metrics")?.get("rate_limited") === 1);
  assert.equal(other.state.asked, 1);
});

test("1.0 MUST: a stale marker is the NaN 0x7ff0000000000002, and no other sample is", async (t) => {
  const { url, all } = await receiver(t);
  const { component } = await start(t, endpoint(url));
  const batch = batchOf(component.services.series, [
    { labels: { __name__: "stale" } },
    { labels: { __name__: "nan" }, value: NaN },
  ]);
  // A source may hand on a NaN with any bits.
  new BigUint64Array(batch.value.buffer)[1] = 0x7ff0000000000002n;
  assert.deepEqual([...batch.flags], [SAMPLE_STALE, 0]);
  await component.exports.receiver.consume(batch, new AbortController().signal);
  await until("it came", () => all.length === 1);
  const { body } = all[0]!;
  const hex = Buffer.from(body).toString("hex");
  assert.equal(hex.split(STALE_BITS).length, 2, hex);
  assert.match(hex, /010000000000f87f/, "the NaN that is none");
});
