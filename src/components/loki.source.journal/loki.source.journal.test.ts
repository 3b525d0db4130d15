import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { JournalWriter, type WrittenEntry } from "#kits/journal-writer.testing";
import { RELABEL_RULES_CAPSULE, relabelRuleSchema } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { Capsule } from "#lang/value";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { consumerValue, decodeArguments, recordLogs, startComponent } from "#pipeline/testing";
import component from "./loki.source.journal.ts";

const rulesSchema = s.object({ rule: s.blocks(relabelRuleSchema).doc("Rules.") });

async function scratch(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "source-journal-"));
  cleanUp(t, () => rm(root, { recursive: true, force: true }));
  return { root, journal: join(root, "journal"), data: join(root, "data") };
}
type Place = Awaited<ReturnType<typeof scratch>>;

async function journalOf(t: TestContext, place: Place, ...entries: WrittenEntry[]): Promise<JournalWriter> {
  const writer = new JournalWriter(place.journal);
  cleanUp(t, () => writer.close());
  await writer.write(...entries);
  await writer.settled();
  return writer;
}

async function start(t: TestContext, place: Place, config = "", rules = "") {
  const recorder = recordLogs();
  const given = decodeArguments({ name: "rules", args: rulesSchema }, rules).rule;
  const source = await startComponent(component, `path = "${place.journal}"\nforward_to = [out]\n${config}`, {
    dataPath: place.data,
    scope: { out: recorder.value, rules: new Capsule(RELABEL_RULES_CAPSULE, given) },
  });
  cleanUp(t, () => source.stop());
  return { source, recorder, lines: () => recorder.items.map((each) => each.line) };
}

async function eventually(check: () => boolean, what: () => unknown = () => ""): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`it did not come about: ${String(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Children of this process that run journalctl. */
function children(): number[] {
  const out = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  return [...out.matchAll(/(\d+) journalctl/g)].map((match) => Number(match[1]));
}

test("reads what is there and follows what comes, byte for byte, with time and job", async (t) => {
  const place = await scratch(t);
  const micros = Date.now() * 1_000 - 5_000_123;
  const writer = await journalOf(
    t,
    place,
    { message: "first", micros },
    { message: "two\nlines", micros: micros + 1 },
    { message: "of an earlier boot", micros: micros + 2, boot: "5bd3a1d8c6a44a2bb0f0c7a1c1b0d0ab" },
  );
  const { recorder, source, lines } = await start(t, place, 'labels = { a = "b", job = "mine" }');
  await recorder.waitFor(3);
  await writer.write({ message: "later" });
  await recorder.waitFor(4);
  assert.deepEqual(lines(), ["first", "two\nlines", "of an earlier boot", "later"]);
  const { labels, ms, ns } = recorder.items[0]!;
  assert.equal(labels, '{a="b", job="loki.source.journal.test"}');
  assert.deepEqual([ms, ns], [Math.floor(micros / 1_000), (micros % 1_000) * 1_000]);
  await eventually(() => source.metric("loki_source_journal_target_lines_total") === 4);
  assert.equal(source.flow.status.state, "ok");
});

test("rules see the fields as __journal_ labels; what they drop and what has no message is counted", async (t) => {
  const place = await scratch(t);
  await journalOf(
    t,
    place,
    { message: "kept", fields: { PRIORITY: "3", _SYSTEMD_UNIT: "a.service", _COMM: "x" } },
    { message: "dropped", fields: { PRIORITY: "7", _SYSTEMD_UNIT: "b.service" } },
    { fields: { PRIORITY: "3", CODE: "no message" } },
    { message: "last", fields: { PRIORITY: "3", _SYSTEMD_UNIT: "a.service", _COMM: "y" } },
  );
  const rules = `
rule {
  source_labels = ["__journal_priority_keyword"]
  target_label  = "level"
}
rule {
  source_labels = ["__journal__systemd_unit"]
  regex         = "b.*"
  action        = "drop"
}
rule {
  regex       = "__journal_(_comm)"
  action      = "labelmap"
  replacement = "f$1"
}`;
  const { recorder, source } = await start(t, place, "relabel_rules = rules", rules);
  await recorder.waitFor(2);
  assert.deepEqual(
    recorder.items.map((each) => `${each.line} ${each.labels}`),
    [
      'kept {f_comm="x", job="loki.source.journal.test", level="error"}',
      'last {f_comm="y", job="loki.source.journal.test", level="error"}',
    ],
  );
  const errors = "loki_source_journal_target_parsing_errors_total";
  assert.equal(source.metric(errors, { error: "empty_labels" }), 1);
  assert.equal(source.metric(errors, { error: "no_message" }), 1);
  assert.deepEqual(
    [...source.flow.dropped.get("logs")!],
    [
      ["relabel_rule", 1],
      ["no_message", 1],
    ],
  );
});

test("an entry as JSON has all fields, sorted, escaped as Go does", async (t) => {
  const place = await scratch(t);
  await journalOf(t, place, { message: "<a> & \b", fields: { Z: "1", B: 'q"\n' } });
  const { recorder } = await start(t, place, "format_as_json = true");
  await recorder.waitFor(1);
  assert.equal(
    recorder.items[0]!.line,
    String.raw`{"B":"q\"\n","MESSAGE":"\u003ca\u003e \u0026 \u0008","Z":"1","_BOOT_ID":"4bd3a1d8c6a44a2bb0f0c7a1c1b0d0aa"}`,
  );
});

test("matches choose entries; those of other forms are refused", async (t) => {
  const place = await scratch(t);
  await journalOf(
    t,
    place,
    { message: "1", fields: { UNIT: "a", P: "1" } },
    { message: "2", fields: { UNIT: "b", P: "1" } },
    { message: "3", fields: { UNIT: "c", P: "1" } },
    { message: "4", fields: { UNIT: "b", P: "2" } },
    { message: "5", fields: { UNIT: "a", P: "1" } },
  );
  const { recorder, lines } = await start(t, place, 'matches = " UNIT=a  UNIT=b P=1 "');
  await recorder.waitFor(3);
  assert.deepEqual(lines(), ["1", "2", "5"]);
  await assert.rejects(start(t, place, 'matches = "UNIT a"'), /"UNIT", which is not of the form FIELD=VALUE/);
  await assert.rejects(start(t, place, 'matches = "A=1 + B=2"'), /"\+", which is not/);
});

test("max_age leaves out what is older at the start, also when the stored position is", async (t) => {
  const place = await scratch(t);
  const now = Date.now() * 1_000;
  const writer = await journalOf(
    t,
    place,
    { message: "old", micros: now - 7_200e6 },
    { message: "new", micros: now - 60e6 },
  );
  const first = await start(t, place, 'max_age = "1h"');
  await first.recorder.waitFor(1);
  await first.source.stop();
  assert.deepEqual(first.lines(), ["new"]);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await writer.write({ message: "newest" });
  const second = await start(t, place, 'max_age = "1s"');
  await second.recorder.waitFor(1);
  assert.deepEqual(second.lines(), ["newest"]);
  assert.ok(second.source.logs.some((each) => each.message.includes("older than `max_age`")));
});

test("goes on after a restart where everything was acknowledged, and repeats what was not", async (t) => {
  const place = await scratch(t);
  const writer = await journalOf(t, place, { message: "1" }, { message: "2" });
  const held: Acknowledgement[] = [];
  const holding = consumerValue({
    signal: "logs",
    componentId: "test.holding",
    mutates: false,
    consume: (batch) => void held.push(batch.acknowledgement),
  });
  const config = `path = "${place.journal}"\nforward_to = [out]`;
  const first = await startComponent(component, config, { dataPath: place.data, scope: { out: holding } });
  await eventually(() => held.length === 1);
  await writer.write({ message: "3" });
  await eventually(() => held.length === 2);
  held[1]!.release(); // the later one alone moves nothing
  await first.stop(100);
  const second = await start(t, place);
  await second.recorder.waitFor(3);
  assert.deepEqual(second.lines(), ["1", "2", "3"]);
  await second.source.stop();
  await writer.write({ message: "4" });
  const third = await start(t, place);
  await third.recorder.waitFor(1);
  assert.deepEqual(third.lines(), ["4"]);
  assert.match(JSON.parse(await readFile(join(place.data, "cursor.json"), "utf8")).cursor, /^s=/);
});

test("a child that dies is started again where it was", async (t) => {
  const place = await scratch(t);
  const writer = await journalOf(t, place, { message: "1" });
  const { recorder, source, lines } = await start(t, place);
  await recorder.waitFor(1);
  const [pid] = children();
  process.kill(pid!, "SIGKILL");
  await eventually(() => source.flow.status.rule === "journal_unreadable");
  assert.match(source.flow.status.cause, /journalctl ended by SIGKILL: it said nothing. It is started again/);
  await writer.write({ message: "2" });
  await recorder.waitFor(2);
  assert.deepEqual(lines(), ["1", "2"]);
  assert.equal(source.flow.status.state, "ok");
  assert.equal(source.problem, undefined);
  await source.stop();
  assert.deepEqual(children(), []);
});

test("while nobody takes entries the child's pipe is not read, and nothing is lost", async (t) => {
  const place = await scratch(t);
  const writer = await journalOf(t, place, { message: "0" });
  const { recorder, source, lines } = await start(t, place);
  await recorder.waitFor(1);
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  let batches = 0;
  recorder.gate = () => {
    batches += 1;
    return gate;
  };
  const filler = "x".repeat(1_000);
  for (let i = 1; i <= 3_000; i++) await writer.write({ message: `${i} ${filler}` });
  await eventually(() => batches === 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(batches, 1);
  assert.ok(source.flow.unacknowledged.bytes < 1024 * 1024);
  open();
  await recorder.waitFor(3_001, 20_000);
  assert.deepEqual(
    lines().map((each) => Number(each.split(" ")[0])),
    Array.from({ length: 3_001 }, (_, i) => i),
  );
});

test("a folder that is missing, none, or empty is said, and read once it is right", async (t) => {
  const place = await scratch(t);
  const { recorder, source } = await start(t, place);
  await eventually(() => source.flow.status.rule === "journal_unreadable");
  assert.match(source.flow.status.cause, /journal does not exist: name the folder/);
  assert.equal(source.flow.status.state, "failing");
  assert.match(source.problem!, /does not exist/);
  await mkdir(place.journal);
  await eventually(
    () => source.flow.status.rule === "journal_empty",
    () => source.flow.status.cause,
  );
  assert.match(source.flow.status.cause, /holds no journal files \(\*\.journal\), nor do the folders in it/);
  const elsewhere = join(place.root, "elsewhere");
  const writer = await journalOf(t, { ...place, journal: elsewhere }, { message: "1" });
  await writer.close();
  await rename(join(elsewhere, "test.journal"), join(place.journal, "test.journal"));
  await recorder.waitFor(1);
  await eventually(() => source.flow.status.state === "ok");
  const file = join(place.root, "file");
  await writeFile(file, "");
  const other = await start(t, { ...place, journal: file, data: join(place.root, "other") });
  await eventually(() => /is no folder/.test(other.source.flow.status.cause));
});

test("a machine without journalctl is told so", async (t) => {
  const place = await scratch(t);
  await mkdir(place.journal);
  const before = process.env.PATH;
  cleanUp(t, () => (process.env.PATH = before));
  process.env.PATH = place.root;
  const { source } = await start(t, place);
  await eventually(() => /journalctl is not there.*install systemd's package/.test(source.flow.status.cause));
  assert.equal(source.flow.status.state, "failing");
});

test("takes over the cursor of Alloy, and that of Promtail's job", async (t) => {
  const place = await scratch(t);
  await journalOf(t, place, { message: "1" }, { message: "2" }, { message: "3" });
  const first = await start(t, place);
  await first.recorder.waitFor(3);
  await first.source.stop();
  const shown = execFileSync("journalctl", ["-o", "export", "-D", place.journal], { encoding: "utf8" });
  const cursor = [...shown.matchAll(/^__CURSOR=(.*)$/gm)][1]![1]!;
  const alloy = { ...place, data: join(place.root, "alloy") };
  await mkdir(alloy.data);
  const text = `positions:\n  ? path: cursor-loki.source.journal.test\n    labels: ""\n  : ${cursor}\n`;
  await writeFile(join(alloy.data, "positions.yml"), text);
  const second = await start(t, alloy);
  await second.recorder.waitFor(1);
  assert.deepEqual(second.lines(), ["3"]);
  const legacy = join(place.root, "positions.yaml");
  await writeFile(legacy, `positions:\n  cursor-jobname: ${cursor}\n`);
  const promtail = { ...place, data: join(place.root, "promtail") };
  const third = await start(t, promtail, `legacy_position {\n file = "${legacy}"\n name = "jobname"\n}`);
  await third.recorder.waitFor(1);
  assert.deepEqual(third.lines(), ["3"]);
});

test("a change of labels goes on without a gap, one of matches begins a new child", async (t) => {
  const place = await scratch(t);
  const writer = await journalOf(t, place, { message: "1", fields: { A: "1" } });
  const { recorder, source } = await start(t, place);
  await recorder.waitFor(1);
  const [pid] = children();
  const common = `path = "${place.journal}"\nforward_to = [out]`;
  const scoped = { dataPath: place.data, scope: { out: recorder.value } };
  await source.instance.update!(decodeArguments(component, `${common}\nlabels = { x = "y" }`, scoped));
  await writer.write({ message: "2", fields: { A: "1" } });
  await recorder.waitFor(2);
  assert.deepEqual(children(), [pid]);
  assert.match(recorder.items[1]!.labels, /x="y"/);
  await source.instance.update!(decodeArguments(component, `${common}\nmatches = "A=2"`, scoped));
  await writer.write({ message: "3", fields: { A: "1" } }, { message: "4", fields: { A: "2" } });
  await recorder.waitFor(3);
  assert.equal(recorder.items[2]!.line, "4");
});
