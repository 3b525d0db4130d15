import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { until } from "#base/until.testing";
import { startComponent } from "#pipeline/testing";
import storage from "./otelcol.storage.file.ts";

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "otelcol-storage-"));
  cleanUp(t, () => rm(path, { recursive: true, force: true }));
  return path;
}
const mode = (path: string) => (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;

async function start(t: TestContext, config: string, dataPath?: string) {
  const component = await startComponent(storage, config, dataPath === undefined ? {} : { dataPath });
  cleanUp(t, () => component.stop());
  return component;
}

test("makes its directory, with the permissions that are wanted, or a folder of its own", async (t) => {
  const base = await folder(t);
  const wanted = join(base, "a", "queues");
  const component = await start(t, `directory = "${wanted}"\ndirectory_permissions = "0700"`);
  await until(() => mode(wanted) === 0o700, "the directory is made");
  assert.equal(component.problem, undefined);
  const own = join(base, "own");
  await start(t, "", own);
  await until(() => mode(own) === 0o750, "its own folder is made");
});

test("each component and signal has a folder of its own", async (t) => {
  const base = await folder(t);
  const { handler } = (await start(t, `directory = "${base}"`)).exports;
  assert.equal(
    handler.folder("a/otelcol.exporter.otlp.x", "logs"),
    join(base, "a~002Fotelcol.exporter.otlp.x", "logs"),
  );
  const queue = await handler.open("otelcol.exporter.otlp.x", "traces", systemClock, {});
  await queue.append([{ bytes: Buffer.from("x"), items: 1, tag: 0 }]);
  assert.equal(queue.reader("traces").pendingRecords, 1);
  await queue.close();
  assert.ok(statSync(join(base, "otelcol.exporter.otlp.x", "traces")).isDirectory());
});

test("a folder in use is waited for, and then said", async (t) => {
  const base = await folder(t);
  const { handler } = (await start(t, `directory = "${base}"\ntimeout = "150ms"`)).exports;
  const held = await handler.open("x", "logs", systemClock, {});
  await assert.rejects(handler.open("x", "logs", systemClock, {}), /is in use by/);
  const waiting = handler.open("x", "logs", systemClock, {});
  await held.close();
  await (await waiting).close();
});

test("a directory that cannot be used is said at once, with what to do", async (t) => {
  const base = await folder(t);
  const missing = await start(t, `directory = "${base}/no"\ncreate_directory = false`);
  await until(() => missing.problem !== undefined, "the problem");
  assert.match(missing.problem!, /no is not there: make it, or set create_directory = true/);
  await writeFile(join(base, "file"), "");
  const inTheWay = await start(t, `directory = "${base}/file/queues"`);
  await until(() => inTheWay.problem !== undefined, "the problem");
  assert.match(inTheWay.problem!, /a file is in the way/);
  const nowhere = await start(t, 'directory = "/proc/invar/queues"');
  await until(() => nowhere.problem !== undefined, "the problem");
  assert.match(nowhere.problem!, /the file system of \/proc takes no folders: choose another place/);
  const notFolder = await start(t, `directory = "${base}/file"\ncreate_directory = false`);
  await until(() => notFolder.problem !== undefined, "the problem");
  assert.match(notFolder.problem!, /is not a folder/);
});

test("arguments that make no sense are refused", async (t) => {
  await assert.rejects(start(t, 'directory_permissions = "999"'), /octal/);
  await assert.rejects(start(t, 'directory_permissions = "7777"'), /at most 0777/);
  await assert.rejects(start(t, 'compaction {\non_rebound = true\ncheck_interval = "0s"\n}'), /must be positive/);
  await assert.rejects(start(t, "compaction {\nmax_transaction_size = -1\n}"), /max_transaction_size/);
});

test("the queue of an Alloy before is found, since it cannot be read", async (t) => {
  const base = await folder(t);
  const { handler } = (await start(t, `directory = "${base}"`)).exports;
  const left = join(base, "exporter_otlp_otelcol.exporter.otlp.x_traces");
  await writeFile(left, "");
  assert.equal(await handler.alloyFile("otelcol.exporter.otlp.x", "traces"), left);
  assert.equal(await handler.alloyFile("otelcol.exporter.otlp.x", "logs"), undefined);
});
