import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runCommand } from "../cli.ts";

const SOUND = `clients: [{url: 'http://127.0.0.1:1/loki/api/v1/push'}]
scrape_configs:
  - job_name: a
    static_configs: [{labels: {__path__: /a.log}}]
`;
const FAULTY = SOUND.replace("job_name: a", "job_name: a\n    typo: 1");

function setUp(t: TestContext, source: string) {
  const folder = mkdtempSync(join(tmpdir(), "invar-convert-"));
  cleanUp(t, () => rmSync(folder, { recursive: true, force: true }));
  const [input, output, report] = ["in.yaml", "out.alloy", "report.txt"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(input, source);
  const convert = async (...args: string[]) => {
    let [out, error] = ["", ""];
    const terminal = { out: (text: string) => void (out += text), error: (text: string) => void (error += text) };
    const code = await runCommand(["convert", ...args], terminal);
    return { code, out, error };
  };
  return { folder, input, output, report, convert };
}

test("to standard output, or to a file and a report", async (t) => {
  const { input, output, report, convert } = setUp(t, SOUND);
  const shown = await convert("-f", "promtail", input);
  assert.equal(shown.code, 0);
  assert.match(shown.out, /^loki\.source\.file "a" \{\n/);
  assert.match(shown.error, /^\(Info\) metrics about/);
  const files = await convert("--source-format", "promtail", "-o", output, "-r", report, input);
  assert.deepEqual(files, { code: 0, out: "", error: "" });
  assert.equal(readFileSync(output, "utf8"), shown.out);
  assert.equal(readFileSync(report, "utf8"), `${shown.error}\nA configuration was written.\n`);
});

test("errors prevent an output unless they are bypassed", async (t) => {
  const { input, output, report, convert } = setUp(t, FAULTY);
  const failed = await convert("-f", "promtail", "-o", output, "-r", report, input);
  assert.equal(failed.code, 1);
  assert.equal(existsSync(output), false);
  assert.match(
    failed.error,
    /^\(Error\) scrape_configs\[0\]\.typo \(line 4\): .*\nError: No configuration was written: .*--bypass-errors/,
  );
  assert.match(readFileSync(report, "utf8"), /^\(Error\) scrape_configs\[0\]\.typo .*\n\nNo configuration was written/);
  const bypassed = await convert("-f", "promtail", "-b", input);
  assert.equal(bypassed.code, 0);
  assert.match(bypassed.out, /^loki\.source\.file "a" \{\n/);
  assert.match(bypassed.error, /\(Error\) scrape_configs\[0\]\.typo/);
});

test("what the command line may get wrong", async (t) => {
  const { folder, input, convert } = setUp(t, SOUND);
  for (const [args, message] of [
    [[input], /^Error: source-format is a required flag/],
    [["-f", "static", input], /^Error: static configurations are converted by a later release/],
    [["-f", "cron", input], /^Error: unknown source format "cron": Invar converts promtail/],
    [["-f", "promtail", folder], /^Error: cannot convert a directory/],
    [["-f", "promtail", join(folder, "none")], /^Error: ENOENT/],
  ] as const) {
    const { code, out, error } = await convert(...args);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(error, message);
  }
});

test("flags of the program", async (t) => {
  const { input, convert } = setUp(t, SOUND.replace("/a.log", "'${LOGS:-/b.log}'"));
  const { out } = await convert("-f", "promtail", "-e", "-config.expand-env  -client.url=http://b/", input);
  assert.match(out, /__path__ += coalesce\(sys\.env\("LOGS"\), "\/b\.log"\)/);
  assert.match(out, /url = "http:\/\/b\/"/);
});

test("what invar validate would say is told at once", async (t) => {
  const { input, convert } = setUp(
    t,
    `${SOUND}  - job_name: raw\n    syslog: {listen_address: ':1', syslog_format: raw}\n`,
  );
  const { code, error } = await convert("-f", "promtail", input);
  assert.equal(code, 0);
  assert.match(error, /\(Warning\) invar validate says of the output, line \d+: .*--stability\.level=experimental/);
});

test("positions are converted once: what is there already is not touched", async (t) => {
  const { folder, input, convert } = setUp(t, SOUND);
  const [positions, storage] = [join(folder, "positions.yaml"), join(folder, "storage")];
  writeFileSync(positions, 'positions:\n  /a.log: "5"\n  journal-none: x\n');
  const args = ["-f", "promtail", `--convert-positions=${positions}`, `--storage.path=${storage}`, input];
  const first = await convert(...args);
  assert.equal(first.code, 0);
  assert.match(first.error, /\(Info\) loki\.source\.file\.a: takes over 1 of the 2 positions/);
  assert.match(
    first.error,
    /\(Warning\) --convert-positions: nothing in the configuration reads on from the position of journal-none/,
  );
  const file = join(storage, "loki.source.file.a", "positions.yml");
  const text = 'positions:\n  ? path: "/a.log"\n    labels: "{}"\n  : "5"\n';
  assert.equal(readFileSync(file, "utf8"), text);
  writeFileSync(positions, 'positions:\n  /a.log: "7"\n');
  const again = await convert(...args);
  assert.equal(again.code, 1);
  assert.equal(again.out, "");
  assert.match(again.error, /^\(Error\) --convert-positions: .*loki\.source\.file\.a has positions already/);
  assert.equal(readFileSync(file, "utf8"), text);
});

test("a cursor of a journal has had two names", async (t) => {
  const { folder, input, convert } = setUp(t, `${SOUND}  - job_name: my job\n    journal: {}\n`);
  const positions = join(folder, "positions.yaml");
  writeFileSync(positions, "positions:\n  journal-my job: s=1;i=2\n");
  const args = [`--convert-positions=${positions}`, `--storage.path=${folder}/storage`];
  assert.equal((await convert("-f", "promtail", ...args, input)).code, 0);
  const file = join(folder, "storage", "loki.source.journal.my_job", "positions.yml");
  assert.equal(
    readFileSync(file, "utf8"),
    'positions:\n  ? path: "cursor-loki.source.journal.my_job"\n    labels: ""\n  : "s=1;i=2"\n',
  );
});

test("positions that cannot be read prevent an output", async (t) => {
  const { folder, input, convert } = setUp(t, SOUND);
  const broken = join(folder, "broken.yaml");
  writeFileSync(broken, "positions: [1]\n");
  mkdirSync(join(folder, "storage"));
  for (const [path, message] of [
    [broken, /cannot read positions from .*broken\.yaml: line 1/],
    [join(folder, "none"), /cannot read positions from .*none: ENOENT/],
  ] as const) {
    const { code, out, error } = await convert(
      "-f",
      "promtail",
      `--convert-positions=${path}`,
      `--storage.path=${folder}/storage`,
      input,
    );
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(error, message);
  }
});
