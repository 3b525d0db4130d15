import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFile, chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { deflateSync, gzipSync } from "node:zlib";
import { bzip2, eventually, scratch, startSource } from "./testing.ts";

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
    targets_info: [
      {
        path,
        labels: '{job="x"}',
        is_running: true,
        read_offset: (await stat(path)).size,
        lag_bytes: 0,
        lag_seconds: 0,
      },
    ],
  });
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

test("what is read and not safe yet is counted, once, also when other arguments have it read again", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "one\n");
  const { source, recorder } = await startSource(place, targets(target(path)));
  await using _ = source;
  const held: { release(): void }[] = [];
  await recorder.waitFor(1);
  recorder.gate = ({ acknowledgement }) => {
    acknowledgement.retain();
    held.push(acknowledgement);
  };
  await appendFile(path, "two\n");
  await recorder.waitFor(2);
  const counts = () => [source.flow.unacknowledged.items, source.flow.unacknowledged.bytes];
  await eventually(() => source.flow.unacknowledged.items === 1);
  assert.deepEqual(counts(), [1, 4]);
  await source.update(`forward_to = [out]\n${targets(target(path))}\nencoding = "latin1"`);
  await recorder.waitFor(3);
  assert.deepEqual(counts(), [1, 4]);
  held.pop()!.release();
  assert.deepEqual(counts(), [0, 0]);
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
test("says what is wrong with targets, with the rule that found it", async () => {
  await using place = await scratch();
  for (const name of ["a.log", "b.log", "c.log"]) await writeFile(place.path(name), "1\n");
  const patterns = (...entries: string[]) => `${targets(...entries)}\nfile_match {\n enabled = true\n}`;
  const meta = '__meta_docker_container_id = "1", __meta_docker_network_name = "x"';
  const cases: [config: string, state: string, rule: string, cause: RegExp][] = [
    ["targets = []", "idle", "no_targets", /`targets` is empty/],
    ['targets = [{ job = "x" }]', "failing", "missing_path", /\{job="x"\} has no __path__, .*set it to a file/],
    [
      targets(`{ ${meta} }`, target(place.path("a.log"))),
      "degraded",
      "missing_path",
      /has no __path__.*discovery components give none.*__meta_docker_container_id.*-json\.log/,
    ],
    [targets(target(place.path("none/a.log"))), "idle", "no_files", /there is no directory .*none \(deepest existing/],
    [targets(target(place.logs)), "failing", "unreadable_files", /is a directory; use a pattern/],
    [targets(target(place.logs), target(place.path("a.log"))), "degraded", "unreadable_files", /is a directory/],
    [
      patterns(target(place.path("*.txt"))),
      "idle",
      "no_files",
      /0 files for ".*\*\.txt": directory .* nothing in it matches \(3 names\)/,
    ],
    [patterns(target(place.path("["))), "failing", "bad_pattern", /syntax error in pattern/],
    [patterns('{ job = "x" }'), "failing", "missing_path", /has no __path__/],
    [
      targets(target(place.path("a.log"), `, ${meta}`)),
      "degraded",
      "labels_not_kept",
      /no label but filename: no rule keeps any __meta_ label .*\(__meta_docker_container_id, __meta_docker_network_name\)\. Add rules to discovery\.relabel .*target_label = "container_id"/,
    ],
    [targets(target(place.path("b.log"), `, job = "x", ${meta}`)), "ok", "", /^$/],
    [targets(target(place.path("c.log"))), "ok", "", /^$/],
  ];
  for (const [config, state, rule, cause] of cases) {
    const { source, recorder } = await startSource(place, config);
    await using _ = source;
    if (state === "ok") await recorder.waitFor(1);
    const { flow } = source;
    const found = () => [flow.status.state, flow.status.rule, flow.status.cause];
    await eventually(() => flow.status.rule === rule && flow.status.state === state, found);
    assert.match(flow.status.cause, cause);
  }
});
