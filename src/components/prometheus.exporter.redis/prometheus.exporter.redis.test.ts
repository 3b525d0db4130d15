import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { startComponent, type TestComponent } from "#pipeline/testing";
import redis from "./prometheus.exporter.redis.ts";

async function scrape(
  component: Pick<TestComponent<never, unknown>, "instance">,
  signal = new AbortController().signal,
): Promise<string> {
  const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
  const response = await component.instance.http!({ ...request, body: async () => new Uint8Array() }, signal);
  assert.equal(response.status, 200);
  return response.body.toString();
}

/** A server that says what real ones say in states that are hard to bring them into, and closes when it has nothing more. */
async function speak(t: TestContext, answers: readonly string[]): Promise<string> {
  const server: Server = createServer((socket) => {
    const left = [...answers];
    socket.on("error", () => {});
    socket.on("data", () => {
      const answer = left.shift();
      if (answer === undefined) socket.end();
      else socket.write(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

test("the target is labelled with the address as it is written", async () => {
  await using component = await startComponent(redis, 'redis_addr = "redis://cache:6379"');
  assert.equal(component.exports.targets[0]!.get("instance"), "redis://cache:6379");
  assert.equal(component.exports.targets[0]!.get("job"), "integrations/redis");
});

test("a password in the address does not become a label", async () => {
  const instance = async (address: string) => {
    await using component = await startComponent(redis, `redis_addr = "${address}"`);
    return component.exports.targets[0]!.get("instance");
  };
  assert.equal(await instance("rediss://user:top-secret@cache/1"), "rediss://user:xxxxx@cache/1");
  assert.equal(await instance("redis://top-secret@cache"), "redis://xxxxx@cache");
  assert.equal(await instance("cache:1"), "cache:1");
});

test("arguments that cannot work are refused with what to write", async () => {
  const refused = (config: string, why: RegExp) =>
    assert.rejects(startComponent(redis, config), (error) => {
      assert.ok(error instanceof DiagnosticError, String(error));
      assert.match(error.message, why);
      return true;
    });
  const cache = 'redis_addr = "cache"\n';
  await refused("", /redis_addr/);
  await refused('redis_addr = ""', /`redis_addr` is empty; name the server/);
  await refused('redis_addr = "http://cache"', /use redis:\/\//);
  await refused(`${cache}namespace = "my-redis"`, /`namespace` is not the beginning of a metric's name/);
  await refused(`${cache}connection_timeout = "0s"`, /`connection_timeout` must be longer/);
  await refused(`${cache}check_keys = ["dbx=a"]`, /`check_keys` has "dbx=a", whose database is no number/);
  await refused(`${cache}script_path = "a"\nscript_paths = ["b"]`, /exclude each other/);
  await refused(`${cache}tls_client_key_file = "a"`, /belong together/);
  await refused(`${cache}redis_password_file = "a"\nredis_password_map_file = "b"`, /exclude each other/);
});

test("what is not Redis, a connection that ends, and one that cannot be had are told apart", async (t) => {
  const cases: readonly (readonly [answers: readonly string[], cause: RegExp])[] = [
    [
      ["HTTP/1.1 400 Bad Request\r\n\r\n"],
      /cannot be read: it does not speak the protocol of Redis; it says "HTTP\/1\.1 400/,
    ],
    [["+OK\r\n"], /closed the connection before it answered/],
    [
      ["-DENIED Redis is running in protected mode\r\n"],
      /is in protected mode and talks to clients on its own machine alone/,
    ],
    [["-ERR max number of clients reached\r\n"], /has as many clients as it takes \(maxclients\)/],
    [["+OK\r\n", "$99999999\r\n"], /cannot be read: its answer is larger than 64 MiB/],
  ];
  for (const [answers, cause] of cases) {
    const address = await speak(t, answers);
    await using component = await startComponent(redis, `redis_addr = "${address}"\nredis_password = "top-secret"`);
    const page = await scrape(component);
    assert.match(page, /^redis_up 0$/m);
    assert.match(page, /^redis_exporter_last_scrape_error\{err=".+"\} 1$/m);
    assert.match(page, /^redis_exporter_scrapes_total 1$/m);
    const { state, rule, cause: found } = component.flow.status;
    assert.match(found, cause);
    assert.deepEqual([state, rule], ["failing", "connection"]);
    assert.doesNotMatch(page + found, /top-secret/);
    assert.equal(component.metric("prometheus_exporter_redis_failures_total", { part: "connection" }), 1);
    assert.equal(component.logs.filter(({ message }) => message === "command failed").length, 0);
  }
});

test("a server that is mute is told from one that is slow", async (t) => {
  const mute = await speak(t, [""]);
  for (const [config, cause] of [
    ['redis_addr = "ADDRESS"\nredis_password = "x"', /at all .*: see whether it is Redis \(with TLS, it is rediss:/],
    ['redis_addr = "rediss://ADDRESS"', /at all .*: see whether it is Redis with TLS \(without, it is redis:/],
    ['redis_addr = "ADDRESS"', /had not answered everything when the scrape was given up/],
  ] as const) {
    await using component = await startComponent(redis, config.replace("ADDRESS", mute));
    await scrape(component, AbortSignal.timeout(200));
    assert.match(component.flow.status.cause, cause);
  }
});

test("the exporter's own metrics are there when they are asked for", async (t) => {
  const address = await speak(t, []);
  const names = async (more: string) => {
    await using component = await startComponent(redis, `redis_addr = "${address}"\n${more}`);
    const page = await scrape(component);
    assert.match(page, /^redis_exporter_build_info\{/m);
    return /^promhttp_metric_handler_requests_in_flight 1$/m.test(page);
  };
  assert.equal(await names(""), false);
  assert.equal(await names("include_exporter_metrics = true"), true);
  assert.equal(await names("include_exporter_metrics = true\nredis_metrics_only = true"), false);
});
