import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import type { PipeJson, StatusJson } from "../../src/app/api/json.ts";
import { programWords, runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;
/** Commands run beside each other, and a test machine has other things to do. */
const timeoutMs = 120_000;

const CONFIG = `loki.process "app" {
  forward_to = [loki.echo.out.receiver]

  stage.cri {}

  stage.json {
    expressions = { level = "", msg = "", took = "" }
  }

  stage.match {
    selector = "{app=\\"web\\"}"

    stage.drop {
      source              = "level"
      value               = "debug"
      drop_counter_reason = "too_noisy"
    }
  }

  stage.multiline {
    firstline = "^\\\\S"
  }

  stage.labels {
    values = { level = "" }
  }

  stage.output {
    source = "msg"
  }
}

loki.echo "out" {}

prometheus.relabel "r" {
  forward_to = []

  rule {
    source_labels = ["__name__"]
    regex         = "go_.*"
    action        = "drop"
  }

  rule {
    target_label = "env"
    replacement  = "dev"
  }
}

declare "wrapped" {
  argument "forward_to" {}

  loki.process "inner" {
    forward_to = argument.forward_to.value

    stage.static_labels {
      values = { inside = "yes" }
    }
  }

  export "receiver" {
    value = loki.process.inner.receiver
  }
}

wrapped "w" {
  forward_to = [loki.process.app.receiver]
}
`;

const at = (second: number) => `2026-11-20T00:00:0${second}.5Z`;
const cri = (second: number, flag: string, content: string) =>
  JSON.stringify({ line: `${at(second)} stdout ${flag} ${content}`, timestamp: at(9) });
/** Every outcome: kept and put together by cri, dropped in a match, kept and sent by multiline, not understood. */
const INPUT = [
  cri(1, "P", '{"level":"info",'),
  cri(2, "F", '"msg":"hello","took":1.5}'),
  cri(3, "F", '{"level":"debug","msg":"noise"}'),
  JSON.stringify({ line: "  plain", timestamp: at(9), labels: { app: "db" }, metadata: { id: "7" } }),
].join("\n");

const LABELS = ["--labels", '{app="web"}'];

const TRACE = `entry 1: kept by 0.cri
  2026-11-20T00:00:09.500Z  2026-11-20T00:00:01.5Z stdout P {"level":"info",  {app="web"}
  0.cri  kept: a part of a line (flag P), which waits for the rest
entry 2: kept by 3.multiline
  2026-11-20T00:00:09.500Z  2026-11-20T00:00:02.5Z stdout F "msg":"hello","took":1.5}  {app="web"}
  0.cri           + content = "\\"msg\\":\\"hello\\",\\"took\\":1.5}"
                  + flags = "F"
                  + stream = "stdout"
                  + time = "2026-11-20T00:00:02.5Z"
                  label + stream="stdout"
                  timestamp 2026-11-20T00:00:09.500Z → 2026-11-20T00:00:02.500Z
                  line - 2026-11-20T00:00:02.5Z stdout F "msg":"hello","took":1.5}
                  line + {"level":"info","msg":"hello","took":1.5}
                  put together with the parts before it
  1.json          + level = "info"
                  + msg = "hello"
                  + took = 1.5
  2.match         the selector matches
  2.match.0.drop  no change
  3.multiline     kept: a line of a block, which waits for the rest
entry 3: dropped by 2.match.0.drop
  2026-11-20T00:00:09.500Z  2026-11-20T00:00:03.5Z stdout F {"level":"debug","msg":"noise"}  {app="web"}
  0.cri           + content = "{\\"level\\":\\"debug\\",\\"msg\\":\\"noise\\"}"
                  + flags = "F"
                  + stream = "stdout"
                  + time = "2026-11-20T00:00:03.5Z"
                  label + stream="stdout"
                  timestamp 2026-11-20T00:00:09.500Z → 2026-11-20T00:00:03.500Z
                  line - 2026-11-20T00:00:03.5Z stdout F {"level":"debug","msg":"noise"}
                  line + {"level":"debug","msg":"noise"}
  1.json          + level = "debug"
                  + msg = "noise"
                  + took = null
  2.match         the selector matches
  2.match.0.drop  dropped: too_noisy: \`level\` is "debug"
entry 4: passed
  2026-11-20T00:00:09.500Z    plain  {app="db"}  id=7
  0.cri        no match: the line is not in the CRI format
  1.json       no match: the line is not a JSON object
  2.match      no match: the selector {app="web"} does not match
  3.multiline  no match: the line begins no block, and none has begun
  4.labels     no value for \`level\`
  5.output     no match: there is no extracted value \`msg\`
entry 5: passed
  2026-11-20T00:00:02.500Z  {"level":"info","msg":"hello","took":1.5}  {app="web", stream="stdout"}
  3.multiline  the lines of a block
  4.labels     label + level="info"
  5.output     line - {"level":"info","msg":"hello","took":1.5}
               line + hello
`;
const OUTPUT = `2026-11-20T00:00:09.500Z    plain  {app="db"}  id=7
2026-11-20T00:00:02.500Z  hello  {app="web", level="info", stream="stdout"}
`;
const SUMMARY = "loki.process.app: 4 in, 2 out, 1 dropped (too_noisy 1), 1 joined with others or kept\n";
const PAGE = 'go_gc 5\nup{job="a"} 1 5000\n';

function writeConfig(t: TestContext, text = CONFIG): string {
  const path = join(temporaryFolder(t), "a.alloy");
  writeFileSync(path, text);
  return path;
}

test("entries are piped through a component of a file", async (t) => {
  const path = writeConfig(t);
  const pipe = (args: readonly string[], input: string) => runInvar(["pipe", ...args], { input, timeoutMs });
  const app = ["--component=loki.process.app", ...LABELS, "--input=json"];
  const [plain, traced, inner, samples, empty] = await Promise.all([
    pipe([...app, path], INPUT),
    pipe([...app, "--trace", "--config", path], INPUT),
    pipe(["-c", "wrapped.w/loki.process.inner", "--format=json", path], "a line\r\nanother"),
    pipe(["-c", "prometheus.relabel.r", '--labels={job="x", i="1"}', path], PAGE),
    pipe([...app, path], ""),
  ]);
  assert.deepEqual(plain, { code: OK, signal: null, stdout: OUTPUT, stderr: SUMMARY });
  assert.deepEqual(traced, { code: OK, signal: null, stdout: TRACE, stderr: SUMMARY });

  const shown = inner.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { timestamp: string; line: string; labels: unknown });
  assert.deepEqual(
    shown.map(({ line, labels }) => [line, labels]),
    [
      ["a line", { inside: "yes" }],
      ["another", { inside: "yes" }],
    ],
  );
  assert.ok(Math.abs(Date.parse(shown[0]!.timestamp) - Date.now()) < 3 * timeoutMs, "lines are of now");
  assert.ok(shown[0]!.timestamp < shown[1]!.timestamp);

  assert.equal(samples.stdout, '1970-01-01T00:00:05.000Z  up{env="dev", i="1", job="a"}  1\n');
  assert.equal(samples.stderr, "prometheus.relabel.r: 2 in, 1 out, 1 dropped (relabel_rule 1)\n");
  assert.deepEqual(empty, {
    code: OK,
    signal: null,
    stdout: "",
    stderr: "loki.process.app: 0 in, 0 out, 0 dropped\n",
  });
});

test("what is wrong is said with what to do, and the exit code tells which kind", async (t) => {
  const path = writeConfig(t);
  const cases: readonly [code: number, args: readonly string[], input: string, error: RegExp][] = [
    [USAGE, [path], "", /--component is needed/],
    [FAILED, ["-c", "loki.proces.app", path], "", /no component "loki.proces.app": did you mean "loki.process.app"\?/],
    [FAILED, ["-c", "loki.process.app", "--input=json", path], '{"line":"a"}\n\n{"lime":""}\n', /line 3 of the input/],
    [FAILED, ["-c", "prometheus.relabel.r", path], "up{ 1\n", /not in Prometheus's text format/],
    [FAILED, ["-c", "loki.process.app", "--server=127.0.0.1:1"], "", /no agent answers at http:\/\/127.0.0.1:1/],
  ];
  const results = await Promise.all(cases.map(([, args, input]) => runInvar(["pipe", ...args], { input, timeoutMs })));
  for (const [i, { code, stderr }] of results.entries()) {
    const [wanted, args, , error] = cases[i]!;
    assert.match(stderr, error, args.join(" "));
    assert.equal(code, wanted, args.join(" "));
    assert.ok(!stderr.includes("    at "), "no stack trace");
  }
  assert.match(results[2]!.stdout, /^\S+ {2}a\n$/, "what stands before the line that cannot be read has been piped");
});

/** `invar pipe` with open ends. */
function startPipe(t: TestContext, args: readonly string[]) {
  const [program, ...before] = programWords();
  const child = spawn(program!, [...before, "pipe", ...args]);
  cleanUp(t, () => void child.kill("SIGKILL"));
  const errors: string[] = [];
  child.stderr.on("data", (data: Buffer) => void errors.push(data.toString()));
  child.stdin.on("error", () => {}); // it may stop reading
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, errors, ended };
}

test("a reader that goes early, such as head, ends it without a word", { timeout: timeoutMs }, async (t) => {
  const { child, errors, ended } = startPipe(t, ["-c", "wrapped.w/loki.process.inner", writeConfig(t)]);
  // The input has no end: only the closed output can end the command.
  const write = () => {
    while (child.stdin.writable && child.stdin.write("a line\n".repeat(1_000)));
  };
  child.stdin.on("drain", write);
  write();
  child.stdout.once("data", () => child.stdout.destroy());
  assert.equal(await ended, OK, errors.join(""));
  assert.match(errors.join(""), /^wrapped\.w\/loki\.process\.inner: \d+ in, \d+ out, 0 dropped\n$/);
});

test("input that trickles in is shown as it comes, and Ctrl-C ends it in order", { timeout: timeoutMs }, async (t) => {
  const { child, errors, ended } = startPipe(t, ["-c", "loki.process.app", writeConfig(t)]);
  let shown = "";
  const came = new Promise<void>((resolve) =>
    child.stdout.on("data", (data: Buffer) => {
      shown += data;
      if (shown.includes("plain")) resolve();
    }),
  );
  child.stdin.write("  plain\nblock\n");
  await came;
  child.kill("SIGINT");
  assert.equal(await ended, OK, errors.join(""));
  assert.match(shown, /^\S+ {4}plain\n\S+ {2}block\n$/, "what a stage kept is given back");
  assert.match(errors.join(""), /^loki.process.app: 2 in, 2 out, 0 dropped\n$/);
});

test("entries are piped through a component of a running agent, which itself is not touched", async (t) => {
  const agent = await startAgent(t, CONFIG, { flags: ["--server.http.ui-path-prefix=/invar/"] });
  const server = `--server=${agent.url}/invar`;
  const url = "/invar/api/v0/web/pipe";
  const post = (query: Readonly<Record<string, string>>, body: string, init: RequestInit = {}) =>
    agent.api(`${url}?${new URLSearchParams(query)}`, { method: "POST", body, ...init });
  const app = { component: "loki.process.app", labels: '{app="web"}', input: "json" };

  await t.test("by the command, as through a file", async () => {
    const args = ["pipe", "-c", "loki.process.app", ...LABELS, "--input=json", server];
    const [plain, traced, samples, missing] = await Promise.all([
      runInvar(args, { input: INPUT, timeoutMs }),
      runInvar([...args, "--trace"], { input: INPUT, timeoutMs }),
      runInvar(["pipe", "-c", "prometheus.relabel.r", "-t", server], { input: PAGE, timeoutMs }),
      runInvar(["pipe", "-c", "loki.process.ap", server], { timeoutMs }),
    ]);
    assert.deepEqual(plain, { code: OK, signal: null, stdout: OUTPUT, stderr: SUMMARY });
    assert.deepEqual(traced, { code: OK, signal: null, stdout: TRACE, stderr: SUMMARY });
    assert.match(
      samples.stdout,
      /^sample 1: dropped by (\S+)\n.* {2}go_gc {2}5\n {2}\1 {2}dropped: relabel_rule\nsample 2: passed\n/,
    );
    assert.match(samples.stdout, /\n {2}prometheus\.relabel\.r {2}label \+ env="dev"\n$/);
    assert.equal(missing.code, FAILED);
    assert.match(missing.stderr, /did you mean "loki.process.app"\?/);
  });

  await t.test("by the API", async () => {
    const answer = (await (await post(app, INPUT)).json()) as PipeJson;
    assert.deepEqual(
      {
        ...answer,
        entries: answer.entries.map(({ before, steps, outcome, after }) => [before, steps, outcome, after?.line]),
      },
      {
        component: "loki.process.app",
        signal: "logs",
        received: 4,
        sent: 2,
        dropped: { too_noisy: 1 },
        entries: [
          [null, [], "passed", "  plain"],
          [null, [], "passed", "hello"],
        ],
        samples: [],
      },
    );
    const traced = (await (await post({ ...app, trace: "true" }, INPUT)).json()) as PipeJson;
    assert.deepEqual(
      traced.entries.map(({ before, outcome, after }) => [before!.labels.app, outcome, after?.line ?? null]),
      [
        ["web", "kept", null],
        ["web", "kept", null],
        ["web", "dropped", null],
        ["db", "passed", "  plain"],
        ["web", "passed", "hello"],
      ],
    );
    assert.deepEqual(traced.dropped, { too_noisy: 1 });
    const inner = (await (await post({ component: "wrapped.w/loki.process.inner" }, "x")).json()) as PipeJson;
    assert.deepEqual(inner.entries[0]!.after!.labels, { inside: "yes" });
    // A user's own passwords in a line are not for the agent to hide.
    const own = (await (await post({ component: app.component }, "http://user:word@host/")).json()) as PipeJson;
    assert.equal(own.entries[0]!.after!.line, "http://user:word@host/");
  });

  await t.test("refusals", async () => {
    const cases: readonly [status: number, query: Readonly<Record<string, string>>, body: string, text: RegExp][] = [
      [400, {}, "", /component= says which/],
      [400, { ...app, trace: "yes" }, "", /trace must be true or false/],
      [400, { ...app, input: "xml" }, "", /input must be lines or json/],
      [400, { ...app, labels: "{a" }, "", /labels \{a cannot be read/],
      [400, { ...app, limit: "1" }, "", /no parameter "limit": component, labels, input, trace/],
      [400, app, "x", /line 1 of the input is not JSON/],
      [400, { component: "loki.echo.out" }, "", /cannot be piped/],
      [404, { component: "loki.process.none" }, "", /there is no component "loki.process.none"/],
      [413, { component: app.component }, "x".repeat(1024 * 1024 + 1), /larger than the 1048576 bytes/],
      [413, { component: app.component }, "\n".repeat(10_001), /at most 10000 lines/],
      [413, { component: "prometheus.relabel.r" }, "a 1\n".repeat(10_001), /at most 10000 lines/],
    ];
    for (const [status, query, body, text] of cases) {
      const response = await post(query, body);
      assert.match(await response.text(), text);
      assert.equal(response.status, status, String(text));
    }
    assert.equal((await agent.api(`${url}?component=loki.process.app`)).status, 405);
    assert.equal((await post(app, "", { headers: { "sec-fetch-site": "cross-site" } })).status, 403);
  });

  await t.test("no trace of it is left in the agent", async () => {
    const { components } = await agent.json<StatusJson>("/invar/api/v0/web/status");
    assert.equal(components.length, 4);
    for (const { id, flow } of components) {
      assert.equal(flow.received.items, 0, id);
      assert.deepEqual(flow.dropped, [], id);
      assert.ok(
        flow.sent.every(({ items }) => items === 0),
        id,
      );
    }
    for (const { name, value } of await agent.metrics()) {
      if (/^(?:loki_process_|alloy_prometheus_relabel_)/.test(name)) assert.equal(value, 0, name);
    }
    assert.ok(!agent.log.includes("level=error"), agent.log);
  });
});

test("a run that takes too long is given up, and the agent works on meanwhile", { timeout: 120_000 }, async (t) => {
  const stage = `
  stage.template {
    source   = "a"
    template = "{{ .Entry | ToUpper | ToLower }}"
  }`;
  const agent = await startAgent(t, `loki.process "slow" {\n  forward_to = []${stage.repeat(1_500)}\n}\n`);
  const body = "some words of a line\n".repeat(10_000);
  const run = agent.api("/api/v0/web/pipe?component=loki.process.slow", { method: "POST", body });
  let answered = 0;
  let done = false;
  void run.finally(() => (done = true)).catch(() => {});
  while (!done) {
    assert.equal((await agent.api("/-/ready")).status, 200);
    answered += 1;
  }
  const response = await run;
  assert.equal(response.status, 503);
  assert.match(await response.text(), /the run took more than 5 seconds and was given up: give fewer lines/);
  assert.ok(answered > 5, `${answered} answers meanwhile`);
});
