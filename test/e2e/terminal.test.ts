import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import type { PipelineJson, StatusJson } from "../../src/app/api/json.ts";
import { programWords, runInvar, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, sleep, WAIT_MS } from "../kit/process.ts";

/** `invar status`, `invar graph` and `invar top` as processes of their own, against real agents. */

const server = (agent: TestAgent) => `--server=${agent.url}`;

const GOOD = `prometheus.exporter.self "me" { }

prometheus.scrape "s" {
  targets         = prometheus.exporter.self.me.targets
  forward_to      = [prometheus.echo.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}

prometheus.echo "out" { }
`;

test("status: a table for people, JSON for programs, and exit codes for scripts", async (t) => {
  const agent = await startAgent(t, GOOD);
  await agent.until(async () => (await agent.component("prometheus.echo.out")).flow.received.items > 0, "data flows");

  await t.test("all is well", async () => {
    await agent.untilRule("prometheus.scrape.s", "", "ok");
    const { code, stdout, stderr } = await runInvar(["status", server(agent)]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    const lines = stdout.split("\n");
    assert.match(lines[0]!, /^COMPONENT +STATE +SINCE +IN\/S +OUT\/S +DROPPED +CAUSE$/);
    assert.equal(lines.filter((line) => /^prometheus\.\S+ +(ok|idle) /.test(line)).length, 3);
    assert.match(stdout, /\nloaded \d+\S* ago: 3 added\n3 components: .* \(invar v\d+\.\d+\.\d+, up \S+\)\n$/);
    assert.doesNotMatch(stdout, /\x1b/);
  });

  await t.test("JSON is the agent's answer, and globs choose", async () => {
    const { code, stdout } = await runInvar(["status", server(agent), "--json", "*.echo.*", "*scrape*"]);
    assert.equal(code, 0);
    const answer = JSON.parse(stdout) as StatusJson;
    assert.deepEqual(answer.components.map(({ id }) => id).sort(), ["prometheus.echo.out", "prometheus.scrape.s"]);
    const none = await runInvar(["status", server(agent), "prometheus.ecko.out"]);
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /^Error: no component matches prometheus\.ecko\.out: did you mean prometheus\.echo\.out\?\n$/,
    );
  });

  await t.test("a failed reload, an unhealthy component, a failing and a degraded one", async () => {
    await agent.reload(`${GOOD}loki.ecko "x" { }\n`);
    const failed = await runInvar(["status", server(agent)]);
    assert.equal(failed.code, 5);
    assert.match(
      failed.stdout,
      /reload failed \d+s ago, the previous configuration is in force:\n {2}Error: .*loki\.ecko/,
    );

    const dead = `prometheus.scrape "dead" {
  targets         = [{ __address__ = "127.0.0.1:1" }]
  forward_to      = [prometheus.echo.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}
`;
    assert.equal((await agent.reload(GOOD + dead)).status, 200);
    await agent.until(
      async () => (await agent.component("prometheus.scrape.dead")).flow.state === "failing",
      "it fails",
    );
    const failing = await runInvar(["status", server(agent)]);
    assert.equal(failing.code, 4);
    assert.match(failing.stdout.split("\n")[1]!, /^prometheus\.scrape\.dead +failing /, "the worst comes first");

    const half = dead.replace('"127.0.0.1:1" }', `"127.0.0.1:1" }, { __address__ = "127.0.0.1:${agent.port}" }`);
    assert.equal((await agent.reload(GOOD + half)).status, 200);
    await agent.until(
      async () => (await agent.component("prometheus.scrape.dead")).flow.state === "degraded",
      "half of it fails",
    );
    // A scrape that a busy machine does not finish in time shows for a second.
    const untilCode = (code: number, ...ids: readonly string[]) =>
      agent.until(
        async () => (await runInvar(["status", server(agent), ...ids])).code === code,
        `it ends with ${code}`,
      );
    await untilCode(3);
    await untilCode(0, "prometheus.scrape.s"); // only what was asked for counts

    const sick = `loki.source.api "b" {
  http {
    listen_address = "192.0.2.1"
    listen_port    = 20000
  }
  forward_to = []
}
`;
    assert.equal((await agent.reload(GOOD + sick)).status, 200);
    await agent.until(
      async () => (await agent.component("loki.source.api.b")).health.state === "unhealthy",
      "it is unhealthy",
    );
    const unhealthy = await runInvar(["status", server(agent)]);
    assert.equal(unhealthy.code, 5);
    assert.match(unhealthy.stdout.split("\n")[1]!, /^loki\.source\.api\.b +unhealthy /);
  });
});

test("commands that cannot ask say why and end with 1", async (t) => {
  const port = await freePort();
  for (const command of [["status"], ["top"], ["top", "--once"], ["graph"]]) {
    const { code, stderr, stdout } = await runInvar([...command, `--server=http://127.0.0.1:${port}`]);
    assert.equal(code, 1, command.join(" "));
    assert.match(
      stderr,
      /^Error: no agent answers at http:\/\/127\.0\.0\.1:\d+ \(.*\): is it running\? Give its address with --server\n$/,
    );
    assert.equal(stdout, "");
  }
  const usage: [string[], RegExp][] = [
    [["status", "--server=ftp://x"], /--server must be an address/],
    [["top", "--interval=1ms"], /--interval must be at least 100ms/],
    [["top", "--sort=size"], /one of rate, drops, state, name/],
    [["graph", "--format=svg"], /one of mermaid, dot, json/],
    [["graph", "--server=127.0.0.1:1", "x.alloy"], /give one of them/],
    [["status", "--user=me"], /must be NAME:PASSWORD/],
  ];
  for (const [args, pattern] of usage) {
    const { code, stderr } = await runInvar(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, pattern);
  }
  const agent = await startAgent(t, "", { flags: ["--server.http.ui-path-prefix=/below"] });
  assert.match(
    (await runInvar(["status", server(agent)])).stderr,
    /not as an agent of this version does: check the address and the path prefix/,
  );
  assert.equal((await runInvar(["status", `${server(agent)}/below/`])).code, 0);
});

test("an agent that asks for a password gets it from the environment", async (t) => {
  const agent = await startAgent(
    t,
    'http {\n  auth {\n    basic {\n      username = "me"\n      password = "pass:word"\n    }\n  }\n}\n',
    {
      unready: true,
    },
  );
  await agent.untilLogged(/now listening for http traffic/);
  const refused = await runInvar(["status", server(agent)]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /asks for a name and a password: give them with --user NAME:PASSWORD or INVAR_USER/);
  const { code } = await runInvar(["status", server(agent)], { environment: { INVAR_USER: "me:pass:word" } });
  assert.equal(code, 0);
});

test("graph: of a running agent, and of a configuration without running it", async (t) => {
  const agent = await startAgent(t, GOOD);
  await agent.until(async () => (await agent.component("prometheus.echo.out")).flow.received.items > 0, "data flows");
  const mermaid = await runInvar(["graph", server(agent)]);
  assert.equal(mermaid.code, 0);
  assert.match(mermaid.stdout, /^flowchart LR\n/);
  assert.match(mermaid.stdout, /-->\|"metrics, [\d.k]+\/s"\|/);
  assert.match(mermaid.stdout, /\n {2}class n\d(,n\d)* ok\n/);
  const dot = await runInvar(["graph", server(agent), "--format=dot"]);
  assert.match(dot.stdout, /^digraph "pipeline" \{\n/);
  assert.match(dot.stdout, /"prometheus\.scrape\.s" -> "prometheus\.echo\.out" \[label="metrics, [\d.k]+\/s"\];/);
  const missing = await runInvar(["graph", server(agent), "--module=no.such"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /answers 404: there is no module "no\.such"/);

  const folder = temporaryFolder(t);
  const path = join(folder, "a.alloy");
  // It must not listen: the port is taken.
  writeFileSync(
    path,
    `${GOOD}loki.source.api "in" {\n  http {\n    listen_address = "127.0.0.1"\n    listen_port = ${agent.port}\n  }\n  forward_to = []\n}\n`,
  );
  const drawn = await runInvar(["graph", "--format=json", path], { cwd: folder });
  assert.equal(drawn.code, 0);
  const { nodes, edges } = JSON.parse(drawn.stdout) as PipelineJson;
  assert.equal(nodes.length, 4);
  assert.deepEqual(
    nodes.filter(({ state }) => state !== null),
    [],
  );
  assert.deepEqual(edges.map(({ from, to }) => `${from} > ${to}`).sort(), [
    "prometheus.exporter.self.me > prometheus.scrape.s",
    "prometheus.scrape.s > prometheus.echo.out",
  ]);
  assert.match(drawn.stderr, /^Warning: loki\.source\.api\.in: it forwards to nothing/);
  assert.deepEqual(readdirSync(folder), ["a.alloy"], "nothing is written");

  writeFileSync(
    path,
    'loki.write "x" {\n  endpoint {\n    url = "http://me:hunter2@127.0.0.1/"\n    bearer_token = { a = "hunter2" }\n  }\n}\n',
  );
  const bad = await runInvar(["graph", path]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /code: /);
  assert.doesNotMatch(bad.stderr, /hunter2/);
});

test("top where there is no terminal: one table, or one after the other as long as somebody reads", async (t) => {
  const agent = await startAgent(t, GOOD);
  await agent.until(async () => (await agent.component("prometheus.echo.out")).flow.received.items > 0, "data flows");
  const once = await runInvar(["top", server(agent), "--once", "--edges", "--sort=name"]);
  assert.equal(once.code, 0);
  const lines = once.stdout.trimEnd().split("\n");
  assert.match(lines[0]!, /^\d{4}-\S+Z {2}3 components: /);
  assert.match(lines[1]!, /^COMPONENT +STATE +IN\/S +OUT\/S +BYTES\/S +DROPS\/S +QUEUE +LAG +CAUSE$/);
  assert.deepEqual(
    lines.slice(2).map((line) => line.replace(/^(\s*(?:→ )?\S+).*$/, "$1")),
    ["prometheus.echo.out", "prometheus.exporter.self.me", "prometheus.scrape.s", "  → prometheus.echo.out"],
  );
  assert.match(lines[5]!, /metrics +[\d.k]+ +[\d.]+(B|KiB)/);

  const [program, ...before] = programWords();
  const child = spawn(program!, [...before, "top", server(agent), "--interval=100ms"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  cleanUp(t, () => child.kill("SIGKILL"));
  let output = "";
  let errors = "";
  child.stdout.on("data", (data: Buffer) => void (output += data));
  child.stderr.on("data", (data: Buffer) => void (errors += data));
  const ended = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
  await until(
    () => (output.match(/^COMPONENT/gm) ?? []).length >= 3,
    "three tables",
    () => output + errors,
  );
  assert.doesNotMatch(output, /\x1b/);
  child.stdout.destroy();
  assert.equal(await ended, 0, "nobody reads any more");
  assert.equal(errors, "");
});

async function until(check: () => boolean, what: string, more: () => string, timeoutMs = WAIT_MS): Promise<void> {
  const last = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > last) throw new Error(`not within ${timeoutMs} ms: ${what}\n${more()}`);
    await sleep(20);
  }
}

/** A command in a pseudo-terminal of util-linux's `script`, and what the terminal shows. */
class TerminalSession {
  readonly #child: ChildProcess;
  output = "";
  exited = false;

  constructor(t: TestContext, command: string, rows: number, columns: number) {
    const whole = `stty rows ${rows} cols ${columns}; ${command}; echo "code $?"; stty -a`;
    this.#child = spawn("script", ["-qec", whole, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, TERM: "xterm-256color", NO_COLOR: "" },
    });
    cleanUp(t, () => this.#child.kill("SIGKILL"));
    this.#child.stdout!.on("data", (data: Buffer) => void (this.output += data.toString("utf8")));
    this.#child.on("exit", () => void (this.exited = true));
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** The lines of the last whole picture, without colours. */
  get picture(): readonly string[] {
    const [last = ""] = this.output
      .split("\x1b[?2026h")
      .filter((part) => part.includes("\x1b[?2026l"))
      .slice(-1);
    return stripVTControlCharacters(last.split("\x1b[?2026l")[0]!).split(/\r*\n/);
  }

  async until(check: () => boolean, what: string): Promise<void> {
    await until(check, what, () => JSON.stringify(this.output.slice(-4_000)));
  }
  async shows(pattern: RegExp): Promise<void> {
    await this.until(() => pattern.test(this.picture.join("\n")), `the terminal shows ${pattern}`);
  }
}

function topCommand(agent: TestAgent, ...args: readonly string[]): string {
  return [...programWords(), "top", server(agent), "--interval=200ms", ...args].map((word) => `'${word}'`).join(" ");
}

test("top in a terminal: it draws, takes keys, and leaves the terminal as it was", async (t) => {
  const echoes = Array.from({ length: 12 }, (_, i) => `loki.echo "e${String(i).padStart(2, "0")}" { }\n`).join("");
  const agent = await startAgent(t, GOOD + echoes);
  await agent.until(async () => (await agent.component("prometheus.echo.out")).flow.received.items > 0, "data flows");
  const session = new TerminalSession(t, topCommand(agent), 12, 100);
  await session.shows(
    /^15 components: .*\nsorted by rate \(s\) {2}edges off \(e\) {2}quit \(q\) {2}1-9 of 15 \(↑↓\)\nCOMPONENT/,
  );
  assert.ok(session.output.startsWith("\x1b[?1049h"), "the alternate screen");
  assert.match(session.output, /\x1b\[32mok/, "in colour");
  assert.match(session.picture[3]!, /^prometheus\.(scrape|echo)\./, "the busiest comes first");
  assert.equal(session.picture.length, 12);
  for (const line of session.picture) assert.ok(line.length <= 100, line);

  session.type("s");
  await session.shows(/sorted by drops/);
  session.type("ss");
  await session.shows(/sorted by name/);
  assert.match(session.picture[3]!, /^loki\.echo\.e00/);
  session.type("\x1b[B\x1b[B");
  await session.shows(/3-11 of 15/);
  assert.match(session.picture[3]!, /^loki\.echo\.e02/);
  session.type("\x1b[F");
  await session.shows(/7-15 of 15/);
  session.type("e");
  await session.shows(/edges on.*7-15 of 16/);
  session.type("\x1b[6~");
  await session.shows(/ {2}→ prometheus\.echo\.out +metrics/);
  session.type("\x1b[H");
  await session.shows(/1-9 of 16/);

  await agent.kill();
  await session.shows(/^no news since \d\d:\d\d:\d\d UTC: no agent answers/);
  await agent.start();
  await session.shows(/^15 components: /);

  session.type("q");
  await session.until(() => session.exited, "it ends");
  await leftClean(session, 0);
});

async function leftClean(session: TerminalSession, code: number): Promise<void> {
  const after = session.output.slice(session.output.lastIndexOf("\x1b[?2026l"));
  assert.ok(after.includes("\x1b[?7h\x1b[?25h\x1b[?1049l"), "back from the alternate screen, with a cursor");
  assert.match(after, new RegExp(`code ${code}\\r\\n`));
  assert.match(after, /[ ;]icanon[ ;]/, "lines are edited again");
  assert.match(after, /[ ;]echo[ ;]/, "and echoed");
}

test("top in a terminal: ctrl-c and SIGTERM leave it as it was, too", async (t) => {
  const agent = await startAgent(t, GOOD);
  const interrupted = new TerminalSession(t, topCommand(agent), 24, 80);
  await interrupted.shows(/^3 components/);
  interrupted.type("\x03");
  await interrupted.until(() => interrupted.exited, "it ends");
  await leftClean(interrupted, 0);

  const ended = new TerminalSession(t, `sh -c 'echo pid $$; exec "$@"' sh ${topCommand(agent)}`, 24, 80);
  await ended.shows(/^3 components/);
  process.kill(Number(/pid (\d+)/.exec(ended.output)![1]), "SIGTERM");
  await ended.until(() => ended.exited, "it ends");
  await leftClean(ended, 0);
});

test("status in a terminal: colours, and causes that fit", async (t) => {
  const agent = await startAgent(t, 'loki.write "lonely" {\n  endpoint {\n    url = "http://127.0.0.1:1/"\n  }\n}\n');
  const words = [...programWords(), "status", server(agent)].map((word) => `'${word}'`).join(" ");
  const session = new TerminalSession(t, words, 24, 80);
  await session.until(() => session.exited, "it ends");
  const [head, row] = session.output.split("\r\n");
  assert.match(stripVTControlCharacters(head!), /^COMPONENT/);
  assert.match(row!, /\x1b\[36midle/);
  const plain = stripVTControlCharacters(row!);
  assert.ok(plain.length <= 80 && plain.endsWith("…"), plain);
  const piped = await runInvar(["status", server(agent)]);
  assert.match(
    piped.stdout,
    /nothing feeds it: no component forwards to loki\.write\.lonely\.receiver; .*remove the block/,
  );
});
