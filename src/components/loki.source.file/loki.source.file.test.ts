import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  appendFile,
  chmod,
  link,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { deflateSync, gzipSync } from "node:zlib";
import { bzip2, eventually, holdingConsumer, scratch, startSource } from "./testing.ts";

const run = promisify(execFile);

function targets(...entries: string[]): string {
  return `targets = [${entries.join(", ")}]\nfile_watch {\n min_poll_frequency = "100ms"\n max_poll_frequency = "100ms"\n}`;
}
const target = (path: string, more = "") => `{ __path__ = "${path}"${more} }`;

test("reads what is there and what is added, with the target's labels and the file's name", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "one\r\ntwo\n\nthree\npart");
  const { source, recorder, lines } = await startSource(place, targets(target(path, ', job = "x", __meta = "y"')));
  await using _ = source;
  await recorder.waitFor(4);
  assert.deepEqual(lines(), ["one", "two", "", "three"]);
  assert.equal(recorder.items[0]!.labels, `{filename="${path}", job="x"}`);
  await appendFile(path, "ial\nfour\n");
  await recorder.waitFor(6);
  assert.deepEqual(lines().slice(4), ["partial", "four"]);
  const times = recorder.items.map((each) => each.ms * 1e6 + each.ns);
  assert.equal(
    new Set(recorder.items.map((each) => `${each.ms}.${each.ns}`)).size,
    times.length,
    "no two entries share a time",
  );
  await eventually(() => source.metric("loki_source_file_read_lines_total", { path }) === 6);
  assert.equal(source.metric("loki_source_file_read_bytes_total", { path }), (await stat(path)).size);
  assert.equal(source.metric("loki_source_file_files_active_total"), 1);
  assert.equal(source.flow.status.state, "ok");
  assert.deepEqual(source.instance.debugInfo!(), {
    targets_info: [{ path, labels: '{job="x"}', is_running: true, read_offset: (await stat(path)).size, lag_bytes: 0 }],
  });
});

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
  await recorder.waitFor(3);
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

test("finds files by pattern, takes new ones, forgets removed ones", async () => {
  await using place = await scratch();
  await writeFile(place.path("a.log"), "a\n");
  await writeFile(place.path("b.gz.log"), "no\n");
  const pattern = target(place.path("*.log"), `, __path_exclude__ = "${place.path("*.gz.log")}"`);
  const { source, recorder } = await startSource(
    place,
    `${targets(pattern)}\nfile_match {\n enabled = true\n sync_period = "1s"\n}`,
  );
  await using _ = source;
  await recorder.waitFor(1);
  await writeFile(place.path("c.log"), "c\n");
  await recorder.waitFor(2);
  await rm(place.path("a.log"));
  await eventually(
    () => source.metric("loki_source_file_read_bytes_total", { path: place.path("a.log") }) === undefined,
  );
  assert.deepEqual(
    recorder.items.map((each) => each.line),
    ["a", "c"],
  );
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

test("reads from the end if asked to and nothing is stored", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "old\nhalf");
  const { source, recorder, lines } = await startSource(place, `${targets(target(path))}\ntail_from_end = true`);
  await using _ = source;
  await eventually(() => source.metric("loki_source_file_files_active_total") === 1);
  await appendFile(path, " line\nnew\n");
  await recorder.waitFor(2);
  assert.deepEqual(lines(), ["half line", "new"]);
});

test("decodes other encodings, and follows a byte order mark", async () => {
  await using place = await scratch();
  const text = "gr\u00fc\u00dfe\u010a\r\nzwei\n";
  const wide = (bytes: Buffer) => bytes;
  const cases: [name: string, encoding: string, bytes: Buffer, lines: string[]][] = [
    ["le", "UTF-16LE", wide(Buffer.from(text, "utf16le")), ["gr\u00fc\u00dfe\u010a", "zwei"]],
    ["be", "UTF-16BE", Buffer.from(text, "utf16le").swap16(), ["gr\u00fc\u00dfe\u010a", "zwei"]],
    ["bom", "", Buffer.from(`\ufeff${text}`, "utf16le"), ["gr\u00fc\u00dfe\u010a", "zwei"]],
    ["bom8", "", Buffer.from(`\ufeff${text}`), ["gr\u00fc\u00dfe\u010a", "zwei"]],
    ["latin", "ISO-8859-1", Buffer.from("gr\u00fc\u00dfe\nx\n", "latin1"), ["gr\u00fc\u00dfe", "x"]],
    ["cp", "windows-1252", Buffer.from([0x80, 0x0a]), ["\u20ac"]],
    ["sjis", "Shift_JIS", Buffer.from([0x83, 0x5c, 0x0a]), ["\u30bd"]],
  ];
  for (const [name, encoding, bytes, expected] of cases) {
    const path = place.path(name);
    await writeFile(path, bytes.subarray(0, 7));
    const each = await startSource(place, `${targets(target(path))}\nencoding = "${encoding}"`);
    await eventually(() => each.source.metric("loki_source_file_files_active_total") === 1);
    await appendFile(path, bytes.subarray(7));
    await each.recorder.waitFor(expected.length);
    assert.deepEqual(each.lines(), expected, name);
    await each.source.stop();
  }
  await assert.rejects(
    startSource(place, `${targets(target("/x"))}\nencoding = "nonsense"`),
    /unknown encoding "nonsense"/,
  );
});

test("passes bytes that are not UTF-8, and lines of ten megabytes, as they are", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const long = "x".repeat(10 * 1024 * 1024);
  await writeFile(path, Buffer.concat([Buffer.from([0xff, 0xfe - 0x80, 0x0a]), Buffer.from(long.slice(0, 300_000))]));
  let first: Buffer | undefined;
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  recorder.gate = (batch) => {
    first ??= Buffer.from(batch.data.subarray(batch.start[0], batch.end[0]));
  };
  await recorder.waitFor(1);
  assert.deepEqual(first, Buffer.from([0xff, 0x7e]));
  await appendFile(path, `${long.slice(300_000)}\nend\n`);
  await recorder.waitFor(3);
  assert.equal(lines()[1], long);
  assert.equal(lines()[2], "end");
});

test("hands on a line without end in pieces", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const size = 20 * 1024 * 1024;
  await writeFile(path, `${"y".repeat(size)}\nend\n`);
  const { source, recorder, lines } = await startSource(place, targets(target(path)));
  await using _ = source;
  await recorder.waitFor(3);
  assert.deepEqual(
    lines().map((each) => each.length),
    [16 * 1024 * 1024, 4 * 1024 * 1024, 3],
  );
  assert.ok(source.logs.some((record) => record.message.includes("longer than 16 MiB")));
});

test("reads compressed files once, and what is added to them", async () => {
  await using place = await scratch();
  const text = Array.from({ length: 3000 }, (_, i) => `line ${i} ${"abc ".repeat(i % 7)}`).join("\n");
  for (const [format, bytes] of [
    ["gz", gzipSync(`${text}\n`)],
    ["z", deflateSync(text)],
    ["bz2", await bzip2(`${text}\n`)],
  ] as const) {
    const path = place.path(`a.${format}`);
    await writeFile(path, bytes);
    const config = `${targets(target(path))}\ndecompression {\n enabled = true\n format = "${format}"\n initial_delay = "1s"\n}`;
    const first = await startSource(place, config);
    await first.recorder.waitFor(3000);
    assert.equal(first.lines().join("\n"), text);
    await first.source.stop();
    const second = await startSource(place, config);
    await using _ = second.source;
    if (format === "gz") {
      await appendFile(path, gzipSync("more\n"));
      await second.recorder.waitFor(1);
      assert.deepEqual(second.lines(), ["more"]);
    }
  }
});

test("says what is wrong with a compressed file", async () => {
  await using place = await scratch();
  const path = place.path("a.gz");
  await writeFile(path, gzipSync("one\ntwo\n").subarray(0, 20));
  const config = `${targets(target(path))}\ndecompression {\n enabled = true\n format = "gz"\n}`;
  const { source } = await startSource(place, config);
  await using _ = source;
  await eventually(
    () => source.flow.status.state === "failing",
    () => source.flow.status.cause,
  );
  assert.match(source.flow.status.cause, /cannot be decompressed as gz/);
});

test("waits for the pipeline, and loses nothing when it is stopped meanwhile", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n2\n");
  const first = await startSource(place, targets(target(path)));
  first.recorder.gate = (_, signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await eventually(() => source_sent(first.source.flow) > 0);
  await first.source.stop();
  assert.deepEqual(first.lines(), []);
  const second = await startSource(place, targets(target(path)));
  await using _ = second.source;
  await second.recorder.waitFor(2);
  assert.deepEqual(second.lines(), ["1", "2"]);
});

function source_sent(flow: { sent: ReadonlyMap<string, { items: number }> }): number {
  return [...flow.sent.values()].reduce((sum, each) => sum + each.items, 0);
}

test("changed targets and arguments take effect without a restart", async () => {
  await using place = await scratch();
  await writeFile(place.path("a"), "a\n");
  await writeFile(place.path("b"), Buffer.from("b\u00fc\n", "latin1"));
  const { source, recorder, lines } = await startSource(place, targets(target(place.path("a"))));
  await using _ = source;
  await recorder.waitFor(1);
  await source.update(`forward_to = [out]\n${targets(target(place.path("b")))}\nencoding = "latin1"`);
  await recorder.waitFor(2);
  assert.deepEqual(lines(), ["a", "b\u00fc"]);
});

test("says which permission is missing, and reads once it is given", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  await chmod(path, 0o200);
  for (const folder of [place.logs, `${place.logs}/..`]) await chmod(folder, 0o777);
  const root = process.geteuid!() === 0;
  if (root) process.seteuid!(65534);
  try {
    const { source, recorder } = await startSource(place, targets(target(path)));
    await using _ = source;
    await eventually(
      () => source.flow.status.state === "failing",
      () => source.flow.status.cause,
    );
    assert.match(source.flow.status.cause, /a\.log: permission denied: the file .* lacks read \(r\) permission/);
    assert.equal(source.logs.filter((record) => record.level === "error").length, 1);
    if (root) process.seteuid!(0);
    await chmod(path, 0o644);
    await recorder.waitFor(1);
    await eventually(
      () => source.flow.status.state === "ok",
      () => source.flow.status.cause,
    );
  } finally {
    if (root) process.seteuid!(0);
  }
});

test("keeps reading while positions cannot be saved, says so, and recovers", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  await mkdir(place.data);
  // A full disk: a file system so small that the temporary file does not fit beside the ballast.
  const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", place.data]).then(
    () => true,
    () => false,
  );
  // Without the right to mount, a directory in the way of the temporary file makes the write fail too.
  const obstacle = mounted ? `${place.data}/ballast` : `${place.data}/positions.json.tmp`;
  if (mounted) await writeFile(obstacle, Buffer.alloc(64 * 1024)).catch(() => {});
  else await mkdir(`${obstacle}/x`, { recursive: true });
  try {
    const { source, recorder } = await startSource(place, targets(target(path)));
    await using _ = source;
    await recorder.waitFor(1);
    await eventually(
      () => source.flow.status.state === "degraded",
      () => source.flow.status.cause,
    );
    assert.match(source.flow.status.cause, /cannot save positions: (ENOSPC|EISDIR)/);
    await appendFile(path, "2\n");
    await recorder.waitFor(2);
    await rm(obstacle, { recursive: true });
    await eventually(
      () => source.flow.status.state === "ok",
      () => source.flow.status.cause,
    );
    assert.match(await readFile(`${place.data}/positions.json`, "utf8"), /"offset":4/);
  } finally {
    if (mounted) await run("umount", [place.data]);
  }
});

test("says what is wrong with targets", async () => {
  await using place = await scratch();
  const cases: [config: string, state: string, cause: RegExp][] = [
    ["targets = []", "idle", /`targets` is empty/],
    ['targets = [{ job = "x" }]', "failing", /has no __path__, so there is no file to read/],
    [targets(target(place.path("none/a.log"))), "idle", /there is no directory .*none \(deepest existing/],
    [targets(target(place.logs)), "failing", /is a directory; use a pattern/],
    [
      `${targets(target(place.path("*.log")))}\nfile_match {\n enabled = true\n}`,
      "idle",
      /0 files for ".*\*\.log": the directory exists, no name in it matches/,
    ],
  ];
  for (const [config, state, cause] of cases) {
    const { source } = await startSource(place, config);
    await using _ = source;
    await eventually(
      () => cause.test(source.flow.status.cause),
      () => source.flow.status.cause,
    );
    assert.equal(source.flow.status.state, state, config);
  }
});

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
