import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { startComponent } from "#pipeline/testing";
import discoveryFile from "./discovery.file.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "discovery-file-"));
  cleanUp(t, () => rmSync(path, { recursive: true }));
  return path;
}

async function start(t: TestContext, files: readonly string[], more = "") {
  const component = await startComponent(discoveryFile, `files = ${JSON.stringify(files)}\n${more}`);
  cleanUp(t, () => component.stop());
  await until(() => component.metric("prometheus_sd_file_scan_duration_seconds_count")! > 0, "the first look");
  return component;
}

const addresses = (component: Awaited<ReturnType<typeof start>>) =>
  component.exports.targets.map((each) => each.get("__address__")).join();

test("JSON and YAML by patterns, with the labels of groups and the file's path", async (t) => {
  const root = folder(t);
  writeFileSync(join(root, "a.json"), '[{"targets": ["a:1", "a:2"], "labels": {"env": "x"}}]');
  writeFileSync(join(root, "b.YML"), "- targets: [b, 9100]\n- targets: ['[::1]:80']\n  labels: {n: 5, e: }\n");
  writeFileSync(join(root, "c.txt"), "- targets: [c]\n");
  mkdirSync(join(root, "more"));
  writeFileSync(join(root, "more", "d.yaml"), "- targets: [d]\n");
  const component = await start(t, [join(root, "*.json"), join(root, "b.YML"), join(root, "*", "*.yaml")]);
  assert.deepEqual(component.exports.targets.map(String), [
    `{__address__="9100", __meta_filepath="${root}/b.YML"}`,
    `{__address__="[::1]:80", __meta_filepath="${root}/b.YML", e="", n="5"}`,
    `{__address__="a:1", __meta_filepath="${root}/a.json", env="x"}`,
    `{__address__="a:2", __meta_filepath="${root}/a.json", env="x"}`,
    `{__address__="b", __meta_filepath="${root}/b.YML"}`,
    `{__address__="d", __meta_filepath="${root}/more/d.yaml"}`,
  ]);
  assert.equal(component.flow.status.state, "ok");
  const age =
    Date.now() / 1_000 - component.metric("prometheus_sd_file_mtime_seconds", { filename: `${root}/a.json` })!;
  assert.ok(age < 60);
  assert.equal(component.metric("prometheus_sd_file_watcher_errors_total"), 0);
});

test("changes are seen at once: written, replaced, added, in a folder that was not there, gone", async (t) => {
  const root = folder(t);
  const [one, two] = [join(root, "1.json"), join(root, "2.yaml")];
  writeFileSync(one, '[{"targets": ["a"]}]');
  const later = join(root, "deep", "er", "x.yaml");
  const component = await start(t, [join(root, "*.json"), join(root, "*.yaml"), later], 'refresh_interval = "1h"');
  assert.equal(addresses(component), "a");
  assert.equal(component.flow.status.rule, "no_files");
  assert.match(component.flow.status.cause, /^0 files for ".*\*\.yaml": .* \(and nothing for 1 more\)$/);
  writeFileSync(one, '[{"targets": ["b"]}]');
  await until(() => addresses(component) === "b", "written in place");
  writeFileSync(`${one}.new`, '[{"targets": ["c"]}]');
  renameSync(`${one}.new`, one);
  await until(() => addresses(component) === "c", "replaced");
  writeFileSync(two, "- targets: [d]\n");
  await until(() => addresses(component) === "c,d", "added");
  mkdirSync(join(root, "deep", "er"), { recursive: true });
  writeFileSync(later, "- targets: [e]\n");
  await until(() => addresses(component) === "c,d,e", "in a new folder");
  assert.equal(component.flow.status.state, "ok");
  rmSync(one);
  await until(() => addresses(component) === "d,e", "gone");
  assert.equal(component.metric("prometheus_sd_file_mtime_seconds", { filename: one }), undefined);
});

test("a link is followed to where it newly leads, as Kubernetes changes mounted files", async (t) => {
  const root = folder(t);
  for (const each of ["a", "b"]) {
    mkdirSync(join(root, each));
    writeFileSync(join(root, each, "t.json"), `[{"targets": ["${each}"]}]`);
  }
  symlinkSync("a", join(root, "..data"));
  symlinkSync("..data/t.json", join(root, "t.json"));
  const component = await start(t, [join(root, "t.json")], 'refresh_interval = "1h"');
  assert.equal(addresses(component), "a");
  symlinkSync("b", join(root, "..new"));
  renameSync(join(root, "..new"), join(root, "..data"));
  await until(() => addresses(component) === "b", "the link changed");
});

test("a damaged file keeps its last good targets, and the status says which file and line; others go on", async (t) => {
  const root = folder(t);
  const [json, yaml] = [join(root, "a.json"), join(root, "b.yaml")];
  writeFileSync(json, '[{"targets": ["a"]}]');
  writeFileSync(yaml, "- targets: [b]\n");
  const component = await start(t, [join(root, "*.json"), join(root, "*.yaml")], 'refresh_interval = "1h"');
  writeFileSync(json, '[\n{"targets": ["a"]},\n]');
  await until(() => component.flow.status.state === "degraded", "the status");
  const line3 = `line 3: this is no valid JSON: no value`;
  assert.match(component.flow.status.cause, new RegExp(`^the 1 targets of ${json} are as of .* ago: ${line3}$`));
  assert.ok(component.metric("prometheus_sd_file_read_errors_total")! >= 1);
  assert.ok(component.metric("prometheus_sd_refresh_failures_total", { mechanism: "file" })! >= 1);
  assert.notEqual(component.metric("prometheus_sd_file_mtime_seconds", { filename: json }), undefined);
  writeFileSync(yaml, "- targets: [c]\n  lables: {a: b}\n");
  await until(() => component.flow.status.cause.includes("(and 1 more)"), "the second");
  writeFileSync(yaml, "- targets: [c]\n  labels: {a: [b]}\n");
  writeFileSync(json, '[{"targets": ["d"]}]');
  await until(() => component.flow.status.cause.includes("line 2: [0].labels.a must be a text"), "the place");
  await until(() => addresses(component) === "b,d", "the other goes on");
  writeFileSync(yaml, "- targets: [c]\n");
  await until(() => component.flow.status.state === "ok" && addresses(component) === "c,d", "mended");
  assert.ok(component.logs.some(({ message }) => message === "targets are found again"));
});

test("a file without any good state yet fails; one without groups is empty", async (t) => {
  const root = folder(t);
  const path = join(root, "a.yaml");
  writeFileSync(path, "targets: [a]\n");
  const component = await start(t, [path]);
  const { state, cause } = component.flow.status;
  assert.deepEqual([state, cause], ["failing", `no targets of ${path} yet: it must be a list`]);
  writeFileSync(path, "");
  await until(() => component.flow.status.rule === "nothing_found", "empty");
  assert.equal(component.exported.length, 1);
});

test("changed arguments count at once, and a bad pattern is refused", async (t) => {
  const root = folder(t);
  writeFileSync(join(root, "a.json"), '[{"targets": ["a"]}]');
  writeFileSync(join(root, "b.json"), '[{"targets": ["b"]}]');
  const component = await start(t, [join(root, "a.json")]);
  await component.update(`files = ["${root}/b.json"]`);
  await until(() => addresses(component) === "b", "the other file");
  for (const [config, message] of [
    ["files = []", /must name at least one file/],
    ['files = ["/etc/targets.conf"]', /"\/etc\/targets\.conf", which does not end in \.json, \.yml or \.yaml/],
    ['files = ["/etc/[.json"]', /faulty pattern/],
    ['files = ["a.json"]\nrefresh_interval = "0s"', /must be greater than 0/],
  ] as const) {
    await assert.rejects(startComponent(discoveryFile, config), message);
  }
});
