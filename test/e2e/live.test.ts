import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { LiveEvent, LiveItem } from "#app/api/json";
import { cleanUp } from "#base/clean-up.testing";
import { programWords, runInvar, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, WAIT_MS } from "../kit/process.ts";
import { traceRequest } from "../kit/spans.ts";

const FAILED = 1;
const USAGE = 2;

function config(log: string, otlpPort: number): string {
  return `livedebugging {
  enabled = true
}

loki.source.file "f" {
  targets    = [{ __path__ = "${log}", job = "shop" }]
  forward_to = [loki.process.p.receiver]
}

loki.process "p" {
  forward_to = [loki.process.a.receiver, loki.process.b.receiver]

  stage.json {
    expressions = { level = "", msg = "" }
  }
  stage.drop {
    source = "level"
    value  = "debug"
  }
  stage.labels {
    values = { level = "" }
  }
  stage.output {
    source = "msg"
  }
}

loki.process "a" {
  forward_to = []
}

loki.process "b" {
  forward_to = []
}

prometheus.exporter.self "me" {}

prometheus.scrape "s" {
  targets         = prometheus.exporter.self.me.targets
  forward_to      = [prometheus.relabel.r.receiver]
  scrape_interval = "200ms"
  scrape_timeout  = "200ms"
}

prometheus.relabel "r" {
  forward_to = []
}

otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${otlpPort}"
  }
  output {
    traces  = [otelcol.processor.batch.b.input]
    metrics = [otelcol.processor.batch.b.input]
    logs    = [otelcol.processor.batch.b.input]
  }
}

otelcol.processor.batch "b" {
  timeout = "10ms"
  output {}
}
`;
}

/** The agent with lines, samples and OTLP flowing until the end of the test. */
async function startFlowing(t: TestContext): Promise<TestAgent> {
  const log = join(temporaryFolder(t), "a.log");
  writeFileSync(log, "");
  const otlpPort = await freePort();
  const agent = await startAgent(t, config(log, otlpPort));
  let number = 0;
  const lines = setInterval(() => {
    const levels = ["info", "error", "debug"].map((level) =>
      JSON.stringify({ level, msg: `order ${number++} placed` }),
    );
    appendFileSync(log, `${levels.join("\n")}\n`);
  }, 20);
  const requests: [string, object][] = [
    [
      "metrics",
      {
        resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "orders", sum: { dataPoints: [{ asInt: "7" }] } }] }] }],
      },
    ],
    [
      "logs",
      { resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityText: "WARN", body: { stringValue: "slow" } }] }] }] },
    ],
  ];
  const otlp = setInterval(() => {
    const send = (kind: string, type: string, body: string | Uint8Array<ArrayBuffer>) =>
      void fetch(`http://127.0.0.1:${otlpPort}/v1/${kind}`, {
        method: "POST",
        headers: { "content-type": type },
        body,
      }).then(
        (response) => response.arrayBuffer(),
        () => {}, // the agent is going
      );
    for (const [kind, body] of requests) send(kind, "application/json", JSON.stringify(body));
    send("traces", "application/x-protobuf", new Uint8Array(traceRequest(3)));
  }, 50);
  cleanUp(t, () => {
    clearInterval(lines);
    clearInterval(otlp);
  });
  return agent;
}

async function live(agent: TestAgent, query: string): Promise<readonly LiveEvent[]> {
  const response = await agent.api(`/api/v0/web/live?${query}`);
  assert.equal(response.status, 200);
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LiveEvent);
}

function itemsIn(events: readonly LiveEvent[]): readonly LiveItem[] {
  return events.flatMap((each) => (each.event === "item" ? [each.item] : []));
}

test("every signal is shown item by item", async (t) => {
  const agent = await startFlowing(t);
  const first = async (query: string) => itemsIn(await live(agent, `${query}&limit=1`))[0]!;
  const log = await first("component=loki.process.p");
  assert.ok(
    log.type === "log" && /^order \d+ placed$/.test(log.line) && log.labels.job === "shop",
    JSON.stringify(log),
  );
  const sample = await first("component=prometheus.scrape.s&where=__name__%3Dup");
  assert.ok(sample.type === "sample" && sample.value === "1", JSON.stringify(sample));
  const span = await first("component=otelcol.receiver.otlp.in&where=type%3Dspan%20name%3D~/0$");
  assert.ok(span.type === "span" && span.resource["service.name"] === "checkout" && span.scope === "bench");
  assert.deepEqual([span.name, span.kind, span.durationMs], ["GET /api/v1/items/0", "server", 100]);
  const point = await first("component=otelcol.*&where=type%3Ddatapoint");
  assert.ok(point.type === "datapoint" && point.name === "orders" && point.value === "7", JSON.stringify(point));
  const record = await first("component=otelcol.processor.batch.b&where=level%3Dwarn");
  assert.ok(record.type === "logrecord" && record.body === "slow", JSON.stringify(record));
  const targets = await first("component=prometheus.exporter.self.me");
  assert.ok(targets.type === "exports" && targets.exports[0]!.name === "targets");
});

test("filter, sample, edge and trace", async (t) => {
  const agent = await startFlowing(t);
  const errors = await live(agent, "component=loki.process.p.loki.process.b&where=level%3Derror%20-missing&limit=5");
  for (const event of errors) {
    if (event.event !== "item" || event.item.type !== "log") continue;
    assert.equal(event.peer, "loki.process.b");
    assert.equal(event.item.labels.level, "error");
  }
  assert.equal(itemsIn(errors).length, 5);
  const passed = (await live(agent, "component=loki.process.p&sample=0.2&limit=20")).flatMap((each) =>
    each.event === "passed" ? [each] : [],
  );
  const sum = (key: "items" | "shown") => passed.reduce((total, each) => total + each[key], 0);
  assert.equal(sum("shown"), 20);
  assert.ok(sum("items") > 50, `${sum("items")} passed for 20 shown`);
  const traces = await live(agent, "component=loki.process.p&trace=true&where=level%3Ddebug&limit=1");
  const [trace] = traces.flatMap((each) => (each.event === "trace" ? [each.trace] : []));
  assert.equal(trace!.outcome, "dropped");
  assert.match(trace!.before.line, /"level":"debug"/);
  assert.equal(trace!.steps.at(-1)!.after, null);
});

test("a pipeline at full speed is looked at a little, and loses nothing", async (t) => {
  const log = join(temporaryFolder(t), "fast.log");
  const line = (i: number) => `{"level":"${i % 8 === 0 ? "debug" : "info"}","msg":"line ${i} ${"x".repeat(150)}"}\n`;
  const lines = 400_000;
  writeFileSync(log, "");
  const agent = await startAgent(t, config(log, await freePort()));
  const client = new AbortController();
  const response = await agent.api("/api/v0/web/live?component=loki.process.p&direction=in&where=absent", {
    signal: client.signal,
  });
  let [items, looked] = [0, 0];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of response.body!) {
      const events = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = events.pop()!;
      for (const text of events) {
        const event = JSON.parse(text) as LiveEvent;
        assert.equal(event.event, "passed");
        if (event.event === "passed") [items, looked] = [items + event.items, looked + event.looked];
      }
    }
  })();
  for (let i = 0; i < lines; i += 10_000) {
    appendFileSync(log, Array.from({ length: 10_000 }, (_, n) => line(i + n)).join(""));
  }
  await agent.until(
    async () => (await agent.component("loki.process.p")).flow.received.items === lines,
    "all lines came",
  );
  await agent.until(() => items === lines, "all lines are told of");
  client.abort();
  await reading.catch(() => {});
  const { flow } = await agent.component("loki.process.p");
  assert.equal(flow.sent.find(({ to }) => to === "loki.process.a")!.items, lines - lines / 8);
  assert.ok(looked > 0 && looked <= lines, `${looked} of ${items} looked at`);
});

/** Runs `invar tap`; when it has written what `enough` wants, interrupts it, or does what `act` does. */
async function interrupted(args: readonly string[], enough: RegExp, act?: () => unknown) {
  const [program, ...before] = programWords();
  const child = spawn(program!, [...before, "tap", ...args], { env: { ...process.env, NO_COLOR: "1" } });
  let stdout = "";
  let stderr = "";
  let asked = false;
  const look = () => {
    if (asked || !enough.test(stdout + stderr)) return;
    asked = true;
    if (act === undefined) child.kill("SIGINT");
    else act();
  };
  child.stdout.on("data", (data: Buffer) => {
    stdout += data;
    look();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data;
    look();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), WAIT_MS);
  const [code] = await new Promise<[number | null]>((resolve) => child.on("close", (status) => resolve([status])));
  clearTimeout(timer);
  return { code, stdout, stderr };
}

test("invar tap: every form of output, and its ends", async (t) => {
  const agent = await startFlowing(t);
  const server = `--server=127.0.0.1:${agent.port}`;
  const tap = (...args: string[]) => runInvar(["tap", server, ...args]);

  await t.test("json: the events as they are", async () => {
    const { code, stdout, stderr } = await tap(
      "loki.process.p",
      "--format",
      "json",
      "--limit",
      "3",
      "--where",
      "level=error",
    );
    assert.equal(code, 0, stderr);
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as LiveEvent);
    assert.equal(itemsIn(events).length, 3);
    assert.match(stderr, /^\d+ items passed, \d+ looked at, 3 shown\n$/);
  });
  await t.test("logfmt where no terminal is", async () => {
    const { code, stdout } = await tap("loki.process.p.loki.process.a", "--limit", "2");
    assert.equal(code, 0);
    const pattern =
      /^time=\S+Z component=loki.process.p direction=out to=loki.process.a type=log timestamp=\S+ line="order \d+ placed" label.filename=\S+ label.job=shop label.level=(info|error)$/;
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, pattern);
  });
  await t.test("pretty, in both directions", async () => {
    const { code, stdout } = await tap("loki.process.p", "--format=pretty", "--in", "--out", "--limit=20");
    assert.equal(code, 0);
    assert.match(stdout, /^\d\d:\d\d:\d\d\.\d{3} {2}loki\.process\.p ← {2}\{"level":"\w+","msg":"order/m);
    assert.match(
      stdout,
      /^\d\d:\d\d:\d\d\.\d{3} {2}loki\.process\.p → loki\.process\.[ab] {2}order \d+ placed {2}\{.*job="shop", level="/m,
    );
  });
  await t.test("stage by stage", async () => {
    const pretty = await tap("loki.process.p", "--format=pretty", "--trace", "--limit=1", "--where", "level=info");
    assert.match(
      pretty.stdout,
      /^\S+ {2}passed\n {2}\S+ {2}\{"level":"info".* {2}\{.*job="shop"\}\n {2}0\.json {4}\+ level = "info"\n(.*\n)* {2}1\.drop +no change\n {2}2\.labels {2}label \+ level="info"\n {2}3\.output {2}line - \{"level".*\n {12}line \+ order \d+ placed\n$/,
    );
    const logfmt = await tap("loki.process.p", "--trace", "--limit=1", "--where", "level=debug");
    assert.match(logfmt.stdout, /^\S+ component=loki.process.p type=trace stage=1\.drop outcome=dropped reason=/m);
  });
  await t.test("a reader that has enough ends it without a word", async () => {
    const words = [...programWords(), "tap", server, "loki.process.p"].map((word) => `'${word}'`).join(" ");
    const child = spawn("sh", ["-c", `{ ${words}; echo "code $?" >&2; } | head -n 1`]);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data: Buffer) => void (stdout += data));
    child.stderr.on("data", (data: Buffer) => void (stderr += data));
    await new Promise((resolve) => child.on("close", resolve));
    assert.match(stdout, /^time=.*\n$/);
    assert.equal(stderr, "code 0\n");
  });
  await t.test("an interrupt ends it with a summary", async () => {
    const { code, stderr } = await interrupted([server, "loki.*"], /(.*\n){3}/);
    assert.equal(code, 0);
    assert.match(stderr, /^[\d,]+ items passed, [\d,]+ looked at, [\d,]+ shown\n$/);
  });
  await t.test("what cannot be shown", async () => {
    const cases: [string[], number, RegExp][] = [
      [["loki.proces.p"], FAILED, /404: no component matches "loki.proces.p": did you mean "loki.process.p"\?/],
      [["loki.process.p", "--where=level=~("], USAGE, /the regular expression for level cannot be used/],
      [["prometheus.scrape.s", "--trace"], USAGE, /none of these components has stages/],
      [["--sample=3", "loki.process.p"], USAGE, /sample must be a number from 0 to 1/],
      [[], USAGE, /accepts 1 to 100 arg\(s\), received 0/],
    ];
    for (const [args, code, message] of cases) {
      const result = await tap(...args);
      assert.equal(result.code, code, args.join(" "));
      assert.match(result.stderr, message, args.join(" "));
    }
    const nobody = await runInvar(["tap", `--server=127.0.0.1:${await freePort()}`, "x"]);
    assert.equal(nobody.code, FAILED);
    assert.match(nobody.stderr, /no agent answers at/);
  });
  await t.test("a filter that nothing matches", async () => {
    const { code, stderr } = await interrupted([server, "loki.process.a", "--where=never seen"], /matched yet/);
    assert.equal(code, 0);
    assert.match(stderr, /^[\d,]+ items passed, [\d,]+ looked at, 0 shown so far: nothing has matched yet\n/);
  });
  await t.test("the end of the agent is told", async () => {
    let stopped: Promise<unknown> | undefined;
    const { code, stderr } = await interrupted([server, "loki.process.p"], /(.*\n){3}/, () => {
      stopped = agent.stop();
    });
    await stopped;
    assert.equal(code, FAILED);
    assert.match(stderr, /items passed.*\n(.*\n)?.*(ended the stream|broke off its answer)/);
  });
});

test("without the livedebugging block nothing is shown, and it is said what to write", async (t) => {
  const agent = await startAgent(t, 'loki.echo "e" {}\n');
  const { code, stderr } = await runInvar(["tap", `--server=127.0.0.1:${agent.port}`, "loki.echo.e"]);
  assert.equal(code, FAILED);
  assert.match(stderr, /403: live data is off: write `livedebugging \{ enabled = true \}` into the configuration/);
});

test("where nothing flows, the component's own cause is told", async (t) => {
  const agent = await startAgent(t, 'livedebugging {\n  enabled = true\n}\n\nloki.echo "e" {}\n');
  const { stderr } = await interrupted([`--server=127.0.0.1:${agent.port}`, "loki.echo.e"], /loki\.echo\.e: /);
  assert.match(stderr, /^nothing has passed yet\n {2}loki\.echo\.e: idle: /);
});
