import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFile, link, mkdir, open, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Consumer } from "#pipeline/consumer";
import { consumerValue } from "#pipeline/testing";
import { eventually, holdingConsumer, scratch, startSource } from "./testing.ts";

const run = promisify(execFile);

function targets(...entries: string[]): string {
  return `targets = [${entries.join(", ")}]\nfile_watch {\n min_poll_frequency = "100ms"\n max_poll_frequency = "100ms"\n}`;
}
const target = (path: string, more = "") => `{ __path__ = "${path}"${more} }`;

test("follows a file that is renamed and created again, and what its writer still adds to the old one", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await recorder.waitFor(1);
  const writer = await open(path, "a");
  await rename(path, `${path}.1`);
  await writer.write("2\n");
  await writeFile(path, "3\n");
  // Soon: the seconds for which the old one is read on are milliseconds here.
  await writer.write("unfinished");
  await writer.close();
  await recorder.waitFor(4);
  assert.deepEqual(new Set(lines()), new Set(["1", "2", "3", "unfinished"]));
  await appendFile(path, "4\n");
  await recorder.waitFor(5);
  assert.equal(lines()[4], "4");
});

test("reads a file to its end that is deleted, and the one that is made in its place", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await eventually(
    () => source.flow.status.cause.includes("does not exist"),
    () => source.flow.status.cause,
  );
  await writeFile(path, "1\n2\n");
  await recorder.waitFor(2);
  await rm(path);
  await writeFile(path, "3\n");
  await recorder.waitFor(3);
  assert.deepEqual(lines(), ["1", "2", "3"]);
});

test("what is unread of a deleted file when reading stops is counted, shown and told", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const text = "a line\n".repeat(100_000); // some chunks
  await writeFile(path, text);
  let batches = 0;
  const consumer: Consumer<"logs"> = {
    signal: "logs",
    componentId: "test.stuck",
    mutates: false,
    consume(batch, signal) {
      batches += 1;
      if (batches === 1) return batch.acknowledgement.release();
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    },
  };
  const out = consumerValue(consumer);
  const { source } = await startSource(place, targets(target(path)), { out });
  await using _ = source;
  await eventually(() => batches === 2);
  const lost = () => source.metric("loki_source_file_lost_bytes_total", { path, reason: "deleted" });
  assert.equal(lost(), undefined);
  await rm(path);
  await source.update(`forward_to = [out]\n${targets(target(path))}\ntail_from_end = true`); // reading begins anew
  await eventually(() => lost() !== undefined);
  const read = 256 * 1024 - ((256 * 1024) % "a line\n".length);
  assert.equal(lost(), text.length - read);
  await eventually(
    () => source.flow.status.rule === "bytes_lost",
    () => JSON.stringify(source.flow.status),
  );
  assert.match(source.flow.status.cause, /of deleted files were not read when the agent or the component stopped/);
  const warning = source.logs.find(({ message }) => message.includes("a deleted file goes"));
  assert.equal(warning?.level, "warn");
});

test("begins anew when a file is cut, even if it has grown beyond the old size meanwhile", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "first\nsecond\n");
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await recorder.waitFor(2);
  await truncate(path, 0);
  await writeFile(path, "x\n");
  await recorder.waitFor(3);
  await writeFile(path, "other content that is longer than all before\n"); // one open with O_TRUNC and a longer text
  await recorder.waitFor(4);
  assert.deepEqual(lines(), ["first", "second", "x", "other content that is longer than all before"]);
});

test("goes on in a file that was rewritten in place of the old one with more at its end", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await recorder.waitFor(2);
  await writeFile(`${path}.new`, "1\n2\n3\n");
  await rename(`${path}.new`, path);
  await recorder.waitFor(3);
  assert.deepEqual(lines(), ["1", "2", "3"]);
});

test("reads through symbolic links, and each of two names of one file", async () => {
  await using place = await scratch();
  await mkdir(place.path("real"));
  await writeFile(place.path("real/1.log"), "a\n");
  await symlink(place.path("real/1.log"), place.path("link.log"));
  await link(place.path("real/1.log"), place.path("hard.log"));
  const both = targets(target(place.path("link.log")), target(place.path("hard.log")));
  const { source, recorder } = await startSource(place, both);
  await using _ = source;
  await recorder.waitFor(2);
  await appendFile(place.path("real/1.log"), "b\n");
  await recorder.waitFor(4);
  await writeFile(place.path("real/2.log"), "c\n");
  await rm(place.path("link.log"));
  await symlink(place.path("real/2.log"), place.path("link.log"));
  await recorder.waitFor(5);
  assert.deepEqual(recorder.items.map((each) => each.line).sort(), ["a", "a", "b", "b", "c"]);
});

for (const mode of ["create", "copytruncate"]) {
  test(`loses and repeats nothing under logrotate with ${mode}`, async () => {
    await using place = await scratch();
    const path = place.path("app.log");
    await writeFile(path, "");
    const config = place.path("../rotate.conf");
    await writeFile(config, `${path} {\n  su root root\n  rotate 5\n  size 1\n  ${mode}\n}\n`);
    const { source, recorder, lines } = await startSource(place, targets(target(path)));
    await using _ = source;
    let written = 0;
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 50; i++) await appendFile(path, `line ${written++}\n`);
      await recorder.waitFor(written);
      await run("/usr/sbin/logrotate", ["-f", "-s", place.path("../state"), config]);
    }
    await appendFile(path, "last\n");
    await recorder.waitFor(written + 1);
    assert.deepEqual(lines(), [...Array.from({ length: written }, (_, i) => `line ${i}`), "last"]);
  });
}

test("goes on after a restart where everything was acknowledged, and repeats what was not", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  const holding = holdingConsumer();
  const first = await startSource(place, targets(target(path)), { out: holding.value });
  await eventually(() => holding.held.length === 1);
  await appendFile(path, "3\n");
  await eventually(() => holding.held.length === 2);
  await appendFile(path, "4\n");
  await eventually(() => holding.held.length === 3);
  holding.held[0]!.release();
  holding.held[2]!.release(); // out of order: 3 is still on its way
  const positions = `${place.data}/positions.json`;
  await eventually(async () => (await readFile(positions, "utf8").catch(() => "")).includes('"offset":4'));
  // A kill leaves the positions as they are on the disk now.
  const killed = await readFile(positions);
  await first.source.stop(100);
  await writeFile(positions, killed);
  const second = await startSource(place, targets(target(path)));
  await second.recorder.waitFor(2);
  assert.deepEqual(second.lines(), ["3", "4"]);
  await second.source.stop();
  await appendFile(path, "5\n");
  const third = await startSource(place, targets(target(path)));
  await third.recorder.waitFor(1);
  assert.deepEqual(third.lines(), ["5"]);
  await third.source.stop();
});

test("finishes a file that was rotated away while the agent was not running", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  const first = await startSource(place, targets(target(path)));
  await first.recorder.waitFor(1);
  await first.source.stop();
  await appendFile(path, "2\n");
  await rename(path, `${path}.1`);
  await writeFile(path, "3\n");
  const second = await startSource(place, targets(target(path)));
  await second.recorder.waitFor(2);
  assert.deepEqual(second.lines(), ["2", "3"]);
  await second.source.stop();
  // With a pattern that covers the rotated file too, it is not read again.
  const third = await startSource(
    place,
    `${targets(target(place.path("a.log*")))}\nfile_match {\n enabled = true\n sync_period = "5s"\n}`,
  );
  await using _ = third.source;
  await appendFile(path, "4\n");
  await third.recorder.waitFor(1);
  assert.deepEqual(third.lines(), ["4"]);
});

test("does not read a rotated file twice when a pattern covers its new name", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  const config = `${targets(target(place.path("a.log*")))}\nfile_match {\n enabled = true\n sync_period = "1s"\n}`;
  const { source, recorder, lines } = await startSource(place, config);
  await using _ = source;
  await recorder.waitFor(1);
  await appendFile(path, "2\n");
  await rename(path, `${path}.1`);
  await writeFile(path, "3\n");
  await recorder.waitFor(3);
  await eventually(() => source.metric("loki_source_file_files_active_total") === 2);
  await appendFile(`${path}.1`, "late\n");
  await appendFile(path, "4\n");
  await recorder.waitFor(5);
  assert.deepEqual(lines().sort(), ["1", "2", "3", "4", "late"]);
});

test("takes over Alloy's positions, and those of Grafana Agent", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n3\n");
  await mkdir(place.data);
  await writeFile(`${place.data}/positions.yml`, `positions:\n  ? path: ${path}\n    labels: '{job="x"}'\n  : "2"\n`);
  const first = await startSource(place, targets(target(path, ', job = "x"')));
  await first.recorder.waitFor(2);
  assert.deepEqual(first.lines(), ["2", "3"]);
  await first.source.stop();
  await rm(place.data, { recursive: true });
  const legacy = place.path("../legacy.yml");
  await writeFile(legacy, `positions:\n  ${path}: "4"\n`);
  const second = await startSource(
    place,
    `${targets(target(path, ', job = "x"'))}\nlegacy_positions_file = "${legacy}"`,
  );
  await second.recorder.waitFor(1);
  assert.deepEqual(second.lines(), ["3"]);
  await second.source.stop();
});

test("does what it is told with a damaged position, and refuses a damaged file of positions", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  const cases: [action: string, lines: string[]][] = [
    ["restart_from_beginning", ["1", "2", "new"]],
    ["restart_from_end", ["new"]],
  ];
  for (const [action, expected] of cases) {
    await rm(place.data, { recursive: true, force: true });
    await mkdir(place.data);
    await writeFile(path, "1\n2\n");
    await writeFile(`${place.data}/positions.yml`, `positions:\n  ? path: ${path}\n    labels: '{}'\n  : "x"\n`);
    const each = await startSource(place, `${targets(target(path))}\non_positions_file_error = "${action}"`);
    await eventually(() => each.source.metric("loki_source_file_files_active_total") === 1);
    await appendFile(path, "new\n");
    await each.recorder.waitFor(expected.length);
    assert.deepEqual(each.lines(), expected);
    await each.source.stop();
  }
  await writeFile(`${place.data}/positions.json`, "{");
  const { source } = await startSource(place, targets(target(path)));
  await using _ = source;
  await eventually(() => source.failures.length > 0);
  assert.match(String(source.failures[0]), /positions\.json is damaged/);
});

test("waits for the pipeline, and loses nothing when it is stopped meanwhile", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  const first = await startSource(place, targets(target(path)));
  first.recorder.gate = (_, signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await eventually(() => sentBy(first.source.flow) > 0);
  await first.source.stop();
  assert.deepEqual(first.lines(), []);
  const second = await startSource(place, targets(target(path)));
  await using _ = second.source;
  await second.recorder.waitFor(2);
  assert.deepEqual(second.lines(), ["1", "2"]);
});

function sentBy(flow: { sent: ReadonlyMap<string, { items: number }> }): number {
  return [...flow.sent.values()].reduce((sum, each) => sum + each.items, 0);
}

test("counts what a truncation took away before it was read", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  let block: (() => void) | undefined;
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await recorder.waitFor(2);
  recorder.gate = () => new Promise((resolve) => (block = resolve));
  await appendFile(path, `3\n${"x".repeat(300_000)}\n`);
  await eventually(() => block !== undefined);
  await truncate(path, 0);
  await appendFile(path, "new\n");
  recorder.gate = () => {};
  block!();
  await eventually(
    () => lines().includes("new"),
    () => lines().length,
  );
  await eventually(() => (source.metric("loki_source_file_lost_bytes_total", { path }) ?? 0) > 0);
  assert.equal(lines().filter((each) => each === "3").length, 1);
});

test("a file that is renamed again and again between starts goes on at its latest position", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const all = targets(target(path), target(`${path}.1`), target(`${path}.2`), target(`${path}.3`));
  await writeFile(path, "1\n");
  const expected: string[][] = [["1"], ["2", "new 1"], ["3", "new 2"], ["4", "new 3"]];
  let name = path;
  for (const [life, wanted] of expected.entries()) {
    const { source, recorder, lines } = await startSource(place, all);
    await recorder.waitFor(wanted.length);
    await source.stop();
    assert.deepEqual(lines().toSorted(), wanted.toSorted(), `start ${life + 1}`);
    for (let i = life; i >= 0; i--) await rename(i === 0 ? path : `${path}.${i}`, `${path}.${i + 1}`);
    name = `${path}.${life + 1}`;
    await appendFile(name, `${life + 2}\n`);
    await writeFile(path, `new ${life + 1}\n`);
  }
});
