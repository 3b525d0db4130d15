import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fingerprintOf } from "#kits/tail/file-io";
import { runCommand } from "../cli.ts";

async function storage() {
  const root = await mkdtemp(join(tmpdir(), "positions-command-"));
  const data = join(root, "data");
  const write = async (component: string, file: string, content: unknown) => {
    await mkdir(join(data, component), { recursive: true });
    await writeFile(join(data, component, file), typeof content === "string" ? content : JSON.stringify(content));
  };
  const run = async (...args: string[]) => {
    let out = "";
    let error = "";
    const terminal = { out: (text: string) => void (out += text), error: (text: string) => void (error += text) };
    const code = await runCommand(["positions", ...args, `--storage.path=${data}`], terminal);
    return { code, out, error };
  };
  return { root, data, write, run, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

async function entry(path: string, labels: string, offset: number, content?: string) {
  const { dev: device, ino: inode } = await stat(path);
  const head = content === undefined ? await readFile(path) : Buffer.from(content);
  return { path, labels, file: { device, inode, fingerprint: fingerprintOf(head) }, offset };
}

test("shows files, containers and the journal, of components inside of modules too", async () => {
  await using place = await storage();
  const log = join(place.root, "a.log");
  const cut = join(place.root, "cut.log");
  await writeFile(log, "0123456789");
  await writeFile(cut, "other content");
  const positions = [
    await entry(log, '{job="a"}', 4),
    await entry(cut, "{}", 3, "what it was"),
    { ...(await entry(log, "{}", 1)), path: join(place.root, "old-name.log") },
    {
      path: "/none/gone.log",
      labels: "{}",
      file: { device: 1, inode: 1, fingerprint: { length: 0, hash: "" } },
      offset: 7,
    },
  ];
  await place.write("mod.a/loki.source.file.x", "positions.json", { version: 1, positions });
  await place.write(
    "loki.source.file.old",
    "positions.yml",
    `positions:\n  ? path: ${log}\n    labels: '{}'\n  : "2"\n`,
  );
  await place.write("loki.source.docker.d", "positions.json", {
    version: 1,
    containers: { abc: { stdout: { seconds: 1_700_000_000, nanos: 0, lines: 1 } } },
  });
  await place.write("loki.source.journal.j", "cursor.json", { version: 1, cursor: "s=1;t=5e0e5e80" });
  await place.write("prometheus.remote_write.r", "something", "else");
  const { code, out } = await place.run("ls", "--json");
  assert.equal(code, 0);
  const rows = JSON.parse(out) as Record<string, unknown>[];
  assert.deepEqual(
    rows.map(({ component, state, position, unreadBytes, nowPath }) => [
      component,
      state,
      position,
      unreadBytes,
      nowPath,
    ]),
    [
      ["loki.source.docker.d", "-", "2023-11-14T22:13:20.000Z", undefined, undefined],
      ["loki.source.file.old", "imported", "2", 8, undefined],
      ["loki.source.journal.j", "-", "1970-01-01T00:26:18.000Z", undefined, undefined],
      ["mod.a/loki.source.file.x", "gone", "7", undefined, undefined],
      ["mod.a/loki.source.file.x", "current", "4", 6, undefined],
      ["mod.a/loki.source.file.x", "cut", "3", 13, undefined],
      ["mod.a/loki.source.file.x", "rotated", "1", 9, log],
    ],
  );
  const table = await place.run("ls", "--component=mod.*", "a.log", "old-name.log");
  assert.match(table.out, /mod\.a\/loki\.source\.file\.x +current +4 +6/);
  assert.match(table.out, /old-name\.log \(now .*a\.log\)/);
  assert.equal(table.out.trim().split("\n").length, 3);
});

test("says what is wrong with a command line, a folder, a file", async () => {
  await using place = await storage();
  const log = join(place.root, "a.log");
  await writeFile(log, "0123456789");
  const nowhere = await place.run("ls");
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.error, /there is no storage folder .*data: give that of the agent with --storage\.path/);
  await mkdir(place.data);
  assert.deepEqual(await place.run("ls"), { code: 0, out: "There are no positions yet.\n", error: "" });
  assert.match(
    (await place.run("ls", "x.log")).error,
    /no component keeps positions in .*; is it the agent's --storage\.path\?/,
  );
  await place.write("loki.source.file.logs", "positions.json", { version: 1, positions: [await entry(log, "{}", 4)] });
  await place.write("loki.source.docker.d", "positions.json", { version: 1, containers: { abc: { since: 1 } } });
  const cases: [args: string[], code: number, error: RegExp][] = [
    [[], 2, /accepts 1 to 1000 arg/],
    [["rest", "--to=end"], 2, /"rest" is neither ls nor reset; did you mean reset\?/],
    [["ls", "b.log"], 1, /no position matches b\.log: patterns are matched against whole paths, such as abc/],
    [["ls", "--component=loki.source.file.log"], 1, /no component matches .*: did you mean loki\.source\.file\.logs\?/],
    [["ls", "["], 2, /syntax error in pattern/],
    [["reset", "a.log"], 2, /reset needs --to=start, which reads files again, or --to=end/],
    [["reset", "--to=middle", "a.log"], 2, /reset needs --to=start/],
    [["reset", "--to=end"], 2, /reset needs patterns of paths or --component; '\/\*\*' stands for all files/],
    [
      ["reset", "--to=end", "--component=*docker*"],
      1,
      /docker\.d cannot be reset by this command: stop the agent and remove/,
    ],
  ];
  for (const [args, code, error] of cases) {
    const result = await place.run(...args);
    assert.equal(result.code, code, args.join(" "));
    assert.match(result.error, error);
  }
  await place.write("loki.source.file.logs", "positions.json", "{");
  assert.match((await place.run("ls")).error, /positions\.json is damaged/);
});
