import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { Positions } from "./positions.ts";
import { PositionsSyntaxError, parsePositionsYaml } from "./positions-yaml.ts";

async function store() {
  const directory = await mkdtemp(join(tmpdir(), "positions-"));
  const logs: LogRecord[] = [];
  const problems: (string | undefined)[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  const open = async (legacyFile = "") => {
    const positions = new Positions({
      directory,
      legacyFile,
      clock: systemClock,
      log,
      onProblem: (problem) => void problems.push(problem),
    });
    await positions.load();
    return positions;
  };
  return {
    directory,
    logs,
    problems,
    open,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

const file = (inode: number) => ({ device: 1, inode, fingerprint: { length: 3, hash: "aa" } });

test("keeps several files of a path, and finds a file under another path", async () => {
  await using place = await store();
  const positions = await place.open();
  positions.put({ path: "/a", labels: "{}", file: file(1), offset: 5 });
  positions.put({ path: "/a", labels: "{}", file: file(2), offset: 7 });
  positions.put({ path: "/b", labels: '{x="y"}', file: file(1), offset: 9 });
  await positions.save();
  const again = await place.open();
  assert.deepEqual(
    again.get("/a", "{}").map((each) => each.offset),
    [5, 7],
  );
  assert.deepEqual(
    again.ofFile({ device: 1, inode: 1 }).map((each) => each.path),
    ["/a", "/b"],
  );
  again.remove("/a", "{}", file(1));
  assert.deepEqual(
    again.ofFile({ device: 1, inode: 1 }).map((each) => each.path),
    ["/b"],
  );
  again.remove("/a", "{}");
  assert.deepEqual(again.get("/a", "{}"), []);
  assert.deepEqual(await readdir(place.directory), ["positions.json"], "no temporary file is left");
});

test("writes nothing when nothing changed, and keeps the old file when the new one cannot be written", async () => {
  await using place = await store();
  const positions = await place.open();
  await positions.save();
  assert.deepEqual(await readdir(place.directory), []);
  positions.put({ path: "/a", labels: "{}", file: file(1), offset: 5 });
  await positions.save();
  const before = await readFile(join(place.directory, "positions.json"), "utf8");
  await mkdir(join(place.directory, "positions.json.tmp"));
  await writeFile(join(place.directory, "positions.json.tmp/x"), "");
  positions.put({ path: "/a", labels: "{}", file: file(1), offset: 6 });
  await positions.save();
  await positions.save();
  assert.equal(await readFile(join(place.directory, "positions.json"), "utf8"), before);
  assert.equal(place.problems.length, 1);
  assert.match(place.problems[0]!, /cannot save positions: EISDIR/);
  await rm(join(place.directory, "positions.json.tmp"), { recursive: true });
  await positions.save();
  assert.deepEqual(place.problems.slice(1), [undefined]);
  assert.equal((await place.open()).get("/a", "{}")[0]!.offset, 6);
});

test("takes over Alloy's file only when it is newer than ours", async () => {
  await using place = await store();
  const alloy = join(place.directory, "positions.yml");
  await writeFile(
    alloy,
    "positions:\n  ? path: /a\n    labels: '{}'\n  : \"3\"\n  ? path: cursor-x\n    labels: '{}'\n  : abc\n",
  );
  const first = await place.open();
  assert.deepEqual(first.get("/a", "{}"), [{ path: "/a", labels: "{}", file: undefined, offset: 3 }]);
  assert.deepEqual(first.get("cursor-x", "{}"), []);
  first.put({ path: "/a", labels: "{}", file: file(1), offset: 4 });
  await first.save();
  await utimes(alloy, 1, 1);
  assert.equal((await place.open()).get("/a", "{}")[0]!.offset, 4);
  await utimes(alloy, 4e9, 4e9);
  const later = await place.open();
  assert.equal(later.get("/a", "{}")[0]!.offset, 3);
  assert.deepEqual(later.ofFile(file(1)), [], "what it takes the place of is not found by its file either");
  await writeFile(alloy, "positions: [");
  await utimes(alloy, 4e9, 4e9);
  await assert.rejects(place.open(), /invalid yaml positions file/);
});

test("refuses to start on a positions file that cannot be read or is damaged", async () => {
  await using place = await store();
  const own = join(place.directory, "positions.json");
  for (const text of ["", "{", "[]", '{"version":2,"positions":[]}', '{"version":1,"positions":[{}]}']) {
    await writeFile(own, text);
    await assert.rejects(place.open(), /is damaged/, text);
  }
  await rm(own);
  await mkdir(own);
  await assert.rejects(place.open(), /could not be read, refusing to start/);
});

test("reads the forms of YAML that positions files are written in", () => {
  assert.deepEqual(
    parsePositionsYaml(
      'positions:\n  ? path: /var/log/a b.log\n    labels: \'{a="it\'\'s", b="c\\\\d"}\'\n  : "12"\n  ? path: "/tmp/\\x41\\n"\n    labels: "{}"\n  : 7\n',
    ),
    [
      { path: "/var/log/a b.log", labels: '{a="it\'s", b="c\\\\d"}', position: "12" },
      { path: "/tmp/A\n", labels: "{}", position: "7" },
    ],
  );
  assert.deepEqual(parsePositionsYaml("positions:\n  /var/log/x.log: \"5\"\n  'y: z': 6\n"), [
    { path: "/var/log/x.log", labels: undefined, position: "5" },
    { path: "y: z", labels: undefined, position: "6" },
  ]);
  assert.deepEqual(parsePositionsYaml("positions: {}\n"), []);
});

test("any text is read or refused with a PositionsSyntaxError", () => {
  const line = fc.constantFrom(
    "positions:",
    "  ? path: a",
    "    labels: '{}'",
    '  : "1"',
    "  a: 1",
    "  'x",
    ":",
    "? ",
    "#",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(line).map((lines) => lines.join("\n")),
      ),
      (text) => {
        try {
          parsePositionsYaml(text);
        } catch (error) {
          assert.ok(error instanceof PositionsSyntaxError, String(error));
        }
      },
    ),
  );
});
