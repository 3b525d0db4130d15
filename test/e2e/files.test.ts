import assert from "node:assert/strict";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** What happens to files on real machines, with the real agent: rotation at full speed, links, encodings, compression. */

const MARKER = "seq=";

async function setUp(t: TestContext) {
  const folder = join(temporaryFolder(t), "logs");
  mkdirSync(folder);
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, MARKER, lines));
  cleanUp(t, () => sink.stop());
  return { folder, lines, sink };
}

function config(url: string, sources: string, endpoint = ""): string {
  return `${sources}
loki.write "out" {
  endpoint {
    url        = "${url}/loki/api/v1/push"
    batch_wait = "50ms"
    ${endpoint}
  }
}
`;
}

function source(path: string, more = ""): string {
  return `loki.source.file "logs" {
  targets    = [{ __path__ = "${path}", job = "test" }]
  forward_to = [loki.write.out.receiver]
  ${more}
}
`;
}

/** The loop of the test has to go on while files are written, since the sink is in the same process. */
const breathe = () => new Promise((resolve) => setImmediate(resolve));

const CHUNK_LINES = 1_000;
const LINE_BYTES = 200;
const ROTATE_BYTES = 5 * 1024 * 1024;
const TOTAL_BYTES = 50 * 1024 * 1024;

function chunk(first: number): string {
  let text = "";
  for (let i = first; i < first + CHUNK_LINES; i++) text += `${`${MARKER}${i} `.padEnd(LINE_BYTES - 1, "abcdefgh ")}\n`;
  return text;
}

async function allCame(agent: TestAgent, lines: SequenceCounter, written: number): Promise<void> {
  await agent
    .until(() => lines.distinct === written, "every line has come")
    .catch((error) => {
      throw new Error(`${written - lines.distinct} of ${written} lines are missing\n${error}`);
    });
}

for (const mode of ["create", "copytruncate"] as const) {
  test(`50 MiB at full speed, rotated each 5 MiB with ${mode}: every line comes once`, async (t) => {
    const { folder, lines, sink } = await setUp(t);
    const path = join(folder, "app.log");
    writeFileSync(path, "");
    const agent = await startAgent(t, config(sink.url, source(path)));
    let written = 0;
    let size = 0;
    let rotations = 0;
    let beforeLast = 0;
    while (written * LINE_BYTES < TOTAL_BYTES) {
      const text = chunk(written);
      appendFileSync(path, text);
      written += CHUNK_LINES;
      size += text.length;
      if (size >= ROTATE_BYTES) {
        size = 0;
        rotations += 1;
        if (mode === "create") {
          renameSync(path, `${path}.${1000 - rotations}`);
          writeFileSync(path, "");
        } else {
          // Of two cuts between two looks at the file the first one shows nowhere.
          await agent.until(() => lines.distinct >= beforeLast, "what was written before the last cut came");
          beforeLast = written;
          copyFileSync(path, `${path}.${1000 - rotations}`);
          truncateSync(path);
        }
      }
      await breathe();
    }
    await allCame(agent, lines, written);
    assert.equal(lines.duplicated, 0);
    const lost = (await agent.metric("loki_source_file_lost_bytes_total")) ?? 0;
    assert.equal(lost, 0);
    // Two of them between two looks are noticed as one.
    const noticed = (await agent.metric("loki_source_file_rotations_total")) ?? 0;
    if (mode === "create") assert.ok(noticed > 0 && noticed <= rotations, `${noticed} of ${rotations} rotations`);
    assert.equal(await agent.stop(), 0);
  });
}

test("files that have the name for less than a tick of the system's clock: every line comes once", async (t) => {
  const { folder, lines, sink } = await setUp(t);
  const path = join(folder, "app.log");
  writeFileSync(path, "");
  const agent = await startAgent(t, config(sink.url, source(path)));
  await agent.untilLogged(/start tailing file/);
  let written = 0;
  for (let round = 0; round < 4; round++) {
    for (let file = 0; file < 12; file++) {
      appendFileSync(path, chunk(written));
      written += CHUNK_LINES;
      renameSync(path, `${path}.${10_000 - written / CHUNK_LINES}`);
      writeFileSync(path, "");
      await breathe();
    }
    await allCame(agent, lines, written);
  }
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

test("two rotations while the backend takes nothing, the older file deleted: nothing is lost, and it is told", async (t) => {
  const { folder, lines, sink } = await setUp(t);
  const path = join(folder, "app.log");
  sink.answer = () => ({ status: 503 });
  writeFileSync(path, "");
  const small = `batch_size = "64KiB"
    min_backoff_period  = "50ms"
    max_backoff_period  = "200ms"
    max_backoff_retries = 0
    queue_config {
      capacity = "64KiB"
    }`;
  const agent = await startAgent(t, config(sink.url, source(path), small));
  let written = 0;
  const write = async (bytes: number) => {
    for (const end = written + bytes / LINE_BYTES; written < end; written += CHUNK_LINES) {
      appendFileSync(path, chunk(written));
      await breathe();
    }
  };
  await write(8 * 1024 * 1024);
  const lag = async () => (await agent.metric("loki_source_file_lag_bytes")) ?? 0;
  await agent.until(async () => (await lag()) > 1024 * 1024, "it is held up");
  for (let i = 0; i < 2; i++) {
    rmSync(`${path}.1`, { force: true });
    renameSync(path, `${path}.1`);
    writeFileSync(path, "");
    await agent.until(
      async () => (await agent.metric("loki_source_file_rotations_total")) === i + 1,
      "the rotation is noticed though reading is held up",
    );
    await write(2 * 1024 * 1024);
  }
  const { cause } = await agent.untilRule("loki.source.file.logs", "rotation", "degraded");
  assert.match(cause, /app\.log: rotated before it was read to its end, .* MiB are unread/);
  assert.ok((await agent.metric("loki_source_file_unread_at_rotation_bytes_total"))! > 1024 * 1024);
  assert.ok((await agent.metric("loki_source_file_lag_seconds"))! > 0);
  assert.equal(
    agent.logged("loki.source.file.logs", "a file was rotated before it was read to its end; it is read on").length,
    1,
  );
  sink.answer = () => ({ status: 204 });
  await allCame(agent, lines, written);
  assert.equal(lines.duplicated, 0);
  await agent.until(
    async () => (await agent.component("loki.source.file.logs")).flow.state === "ok",
    "the status recovers",
  );
  assert.equal(await agent.stop(), 0);
});

test("Kubernetes and Docker: links to links, a rotation at their end, a container that comes back", async (t) => {
  const { folder, lines, sink } = await setUp(t);
  const containers = join(folder, "containers");
  const pod = join(folder, "pods", "shop_web-1_uid", "web");
  const docker = join(folder, "docker");
  for (const each of [containers, pod, docker]) mkdirSync(each, { recursive: true });
  let written = 0;
  const write = (path: string, count = 10) => {
    for (let i = 0; i < count; i++) appendFileSync(path, `${MARKER}${written++} of a container\n`);
  };
  /** A container starts: its file, and the links to it, as kubelet makes them. */
  const start = (restart: number) => {
    const real = join(docker, `c${restart}`, `c${restart}-json.log`);
    mkdirSync(join(docker, `c${restart}`));
    writeFileSync(real, "");
    symlinkSync(real, join(pod, `${restart}.log`));
    const link = join(containers, "web-1_shop_web.log");
    rmSync(link, { force: true });
    symlinkSync(join(pod, `${restart}.log`), link);
    return real;
  };
  const first = start(0);
  const discovery = `local.file_match "logs" {
  path_targets = [{ __path__ = "${containers}/*.log", job = "pods" }]
  sync_period  = "200ms"
}
loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.write.out.receiver]
}
`;
  const agent = await startAgent(t, config(sink.url, discovery));
  write(first);
  await allCame(agent, lines, written);
  // Docker rotates where the links end, and the writer still adds to the old file.
  const writer = openSync(first, "a");
  renameSync(first, `${first}.1`);
  writeSync(writer, `${MARKER}${written++} late\n`);
  closeSync(writer);
  write(first);
  await allCame(agent, lines, written);
  // While the agent is away the file is rotated once more, and only its new name has the rest.
  assert.equal(await agent.stop(), 0);
  write(first);
  renameSync(first, `${first}.2`);
  write(first);
  await agent.start();
  await allCame(agent, lines, written);
  // The container comes back: other links, another file.
  write(first);
  const second = start(1);
  write(second);
  await allCame(agent, lines, written);
  // Unwatched files are looked at less often than that, each time; a busy machine is slow at times.
  let soonest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    write(second);
    const began = performance.now();
    await allCame(agent, lines, written);
    soonest = Math.min(soonest, performance.now() - began);
  }
  assert.ok(soonest < 5_000, "the new end of the links is watched");
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

test("UTF-16 with and without a mark, and compressed files, each line once, also after a restart", async (t) => {
  const { folder, lines, sink } = await setUp(t);
  let written = 0;
  const text = () => Array.from({ length: 50 }, () => `${MARKER}${written++} gr\u00fc\u00dfe\u010a\r\n`).join("");
  const wide = (marked: boolean) => Buffer.from(`${marked ? "\ufeff" : ""}${text()}`, "utf16le");
  const files: readonly [name: string, arguments: string, bytes: Buffer][] = [
    ["le_mark", "", wide(true)],
    ["be_mark", "", wide(true).swap16()],
    ["le", 'encoding = "UTF-16LE"', wide(false)],
    ["be", 'encoding = "UTF-16BE"', wide(false).swap16()],
    ["latin", 'encoding = "ISO-8859-1"', Buffer.from(text().replaceAll("\u010a", ""), "latin1")],
    ["gz", 'decompression {\n enabled = true\n format = "gz"\n}', gzipSync(text())],
    ["z", 'decompression {\n enabled = true\n format = "z"\n}', deflateSync(text())],
    ["gz_wide", 'encoding = "UTF-16LE"\ndecompression {\n enabled = true\n format = "gz"\n}', gzipSync(wide(true))],
  ];
  let sources = "";
  for (const [name, more, bytes] of files) {
    writeFileSync(join(folder, name), bytes);
    sources += source(join(folder, name), more).replace('"logs"', `"${name}"`);
  }
  const agent = await startAgent(t, config(sink.url, sources));
  await allCame(agent, lines, written);
  assert.equal(await agent.stop(), 0);
  appendFileSync(join(folder, "le"), wide(false));
  // A compressed file gets another name, as logrotate gives it, and a new one comes.
  renameSync(join(folder, "gz"), join(folder, "gz.old"));
  writeFileSync(join(folder, "gz"), gzipSync(text()));
  await agent.start();
  await allCame(agent, lines, written);
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

test("positions of Promtail are taken over: no line is repeated, and none is left out", async (t) => {
  const { folder, lines, sink } = await setUp(t);
  const names = ["a.log", "b.log"].map((name) => join(folder, name));
  const before = `${MARKER}0 already sent by promtail\n`;
  for (const [i, name] of names.entries()) writeFileSync(name, `${before}${MARKER}${i + 1} new\n`);
  const legacy = join(folder, "positions.yaml");
  const entries = names.map((name) => `  ${name}: "${before.length}"`);
  writeFileSync(legacy, `positions:\n  cursor-journal: "s=abc"\n${entries.join("\n")}\n`);
  const config2 = config(
    sink.url,
    `local.file_match "logs" {
  path_targets = [{ __path__ = "${folder}/*.log", job = "varlogs" }]
}
loki.source.file "logs" {
  targets               = local.file_match.logs.targets
  forward_to            = [loki.write.out.receiver]
  legacy_positions_file = "${legacy}"
}
`,
  );
  const agent = await startAgent(t, config2);
  await agent.until(() => lines.total >= 2, "the new lines come");
  appendFileSync(names[0]!, `${MARKER}3 newer\n`);
  await agent.until(() => lines.total >= 3, "what is added comes");
  assert.equal(await agent.stop(), 0);
  await agent.start();
  appendFileSync(names[0]!, `${MARKER}4 newest\n`);
  await agent.until(() => lines.total >= 4, "it goes on from its own positions");
  assert.deepEqual([lines.distinct, lines.duplicated], [4, 0]);
  assert.ok(existsSync(legacy) && statSync(legacy).size > 0, "Promtail's file stays as it is");
  assert.equal(await agent.stop(), 0);
});
