import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { EXIT } from "../cli.ts";
import { validate } from "./validate.ts";

async function check(t: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), "invar-validate-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "config.alloy");
  writeFileSync(file, text);
  let errors = "";
  const terminal = { print: () => {}, error: (line: string) => void (errors += line) };
  const flags = new Map<string, unknown>([["stability.level", "generally-available"]]);
  const line = { flags, given: new Set<string>(), positional: [file], warnings: [] };
  return { code: await validate.run(line as never, terminal as never), errors };
}

test("what has no effect is told, and is no failure", async (t) => {
  const { code, errors } = await check(
    t,
    'tracing {\n  send_traceparent = true\n}\nprometheus.remote_write "x" {\n  wal {\n    truncate_frequency = "1h"\n  }\n}\n',
  );
  assert.equal(code, EXIT.ok);
  const told = errors.split("\n").filter((line) => line.includes("has no effect"));
  assert.deepEqual(told.map((line) => line.replace(/ \S*config\.alloy:/, " ")).sort(), [
    'Warning: 6:5: prometheus.remote_write.x: "truncate_frequency" has no effect: delivered data is deleted at once; remove "truncate_frequency"',
    'Warning: tracing: "send_traceparent" has no effect: requests of components are not traced',
  ]);
});

test("what components warn of has the facts and the hint that the log would have", async (t) => {
  const { code, errors } = await check(
    t,
    'prometheus.exporter.mysql "x" {\n  data_source_name = "m@tcp(localhost:3306)/"\n  enable_collectors = ["perf_schema.tabelocks"]\n}\n',
  );
  assert.equal(code, EXIT.ok);
  assert.match(
    errors,
    /^Warning: prometheus\.exporter\.mysql\.x: there is no such collector; the name is ignored \(collector=perf_schema\.tabelocks\); did you mean "perf_schema\.tablelocks"\?$/m,
  );
});

test("blocks that hang together so that data goes nowhere are told, with their place", async (t) => {
  const { code, errors } = await check(
    t,
    'loki.source.api "in" {\n  http { }\n  forward_to = [loki.process.cut.receiver]\n}\n\nloki.process "cut" {\n  forward_to = []\n}\n',
  );
  assert.equal(code, EXIT.ok);
  assert.match(
    errors,
    /^Warning: .*config\.alloy:6:1: loki\.process\.cut: it forwards to nothing: forward_to is empty/m,
  );
  assert.match(errors, /^Warning: .*config\.alloy:1:1: loki\.source\.api\.in: its data reaches no destination/m);
  assert.match(errors, /^code: config\.wiring$/m);
});

test("a sound configuration is passed over in silence, a bad one is not", async (t) => {
  const sound = 'loki.source.api "in" {\n  http { }\n  forward_to = [loki.echo.x.receiver]\n}\n\nloki.echo "x" { }\n';
  assert.deepEqual(await check(t, sound), { code: EXIT.ok, errors: "" });
  const bad = await check(t, 'loki.ecko "x" { }\n');
  assert.equal(bad.code, EXIT.failed);
  assert.match(bad.errors, /did you mean "loki.echo"/);
});
