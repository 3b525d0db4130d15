import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { requestFromJson } from "#formats/otlp/json";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { acknowledged, startComponent } from "#pipeline/testing";
import { groupedPath } from "./grouped-path.ts";
import exporter from "./otelcol.exporter.file.ts";

const signal = new AbortController().signal;

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "file-exporter-"));
  cleanUp(t, () => rm(path, { recursive: true, force: true }));
  return path;
}
async function start(t: TestContext, config: string) {
  const component = await startComponent(exporter, config);
  cleanUp(t, () => component.stop(500));
  return component;
}

function batch(kind: OtlpKind, plain: object, acknowledgement = Acknowledgement.none): OtlpBatch {
  const bytes = oracleEncode(kind, plain);
  const items = itemsOf(kind, bytes).length;
  return {
    signal: "otlp",
    kind,
    parts: [bytes],
    items,
    bytes: bytes.length,
    clientMetadata: undefined,
    acknowledgement,
  };
}
const log = (text: string, attributes: object[] = []) => ({
  resourceLogs: [{ resource: { attributes }, scopeLogs: [{ logRecords: [{ severityText: text }] }] }],
});
const segment = (text: string) => [{ key: "fileexporter.path_segment", value: { stringValue: text } }];

/** Records that begin with their length. */
function lengthRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    records.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
    assert.ok(at <= bytes.length, "records are whole");
  }
  return records;
}
const lines = (path: string) => readFileSync(path, "utf8").split("\n").slice(0, -1);
const textsOf = (path: string) => lines(path).map((line) => /"severityText":"([^"]+)"/.exec(line)![1]);

test("requests of all signals are lines of JSON that read back the same, acknowledged when they are in the file", async (t) => {
  const path = join(await folder(t), "out.json");
  const component = await start(t, `path = "${path}"\nflush_interval = "30ms"`);
  const requests = [
    ["logs", log("a")],
    ["traces", { resourceSpans: [{ scopeSpans: [{ spans: [{ name: "s", traceId: "AAECAwQFBgcICQoLDA0ODw==" }] }] }] }],
    [
      "metrics",
      { resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "m", sum: { dataPoints: [{ asInt: "1" }] } }] }] }] },
    ],
  ] as const;
  const marks = requests.map(() => acknowledged());
  for (const [i, [kind, plain]] of requests.entries()) {
    await component.exports.input.consume(batch(kind, plain, marks[i]!.acknowledgement), signal);
  }
  assert.ok(
    marks.every(({ fired }) => !fired),
    "gathered at first",
  );
  await until(() => marks.every(({ fired }) => fired), "they are in the file");
  const written = lines(path);
  for (const [i, [kind, plain]] of requests.entries()) {
    assert.deepEqual(itemsOf(kind, requestFromJson(kind, written[i]!)), itemsOf(kind, oracleEncode(kind, plain)));
  }
  assert.match(written[1]!, /"traceId":"000102030405060708090a0b0c0d0e0f"/);
  assert.equal(component.metric("otelcol_exporter_sent_log_records_total", { exporter: `file/${component.id}` }), 1);
  assert.equal(component.flow.status.state, "ok");
});

test("protobuf and packed requests begin with their length", async (t) => {
  const base = await folder(t);
  for (const [name, config] of [
    ["proto", 'format = "proto"'],
    ["zstd", 'compression = "zstd"\ncompression_params {\nlevel = 19\n}'],
    ["both", 'format = "proto"\ncompression = "zstd"'],
  ] as const) {
    const path = join(base, name);
    const component = await start(t, `path = "${path}"\n${config}`);
    for (const text of ["a", "b", "c"]) await component.exports.input.consume(batch("logs", log(text)), signal);
    await component.stop();
    const records = lengthRecords(readFileSync(path)).map((each) =>
      name === "proto" ? each : zstdDecompressSync(each),
    );
    const decoded = records.map((each) => (name === "zstd" ? requestFromJson("logs", each.toString()) : each));
    assert.deepEqual(
      decoded.flatMap((each) => itemsOf("logs", each)),
      ["a", "b", "c"].flatMap((text) => itemsOf("logs", oracleEncode("logs", log(text)))),
    );
  }
});

test("a file is emptied at the start, or gone on with", async (t) => {
  const path = join(await folder(t), "out.json");
  const run = async (config: string, text: string) => {
    const component = await start(t, `path = "${path}"\nflush_interval = "0s"\n${config}`);
    const mark = acknowledged();
    await component.exports.input.consume(batch("logs", log(text), mark.acknowledgement), signal);
    await until(() => mark.fired, "it is written");
    await component.stop();
    // The next life may not take the file for its own.
    await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await run("", "a");
  await run("append = true", "b");
  assert.deepEqual(textsOf(path), ["a", "b"]);
  await run("", "c");
  assert.deepEqual(textsOf(path), ["c"]);
});

for (const [framing, config] of [
  ["lines", ""],
  ["lengths", 'format = "proto"'],
] as const) {
  test(`a record that was cut off is removed before the next is written: ${framing}`, async (t) => {
    const path = join(await folder(t), "out");
    const text = `path = "${path}"\nappend = true\nflush_interval = "0s"\n${config}`;
    const first = await start(t, text);
    for (let i = 0; i < 3; i++) await first.exports.input.consume(batch("logs", log(`r${i}`)), signal);
    await first.stop();
    const whole = readFileSync(path);
    await appendFile(path, framing === "lines" ? '{"resourceLogs":[{' : Buffer.from([0, 0, 1, 0, 1, 2, 3]));
    const second = await start(t, text);
    await second.exports.input.consume(batch("logs", log("r0")), signal);
    await second.stop();
    assert.ok(second.logs.some(({ message }) => message.includes("was not whole, and was removed")));
    const bytes = readFileSync(path);
    assert.deepEqual(bytes.subarray(0, whole.length), whole);
    const added = bytes.subarray(whole.length);
    assert.deepEqual(added, whole.subarray(0, added.length), "the same record as the first");
  });
}

test("large files are put aside, the oldest of them removed", async (t) => {
  const base = await folder(t);
  const path = join(base, "out.json");
  await writeFile(join(base, "out-2020-01-01T00-00-00.000.json"), "of an older version");
  await writeFile(join(base, "out-of-something-else.json"), "not ours");
  const component = await start(
    t,
    `path = "${path}"\nflush_interval = "0s"\nrotation {\nmax_megabytes = 1\nmax_backups = 2\n}`,
  );
  for (let i = 0; i < 9; i++) {
    const mark = acknowledged();
    await component.exports.input.consume(
      batch("logs", log(`${i}${"x".repeat(600_000)}`), mark.acknowledgement),
      signal,
    );
    await until(() => mark.fired, "it is written");
  }
  await component.stop();
  const names = (await readdir(base)).sort();
  assert.equal(names.length, 4, names.join());
  assert.ok(names.includes("out-of-something-else.json") && names.includes("out.json"));
  const aside = names.filter((name) => /^out-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}-size\.json$/.test(name));
  assert.equal(aside.length, 2);
  const kept = [...aside, "out.json"].flatMap((name) => textsOf(join(base, name)).map((text) => text![0]));
  assert.deepEqual(kept, ["6", "7", "8"]);
});

test("each group has its file, in folders that are made; a closed one goes on where it was", async (t) => {
  const base = await folder(t);
  const component = await start(
    t,
    `path = "${base}/logs/*.json"\nflush_interval = "0s"\ngroup_by {\nenabled = true\nmax_open_files = 2\n}`,
  );
  const mixed = {
    resourceLogs: ["a", "b/deep", "../../etc", undefined].flatMap(
      (name) => log(name ?? "none", name === undefined ? [] : segment(name)).resourceLogs,
    ),
  };
  for (let round = 0; round < 3; round++) {
    const mark = acknowledged();
    await component.exports.input.consume(batch("logs", mixed, mark.acknowledgement), signal);
    await until(() => mark.fired, "it is written");
  }
  assert.deepEqual(textsOf(join(base, "logs", "a.json")), ["a", "a", "a"]);
  assert.deepEqual(textsOf(join(base, "logs", "b", "deep.json")), ["b/deep", "b/deep", "b/deep"]);
  assert.deepEqual(textsOf(join(base, "logs", "etc.json")).length, 3, "never outside");
  assert.ok(!existsSync(join(base, "etc.json")));
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), { no_path_segment: 3 });
  assert.match(component.flow.status.cause, /resources have no text in fileexporter\.path_segment/);
});

test("paths of groups are the Collector's", () => {
  for (const [pattern, value, path] of [
    ["/out/*", "a", "/out/a"],
    ["/out/*.log", "./a", "/out/a.log"],
    ["/out/*.log", "../a", "/out/a.log"],
    ["/out/*.log", "../../a", "/out/a.log"],
    ["/out/x*.log", "a/../../../b", "/out/x/b.log"],
    ["out/*", "a/b", "out/a/b"],
    ["./out/*", "", "out/"],
    ["/out/*", "..", "/out"],
  ] as const) {
    assert.equal(groupedPath(pattern, value).replace(/\/$/, ""), path.replace(/\/$/, ""), `${pattern} ${value}`);
  }
});

test("what is wrong with a file is said with what to do, and data comes once it is mended", async (t) => {
  const base = await folder(t);
  const component = await start(t, `path = "${base}/missing/out.json"\nflush_interval = "0s"`);
  await until(() => component.flow.status.rule === "file", "the rule");
  assert.match(component.flow.status.cause, /the folder of .*missing\/out\.json is not there: make it/);
  const mark = acknowledged();
  await component.exports.input.consume(batch("logs", log("a"), mark.acknowledgement), signal);
  await mkdir(join(base, "missing"));
  await until(() => mark.fired, "it is written");
  await until(() => component.flow.status.state === "ok", "the flow is well");
  assert.deepEqual(textsOf(join(base, "missing", "out.json")), ["a"]);
  const blocked = await start(t, `path = "${base}"`);
  await until(() => blocked.flow.status.rule === "file", "the rule");
  assert.match(blocked.flow.status.cause, /is a folder: name a file in it/);
});

test("a full disk leaves whole records, makes senders wait, and loses nothing once there is room", async (t) => {
  const disk = await mountSmallDisk();
  if (disk === undefined) return t.skip("needs the right to mount");
  cleanUp(t, () => disk[Symbol.asyncDispose]());
  const path = join(disk.path, "out.json");
  const component = await start(t, `path = "${path}"\nflush_interval = "0s"`);
  const mark = acknowledged();
  await component.exports.input.consume(batch("logs", log("before"), mark.acknowledgement), signal);
  await until(() => mark.fired, "it is written");
  await disk.fill();
  const during = acknowledged();
  await component.exports.input.consume(batch("logs", log("x".repeat(20_000)), during.acknowledgement), signal);
  await until(
    () => component.flow.status.rule === "file",
    () => JSON.stringify(component.flow.status),
  );
  assert.match(component.flow.status.cause, /no space left for/);
  assert.deepEqual(textsOf(path), ["before"]);
  assert.ok(!during.fired);
  await disk.empty();
  await until(() => during.fired, "it is written");
  assert.equal(lines(path).length, 2);
});

test("arguments that make no sense are refused", async (t) => {
  await assert.rejects(start(t, 'path = ""'), /must not be empty/);
  await assert.rejects(start(t, 'path = "a"\nappend = true\nrotation {\n}'), /together with `rotation`/);
  await assert.rejects(start(t, 'path = "a"\nformat = "xml"'), /format/);
  await assert.rejects(start(t, 'path = "a"\ncompression = "gzip"'), /compression/);
  await assert.rejects(start(t, 'path = "a"\nencoding = "x"'), /"encoding" is not supported/);
  await assert.rejects(start(t, 'path = "a"\ngroup_by {\nenabled = true\n}'), /exactly one \*/);
  await assert.rejects(start(t, 'path = "*a"\ngroup_by {\nenabled = true\n}'), /must not begin with \*/);
});
