import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { type Clock, systemClock } from "#base/clock";
import { createAuthority } from "#kits/certificates.testing";
import { FakeDocker } from "#kits/docker-engine.testing";
import { RELABEL_RULES_CAPSULE, relabelRuleSchema } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { Capsule, type Value } from "#lang/value";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { consumerValue, decodeArguments, recordLogs, startComponent } from "#pipeline/testing";
import component from "./loki.source.docker.ts";

const rulesSchema = s.object({ rule: s.blocks(relabelRuleSchema).doc("Rules.") });
const NAME_RULE = `rule {
  source_labels = ["__meta_docker_container_name", "__meta_docker_container_log_stream"]
  target_label  = "from"
}
rule {
  source_labels = ["__meta_docker_container_name"]
  regex         = "noisy"
  action        = "drop"
}`;

/** Pauses pass ten times as fast. */
const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

async function setUp(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "source-docker-"));
  const docker = await FakeDocker.start(join(root, "docker.sock"));
  cleanUp(t, async () => {
    await docker.stop();
    await rm(root, { recursive: true, force: true });
  });
  return { root, docker, data: join(root, "data") };
}
type Place = Awaited<ReturnType<typeof setUp>>;

function config(place: Place, ids: readonly string[], more = ""): string {
  const targets = ids.map(
    (id) => `{ __meta_docker_container_id = "${id}", __meta_docker_container_name = "${id}", a = "t" }`,
  );
  return `host = "${place.docker.host}"\ntargets = [${targets.join(", ")}]\nforward_to = [out]\n${more}`;
}

async function start(t: TestContext, place: Place, ids: readonly string[], more = "", out?: Value) {
  const recorder = recordLogs();
  const rules = decodeArguments({ name: "rules", args: rulesSchema }, NAME_RULE).rule;
  const options = {
    dataPath: place.data,
    clock: fastClock,
    scope: { out: out ?? recorder.value, rules: new Capsule(RELABEL_RULES_CAPSULE, rules) },
  };
  const source = await startComponent(component, config(place, ids, more), options);
  cleanUp(t, () => source.stop());
  const update = (next: readonly string[], with_ = more) =>
    source.instance.update!(decodeArguments(component, config(place, next, with_), options));
  return { source, recorder, update, lines: () => recorder.items.map((each) => each.line) };
}

async function eventually(check: () => boolean, what: () => unknown = () => ""): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`it did not come about: ${String(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("both streams of a container come with times, labels and long lines in one piece", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  container.write("out", "stdout", 1_700_000_000_123_456_789n);
  container.write("err", "stderr");
  container.write("x".repeat(50_000));
  const { recorder, source } = await start(t, place, ["c1"], 'relabel_rules = rules\nlabels = { a = "b" }');
  await recorder.waitFor(3);
  container.write("later");
  await recorder.waitFor(4);
  const [out, err, long, later] = recorder.items;
  assert.deepEqual([out!.line, out!.ms, out!.ns], ["out", 1_700_000_000_123, 456_789]);
  assert.equal(out!.labels, '{a="b", from="c1;stdout"}');
  assert.equal(err!.labels, '{a="b", from="c1;stderr"}');
  assert.equal(long!.line.length, 50_000);
  assert.equal(later!.line, "later");
  await eventually(() => source.metric("loki_source_docker_target_entries_total") === 4);
});

test("a container with a terminal, of several targets one each, and what rules drop", async (t) => {
  const place = await setUp(t);
  place.docker.add("tty", "t", true).write("in a terminal");
  place.docker.add("noisy", "n").write("dropped");
  const { recorder, source } = await start(t, place, ["tty", "tty", "noisy"], "relabel_rules = rules");
  await recorder.waitFor(1);
  await eventually(() => source.flow.dropped.get("logs")?.get("relabel_rule") === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(
    recorder.items.map((each) => each.line),
    ["in a terminal"],
  );
});

test("goes on after a restart where everything was acknowledged, also among lines of one time", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  const at = 1_700_000_000_000_000_000n;
  for (const [text, stream, nanos] of [
    ["1", "stdout", 0n],
    ["2", "stderr", 5n],
    ["3", "stdout", 3n],
    ["4", "stdout", 3n],
  ] as const) {
    container.write(text, stream, at + nanos);
  }
  const first = await start(t, place, ["c1"]);
  await first.recorder.waitFor(4);
  await first.source.stop();
  container.write("5", "stdout", at + 3n);
  container.write("6", "stderr", at + 5n);
  const held: Acknowledgement[] = [];
  const holding = consumerValue({
    signal: "logs",
    componentId: "test.holding",
    mutates: false,
    consume: (batch) => void held.push(batch.acknowledgement),
  });
  const second = await start(t, place, ["c1"], "", holding);
  await eventually(() => held.length > 0);
  await second.source.stop(100);
  const third = await start(t, place, ["c1"]);
  await third.recorder.waitFor(2);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(third.lines(), ["5", "6"]);
  await third.source.stop();
  const saved = JSON.parse(await readFile(join(place.data, "positions.json"), "utf8"));
  assert.deepEqual(saved.containers.c1.stdout, { seconds: 1_700_000_000, nanos: 3, lines: 3 });
});

test("a container that stops and starts again goes on without a repeat; one that is removed is forgotten", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  container.write("1");
  const { recorder, source, lines } = await start(t, place, ["c1"]);
  await recorder.waitFor(1);
  container.write("2");
  container.stop();
  await recorder.waitFor(2);
  await eventually(() => place.docker.streams === 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  container.start();
  container.write("3");
  await recorder.waitFor(3);
  assert.deepEqual(lines(), ["1", "2", "3"]);
  place.docker.containers.delete("c1");
  container.stop();
  await eventually(() => (source.instance.debugInfo!() as { targets_info: [] }).targets_info.length === 0);
  await source.stop();
  assert.deepEqual(JSON.parse(await readFile(join(place.data, "positions.json"), "utf8")).containers, {});
});

test("a daemon that is restarted: said while it is away, and no line lost or repeated", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  container.write("1");
  const { recorder, source, lines } = await start(t, place, ["c1"]);
  await recorder.waitFor(1);
  await place.docker.stop();
  const unreachable = /no container's log can be read: there is no socket .*docker\.sock: does Docker run/;
  await eventually(
    () => unreachable.test(source.flow.status.cause),
    () => source.flow.status.cause,
  );
  assert.equal(source.flow.status.state, "failing");
  container.write("2");
  const again = await FakeDocker.start(join(place.root, "docker.sock"));
  cleanUp(t, () => again.stop());
  again.containers.set("c1", container);
  await recorder.waitFor(2);
  await eventually(() => source.flow.status.state === "ok");
  assert.deepEqual(lines(), ["1", "2"]);
});

test("a target that goes while its container runs is left at once; one whose container ended is read to the end", async (t) => {
  const place = await setUp(t);
  const a = place.docker.add("a", "a");
  const b = place.docker.add("b", "b");
  a.write("a1");
  b.write("b1");
  const { recorder, update, lines } = await start(t, place, ["a", "b"]);
  await recorder.waitFor(2);
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  recorder.gate = () => gate;
  const filler = "x".repeat(1_000);
  for (let i = 2; i <= 2_000; i++) b.write(`b${i} ${filler}`);
  b.stop();
  await update(["a"]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  open();
  await recorder.waitFor(2_001);
  assert.equal(lines().filter((each) => each.startsWith("b")).length, 2_000);
  await update([]);
  await eventually(() => place.docker.streams === 0);
  a.write("a2");
  await update(["a"]);
  await recorder.waitFor(2_002);
  assert.equal(lines().at(-1), "a2");
});

test("while nobody takes lines Docker's stream is not read on", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  container.write("0");
  const { recorder, source, lines } = await start(t, place, ["c1"]);
  await recorder.waitFor(1);
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  recorder.gate = () => gate;
  const filler = "x".repeat(1_000);
  for (let i = 1; i <= 5_000; i++) container.write(`${i} ${filler}`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(source.flow.unacknowledged.bytes < 1024 * 1024);
  open();
  await recorder.waitFor(5_001);
  assert.deepEqual(
    lines().map((each) => Number(each.split(" ")[0])),
    Array.from({ length: 5_001 }, (_, i) => i),
  );
});

test("logs that Docker cannot show, targets without an id, and lines without labels are said", async (t) => {
  const place = await setUp(t);
  place.docker.add("c1", "web").unreadable = "configured logging driver does not support reading";
  place.docker.add("c2", "good").write("1");
  const { source, recorder, update } = await start(t, place, ["c1", "c2"]);
  await recorder.waitFor(1);
  await eventually(
    () => source.flow.status.rule === "containers",
    () => source.flow.status.cause,
  );
  assert.match(
    source.flow.status.cause,
    /the log of 1 of 2 containers cannot be read, such as web's: .*logging driver.*json-file, local and journald/,
  );
  await update([""]);
  await eventually(
    () => source.flow.status.rule === "no_container_id",
    () => source.flow.status.cause,
  );
  assert.match(source.flow.status.cause, /1 of 1 targets have no label __meta_docker_container_id/);
  const bare = `host = "${place.docker.host}"\ntargets = [{ __meta_docker_container_id = "c2" }]\nforward_to = [out]`;
  const other = await startComponent(component, bare, {
    dataPath: join(place.root, "other"),
    scope: { out: recorder.value },
  });
  cleanUp(t, () => other.stop());
  await eventually(
    () => other.flow.status.rule === "no_labels",
    () => other.flow.status.cause,
  );
});

test("takes over the positions of Alloy, which counts in seconds", async (t) => {
  const place = await setUp(t);
  const container = place.docker.add("c1", "web");
  container.write("old", "stdout", 1_700_000_000_000_000_000n);
  container.write("new", "stdout", 1_700_000_005_000_000_000n);
  await mkdir(place.data);
  const text = `positions:\n  ? path: cursor-c1\n    labels: '{a="t"}'\n  : "1700000005"\n`;
  await writeFile(join(place.data, "positions.yml"), text);
  const { recorder, lines } = await start(t, place, ["c1"]);
  await recorder.waitFor(1);
  assert.deepEqual(lines(), ["new"]);
});

test("a host that is none is refused", async (t) => {
  const place = await setUp(t);
  place.docker.host = "/var/run/docker.sock";
  await assert.rejects(start(t, place, []), /`host` is no address of a Docker daemon: write unix:/);
});

test("over TLS: with the authority's certificate lines come, without it the status says why none do", async (t) => {
  const place = await setUp(t);
  const authority = createAuthority();
  const docker = await FakeDocker.start(undefined, authority.issue({}));
  cleanUp(t, () => docker.stop());
  docker.add("c1", "web").write("over TLS");
  place.docker.host = docker.host;
  const untrusting = await start(t, { ...place, data: join(place.root, "other") }, ["c1"]);
  await eventually(() => untrusting.source.flow.status.state === "failing");
  assert.match(untrusting.source.flow.status.cause, /no container's log can be read: .*certificate/);
  const tls = `http_client_config {\n tls_config {\n ca_pem = ${JSON.stringify(authority.cert)}\n }\n}`;
  const { recorder, lines } = await start(t, place, ["c1"], tls);
  await recorder.waitFor(1);
  assert.deepEqual(lines(), ["over TLS"]);
});
