import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort, waitUntil } from "../test/kit/process.ts";
import { SequenceCounter, Sink } from "../test/kit/sink.ts";
import { traceRequest } from "../test/kit/spans.ts";
import { countSamples, countSequences, countSpans } from "../test/kit/walk.ts";
import { megabytes, run } from "./build/executable.ts";

/**
 * Starts what `npm run build` made as a user would: the executable alone in an empty folder, and the npm package installed
 * from its tarball. Each gets log lines, spans and something to scrape, has to deliver them, and to end well on SIGTERM.
 */

/** Enough for worker threads, with the template below. */
const LINES = 20_000;
const SPANS = 50;
const DEADLINE_MS = 30_000;

interface Release {
  readonly name: string;
  readonly size: string;
  readonly command: readonly string[];
}

/** What has arrived at the backend. */
class Arrivals {
  readonly lines = new SequenceCounter();
  samples = 0;
  spans = 0;

  take(path: string, body: Uint8Array): void {
    if (path === "/loki/api/v1/push") countSequences(body, "seq=", this.lines);
    else if (path === "/api/v1/write") this.samples += countSamples(body, new Map());
    else if (path === "/v1/traces") this.spans += countSpans(body);
  }
}

function configuration(backend: string, logFile: string, otlpPort: number): string {
  return `
loki.source.file "smoke" {
  targets    = [{ __path__ = "${logFile}", job = "smoke" }]
  forward_to = [loki.process.smoke.receiver]
}

loki.process "smoke" {
  forward_to = [loki.write.smoke.receiver]

  stage.regex {
    expression = "level=(?P<level>\\\\w+).* seq=(?P<number>\\\\d+)"
  }
  stage.template {
    source   = "number"
    template = "{{ repeat 400 .Value | upper | replace \\"1\\" \\"2\\" | len }}"
  }
  stage.labels {
    values = { level = "" }
  }
}

loki.write "smoke" {
  endpoint {
    url        = "${backend}/loki/api/v1/push"
    batch_wait = "100ms"
  }
}

prometheus.exporter.self "smoke" { }

prometheus.scrape "smoke" {
  targets         = prometheus.exporter.self.smoke.targets
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  forward_to      = [prometheus.remote_write.smoke.receiver]
}

prometheus.remote_write "smoke" {
  endpoint {
    url = "${backend}/api/v1/write"

    queue_config {
      batch_send_deadline = "100ms"
    }
  }
}

otelcol.receiver.otlp "smoke" {
  http {
    endpoint = "127.0.0.1:${otlpPort}"
  }

  output {
    traces = [otelcol.exporter.otlphttp.smoke.input]
  }
}

otelcol.exporter.otlphttp "smoke" {
  client {
    endpoint = "${backend}"
  }
}
`;
}

/** A started agent with its last words. */
class RunningRelease {
  readonly #child: ChildProcess;
  output = "";
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  exited = false;

  constructor(command: readonly string[], cwd: string) {
    // An environment as bare as an init system's.
    const env = { PATH: "/usr/bin:/bin", HOME: cwd };
    this.#child = spawn(command[0]!, command.slice(1), { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const keep = (data: Buffer) => {
      this.output = (this.output + data.toString()).slice(-20_000);
    };
    this.#child.stdout!.on("data", keep);
    this.#child.stderr!.on("data", keep);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code, signal) => {
        this.exited = true;
        resolve({ code, signal });
      });
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

async function smoke(release: Release, work: string): Promise<void> {
  const empty = join(work, "empty");
  const elsewhere = join(work, "elsewhere");
  for (const folder of [empty, elsewhere]) mkdirSync(folder);
  const logFile = join(elsewhere, "smoke.log");
  writeFileSync(logFile, "");
  const arrivals = new Arrivals();
  const sink = await Sink.start((path, body) => arrivals.take(path, body));
  const [httpPort, otlpPort] = [await freePort(), await freePort()];
  const path = join(elsewhere, "config.alloy");
  writeFileSync(path, configuration(sink.url, logFile, otlpPort));

  const begun = performance.now();
  const agent = new RunningRelease(
    [
      ...release.command,
      "run",
      "--workers=2",
      `--storage.path=${join(elsewhere, "data")}`,
      `--server.http.listen-addr=127.0.0.1:${httpPort}`,
      path,
    ],
    empty,
  );
  try {
    const api = `http://127.0.0.1:${httpPort}`;
    await waitFor(async () => (await fetch(`${api}/-/ready`)).ok, agent, "ready");
    const readyMs = Math.round(performance.now() - begun);
    const page = await (await fetch(`${api}/`)).text();
    assert.match(page, /<!doctype html>/i, "the page is missing");
    for (const [, path] of page.matchAll(/(?:src|href)="([^"/][^"]*\.\w+)"/g)) {
      assert.equal((await fetch(`${api}/${path}`)).status, 200, `the page's ${path} is missing`);
    }

    for (let i = 0; i < LINES; i += 100) {
      const lines = Array.from({ length: 100 }, (_, k) => `level=info msg="order placed" seq=${i + k}\n`);
      appendFileSync(logFile, lines.join(""));
    }
    await waitFor(async () => await sendSpans(otlpPort), agent, "OTLP receiver");
    const done = () => arrivals.lines.distinct === LINES && arrivals.spans >= SPANS && arrivals.samples > 0;
    await waitFor(done, agent, "data at the backend").catch((error: unknown) => {
      const { lines, spans, samples } = arrivals;
      throw new Error(`arrived: ${lines.distinct} of ${LINES} lines, ${spans} spans, ${samples} samples`, {
        cause: error,
      });
    });

    assert.match(agent.output, /worker threads take over this pipeline/);

    agent.kill("SIGTERM");
    const { code, signal } = await agent.ended;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `it did not end well:\n${agent.output}`);
    assert.equal(arrivals.lines.duplicated, 0, "lines came twice");
    process.stdout.write(
      `${release.name}: ${release.size}, ready after ${readyMs} ms, delivered everything, ended well\n`,
    );
  } finally {
    if (!agent.exited) agent.kill("SIGKILL");
    await agent.ended.catch(() => {});
    await sink.stop();
  }
}

async function waitFor(check: () => boolean | Promise<boolean>, agent: RunningRelease, what: string): Promise<void> {
  const ready = async () => {
    if (agent.exited) throw new Error(`${what}: the agent ended\n${agent.output}`);
    try {
      return await check();
    } catch {
      return false; // nobody listens yet
    }
  };
  await waitUntil(ready, DEADLINE_MS, what).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}\n${agent.output}`);
  });
}

async function sendSpans(port: number): Promise<boolean> {
  const body = Buffer.from(traceRequest(SPANS));
  const headers = { "Content-Type": "application/x-protobuf" };
  return (await fetch(`http://127.0.0.1:${port}/v1/traces`, { method: "POST", headers, body })).ok;
}

/** The executable, moved to where nothing of the checkout is near. */
function executable(work: string): Release {
  const file = join(work, "invar");
  cpSync("dist/invar", file);
  return { name: "executable", size: megabytes(file), command: [file] };
}

/** The npm package, installed from its tarball as a user's npm does it. */
function npmPackage(work: string): Release {
  const [tarball] = globSync("dist/invar-*.tgz");
  if (tarball === undefined) throw new Error("dist/ has no tarball: npm run build");
  const folder = join(work, "installed");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), "{}");
  run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", resolve(tarball)], folder);
  const program = join(folder, "node_modules", "invar", "bin", "invar.mjs");
  refusesOldNode(program);
  return { name: "npm package", size: megabytes(tarball), command: [process.execPath, program] };
}

/** An old Node gets one line that says what to do, not a stack of syntax errors. */
function refusesOldNode(program: string): void {
  const pretend = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})";
  const { status, stderr } = spawnSync(process.execPath, ["--import", pretend, program, "--version"], {
    encoding: "utf8",
  });
  assert.equal(status, 1);
  assert.match(stderr, /^Error: Invar needs Node 24 or newer; .*\n$/);
}

for (const prepare of [executable, npmPackage]) {
  const work = mkdtempSync(join(tmpdir(), "invar-smoke-"));
  try {
    await smoke(prepare(work), work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
