import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EXIT, runCommand } from "../cli.ts";

const CONFIG = `loki.process "app" {
  forward_to = []
}

loki.echo "out" {}

loki.process "broken" {
  forward_to = [loki.write.gone.receiver]
}
`;
const SOUND = CONFIG.slice(0, CONFIG.indexOf('loki.process "broken"'));
const MODULES = `${SOUND}
declare "wrapped" {
  loki.process "inner" {
    forward_to = []
  }
  loki.echo "out" {}
}
declare "other" {
  loki.echo "out" {}
}
wrapped "w" {}
other "o" {}
`;

test("what is wrong is told before standard input is read, with what to do", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "invar-pipe-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const path = file("a.alloy", MODULES);
  const broken = file("b.alloy", CONFIG);
  const cases: readonly [code: number, args: readonly string[], error: RegExp][] = [
    [EXIT.usage, [path], /^Error: --component is needed: it says what standard input is fed to\nUsage: invar pipe/],
    [EXIT.usage, ["-c", "x", "--config", path, path], /given twice, with --config and after the flags/],
    [EXIT.usage, ["-c", "x", "--server=localhost:1", path], /a path takes .*, --server from a running agent/],
    [EXIT.usage, ["-c", "x", "--server=localhost:1", "--config", path], /a path takes .*, --server from a running/],
    [EXIT.usage, ["-c", "x", "--labels=app", path], /labels app cannot be read: .*\{app="web"\}/],
    [EXIT.usage, ["-c", "x", '--labels={app=~"a"}', path], /are a search, not a label set/],
    [EXIT.usage, ["-c", "x", "--input=xml", path], /one of lines, json is needed/],
    [EXIT.usage, ["-c", "x", "--format=xml", path], /one of pretty, logfmt, json is needed/],
    [EXIT.failed, ["-c", "loki.proces.app", path], /no component "loki.proces.app": did you mean "loki.process.app"\?/],
    [EXIT.failed, ["-c", "x", path], /"x"; these can be piped: loki.process.app, wrapped.w\/loki.process.inner\n/],
    [EXIT.failed, ["-c", "wrapped.w", path], /inside of it; these can be piped: wrapped.w\/loki.process.inner\n/],
    [EXIT.failed, ["-c", "other.o", path], /name one inside of it; nothing inside of it can be piped/],
    [EXIT.failed, ["-c", "loki.echo.out", path], /"loki.echo.out" cannot be piped: .*such as loki.process or .*app/],
    [EXIT.failed, ["-c", "x", join(folder, "none.alloy")], /none.alloy: no such file/],
    [EXIT.failed, ["-c", "loki.process.broken", broken], /"loki.write.gone.receiver" does not exist/],
  ];
  for (const [wanted, args, error] of cases) {
    let errors = "";
    const terminal = { out: (text: string) => assert.fail(text), error: (text: string) => void (errors += text) };
    assert.equal(await runCommand(["pipe", ...args], terminal), wanted, args.join(" "));
    assert.match(errors, error);
  }
});
