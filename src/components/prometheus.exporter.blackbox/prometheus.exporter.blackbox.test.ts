import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { Secret } from "#lang/value";
import { startComponent, type TestComponent } from "#pipeline/testing";
import blackbox from "./prometheus.exporter.blackbox.ts";

type Started = Pick<TestComponent<never, unknown>, "instance">;

async function scrape(component: Started, query: Record<string, string>, timeout?: string) {
  const { status, body } = await component.instance.http!(
    {
      method: "GET",
      path: "/metrics",
      query: new URLSearchParams(query),
      headers: new Map(timeout === undefined ? [] : [["x-prometheus-scrape-timeout-seconds", timeout]]),
      body: async () => new Uint8Array(),
    },
    new AbortController().signal,
  );
  return { status, body: Buffer.from(body as Uint8Array).toString() };
}

async function listen(
  t: TestContext,
  server: Server,
  address: { host: string; port: number } | string,
): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => void sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(address, resolve));
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const LOOPBACK = { host: "127.0.0.1", port: 0 };

async function httpServer(t: TestContext, listener: RequestListener): Promise<string> {
  return `127.0.0.1:${await listen(t, createHttpServer(listener), LOOPBACK)}`;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "blackbox-"));
  cleanUp(t, () => rmSync(path, { recursive: true }));
  return path;
}

const config = (modules: string) => `config = ${JSON.stringify(`{ modules: { ${modules} } }`)}`;
const SIMPLE = config("http_2xx: { prober: http }");

test("each target has Alloy's labels, and its own below them", async () => {
  await using component = await startComponent(
    blackbox,
    `${SIMPLE}
    target {
      name = "one"
      address = "http://one.test"
      labels = { env = "prod", job = "mine", instance = "mine" }
    }
    target {
      name = "two"
      address = "two.test:22"
      module = "ssh"
    }`,
    { label: "all" },
  );
  const [one, two] = component.exports.targets;
  assert.equal(one!.get("job"), "integrations/blackbox/one");
  assert.equal(one!.get("instance"), "prometheus.exporter.blackbox.all");
  assert.deepEqual(
    [one!.get("__param_target"), one!.get("__param_module"), one!.get("env")],
    ["http://one.test", undefined, "prod"],
  );
  assert.deepEqual([two!.get("job"), two!.get("__param_module")], ["integrations/blackbox/two", "ssh"]);

  await using listed = await startComponent(
    blackbox,
    `${SIMPLE}
    targets = [{ name = "a", address = "x", __address__ = "y", module = "m", env = "prod" }, { name = "b", __address__ = "z" }]`,
  );
  const [a, b] = listed.exports.targets;
  assert.deepEqual([a!.get("__param_target"), a!.get("__param_module"), a!.get("env")], ["x", "m", "prod"]);
  assert.equal(a!.get("__address__"), listed.services.memoryAddress);
  assert.deepEqual([b!.get("__param_target"), b!.get("job")], ["z", "integrations/blackbox/b"]);
});

test("arguments that cannot work are refused with what to write", async () => {
  const refused = (text: string, why: RegExp) =>
    assert.rejects(
      startComponent(blackbox, text, { scope: { secret: new Secret("modules: { a: { prober: http, x: 1 } }") } }),
      (error) => {
        assert.ok(error instanceof DiagnosticError, String(error));
        assert.match(error.message, why);
        return true;
      },
    );
  await refused("", /`config` or `config_file` must be set/);
  await refused(`${SIMPLE}\nconfig_file = "x"`, /`config_file` and `config` are mutually exclusive/);
  await refused(
    'config = "modules:\\n  a:\\n    prober: http\\n    htp: {}"',
    /`config` is no file of modules: line 4: `modules\.a\.htp` is unknown; did you mean `http`\?/,
  );
  await refused("config = secret", /line 1: `modules\.a\.x` is unknown/);
  await refused(`${SIMPLE}\ntargets = [{ address = "x" }]`, /`targets` all must have a `name`/);
  await refused(`${SIMPLE}\ntargets = [{ name = "x" }]`, /`targets` all must have an `address` or an `__address__`/);
  const block = 'target {\nname = "a"\naddress = "b"\n}';
  await refused(
    `${SIMPLE}\n${block}\ntargets = [{ name = "x", address = "y" }]`,
    /the block `target` are mutually exclusive/,
  );
  await refused(`${SIMPLE}\ntarget {\nname = ""\naddress = "b"\n}`, /`name`/);
});

test("scrapes for what is not there are refused, and the status says so", async () => {
  await using component = await startComponent(blackbox, config("http_2xx: { prober: http }, odd: { prober: htp }"));
  assert.deepEqual(await scrape(component, {}), { status: 400, body: "Target parameter is missing\n" });
  const unknown = await scrape(component, { module: "nope", target: "a.test" });
  assert.deepEqual(unknown, { status: 400, body: 'Unknown module "nope": there are http_2xx, odd\n' });
  const prober = await scrape(component, { module: "odd", target: "a.test" });
  assert.match(prober.body, /Unknown prober "htp" of the module odd: use http, tcp, dns, icmp, grpc, unix/);
  const timeout = await scrape(component, { target: "a.test" }, "soon");
  assert.match(timeout.body, /X-Prometheus-Scrape-Timeout-Seconds is "soon", which is no number/);
  const findings = component.flow.findings.map(({ rule, cause }) => `${rule}: ${cause}`);
  assert.match(findings[0]!, /^module_file: modules with a prober that does not exist: odd \(htp\)/);
  assert.match(findings[1]!, /^probe_failed: probes of 2 of 2 targets fail: a\.test with nope: Unknown module/);
});

test("a module file that changes counts at once, and one that breaks leaves the last", async (t) => {
  const path = join(folder(t), "modules.yml");
  await using component = await startComponent(blackbox, `config_file = "${path}"`);
  const address = await httpServer(t, (_, response) => response.end());
  const probe = () => scrape(component, { target: address });
  assert.equal((await probe()).status, 500);
  assert.match(component.problem!, /cannot read config_file .*: it does not exist/);
  assert.equal(component.flow.status.state, "failing");
  let time = 1_000_000;
  const write = (text: string) => {
    writeFileSync(path, text);
    utimesSync(path, time++, time); // files of one size and one moment are told apart too
  };
  write("modules: { http_2xx: { prober: http } }");
  assert.match((await probe()).body, /^probe_success 1$/m);
  assert.deepEqual([component.problem, component.flow.status.state], [undefined, "ok"]);
  write("modules: { http_2xx: { prober: http, timeuot: 1s } }");
  assert.match((await probe()).body, /^probe_success 1$/m);
  assert.match(
    component.flow.status.cause,
    /line 1: .*timeuot` is unknown; did you mean `timeout`\?; the modules of before are in use/,
  );
  write("modules: { http_2xx: { prober: http, http: { valid_status_codes: [418] } } }");
  assert.match((await probe()).body, /^probe_success 0$/m);
  // One that worked before has to fail three times until the status says so.
  const { target } = component.instance.debugInfo!() as { target: { problem: string }[] };
  assert.deepEqual(
    [target[0]!.problem, component.flow.status.state],
    ["the answer has the status 200, wanted 418", "ok"],
  );
});

test("the time is the shorter one of the module's and the scrape's", async (t) => {
  const silent = `127.0.0.1:${await listen(t, createServer(), LOOPBACK)}`;
  await using component = await startComponent(
    blackbox,
    `${config("slow: { prober: http }, quick: { prober: http, timeout: 40ms }")}\nprobe_timeout_offset = "150ms"`,
  );
  const cause = async (module: string, seconds: string) => {
    const { body } = await scrape(component, { module, target: silent }, seconds);
    assert.match(body, /^probe_success 0$/m);
    return component.flow.status.cause;
  };
  assert.match(await cause("slow", "0.2"), /with slow: it took longer than 50ms: it was /);
  assert.match(await cause("quick", "5"), /with quick: it took longer than 40ms/);
  assert.match(
    await cause("slow", "0.1"),
    /with slow: no time is left for it: scrape_timeout is not longer than probe_timeout_offset \(150ms\)/,
  );
});

test("debug=true tells of each step", async (t) => {
  const address = await httpServer(t, (_, response) => response.writeHead(500).end());
  await using component = await startComponent(blackbox, SIMPLE);
  const { status, body } = await scrape(component, { target: `http://u:top-secret@${address}/`, debug: "true" });
  assert.equal(status, 200);
  assert.match(
    body,
    /^Logs for the probe:\n.*Beginning probe.*probe="http"[\s\S]*Making HTTP request[\s\S]*Probe failed.*wanted 2xx/,
  );
  assert.match(body, /\n\nMetrics that would have been returned:\n# HELP[\s\S]*\nprobe_http_status_code 500\n/);
  assert.equal((await scrape(component, { module: "nope", target: "x", debug: "true" })).status, 400);
  assert.ok(component.logs.some(({ level, message }) => level === "debug" && message === "Probe failed"));
  assert.doesNotMatch(
    JSON.stringify([body, component.logs, component.flow.status, component.instance.debugInfo!()]),
    /top-secret/,
  );
});

test("the parameter hostname is the host to ask for, unless the module says otherwise", async (t) => {
  const address = await httpServer(t, (request, response) => response.end(`host ${request.headers.host}`));
  await using component = await startComponent(
    blackbox,
    config(
      'plain: { prober: http, http: { fail_if_body_not_matches_regexp: ["host b.test$"] } }, own: { prober: http, http: { headers: { host: a.test } } }',
    ),
  );
  const ask = async (module: string) =>
    (await scrape(component, { module, target: address, hostname: "b.test" })).body.includes("\nprobe_success 1\n");
  assert.equal(await ask("plain"), true);
  assert.equal(await ask("own"), false);
  assert.match(
    component.flow.status.cause,
    /has the header Host \(a\.test\) and the scrape the parameter hostname \(b\.test\)/,
  );
});

test("a token is fetched once, and a refused one is told of", async (t) => {
  let tokens = 0;
  const token = await httpServer(t, (request, response) => {
    tokens += 1;
    response
      .writeHead(request.url === "/no" ? 401 : 200)
      .end(JSON.stringify({ access_token: "secret-token", expires_in: 3600 }));
  });
  const seen: (string | undefined)[] = [];
  const address = await httpServer(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  const oauth = (path: string) =>
    `oauth2: { client_id: me, client_secret: hidden, token_url: "http://${token}${path}" }`;
  await using component = await startComponent(
    blackbox,
    config(`ok: { prober: http, http: { ${oauth("/")} } }, no: { prober: http, http: { ${oauth("/no")} } }`),
  );
  await scrape(component, { module: "ok", target: address });
  await scrape(component, { module: "ok", target: address });
  assert.deepEqual([seen, tokens], [["Bearer secret-token", "Bearer secret-token"], 1]);
  assert.match((await scrape(component, { module: "no", target: address })).body, /^probe_success 0$/m);
  assert.match(component.flow.status.cause, /gave no token: status 401/);
});

test("a Unix socket answers as a port does", async (t) => {
  const path = join(folder(t), "socket");
  await listen(
    t,
    createServer((socket) => void socket.write("hello 7\n")),
    path,
  );
  await using component = await startComponent(
    blackbox,
    config(
      'u: { prober: unix, unix: { query_response: [{ expect: "^hello (.*)$", labels: [{ name: number, value: "${1}" }] }] } }',
    ),
  );
  const { body } = await scrape(component, { module: "u", target: path });
  assert.match(body, /^probe_expect_info\{number="7"\} 1$/m);
  assert.match(body, /^probe_success 1$/m);
  assert.match((await scrape(component, { module: "u", target: `${path}2` })).body, /^probe_success 0$/m);
  assert.match(component.flow.status.cause, /the socket .*socket2 cannot be used: it does not exist/);
});

test("a scrape that is given up is no result", async (t) => {
  const silent = `127.0.0.1:${await listen(t, createServer(), LOOPBACK)}`;
  await using component = await startComponent(blackbox, SIMPLE);
  const aborted = new AbortController();
  const request = {
    method: "GET",
    path: "/metrics",
    query: new URLSearchParams({ target: silent }),
    headers: new Map(),
  };
  const answer = component.instance.http!({ ...request, body: async () => new Uint8Array() }, aborted.signal);
  aborted.abort(new Error("the client went"));
  assert.equal((await answer).status, 500);
  assert.deepEqual(component.instance.debugInfo!(), { target: [] });
});
