import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { logBatch } from "#pipeline/log-batch";
import { consumerValue, recordLogs, startComponent } from "#pipeline/testing";
import secretfilter from "./loki.secretfilter.ts";
import { madeUpSecrets } from "./secrets.testing.ts";

const { signal } = new AbortController();
const GITHUB = madeUpSecrets(7).find(({ rule }) => rule === "github-pat")!;

type Line =
  | string
  | Uint8Array
  | { readonly line: string; readonly labels: Labels; readonly metadata?: readonly string[] };

async function start(t: TestContext, config = "", clock = systemClock) {
  const recorder = recordLogs();
  const component = await startComponent(secretfilter, `forward_to = [out]\n${config}`, {
    scope: { out: recorder.value },
    clock,
  });
  cleanUp(t, () => component.stop());
  const send = (lines: readonly Line[], acknowledgement?: Acknowledgement) =>
    component.exports.receiver.consume(
      logBatch(
        lines.map((line) => (typeof line === "string" || line instanceof Uint8Array ? { line } : line)),
        acknowledgement,
      ),
      signal,
    );
  const filter = async (line: string) => {
    await send([line]);
    return recorder.items.at(-1)!.line;
  };
  return { component, recorder, send, filter };
}

/** Sends lines and gives the batch that comes out, as bytes. */
async function bytesThrough(lines: readonly Uint8Array[]) {
  let out: { same: boolean; lines: Buffer[]; data: Buffer } | undefined;
  const batch = logBatch(lines.map((line) => ({ line })));
  const given = batch.data;
  const sink: Consumer<"logs"> = {
    signal: "logs",
    componentId: "sink",
    mutates: false,
    consume({ data, count, start, end }: LogBatch) {
      const all = Array.from({ length: count }, (_, i) => Buffer.from(data.subarray(start[i]!, end[i]!)));
      out = { same: data === given, lines: all, data: Buffer.from(data) };
    },
  };
  await using component = await startComponent(secretfilter, "forward_to = [out]", {
    scope: { out: consumerValue(sink) },
  });
  await component.exports.receiver.consume(batch, signal);
  return out!;
}

function tomlFile(t: TestContext, text: string, name = "gitleaks.toml"): string {
  const folder = mkdtempSync(join(tmpdir(), "secretfilter-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test("secrets of three dozen kinds, each by its own rule", async (t) => {
  const { component, recorder, send } = await start(t, 'redact_with = "<$SECRET_NAME>"');
  const secrets = madeUpSecrets(3);
  assert.ok(secrets.length >= 30);
  await send(secrets.map(({ line }) => line));
  for (const [i, { rule, secret, line }] of secrets.entries()) {
    assert.equal(recorder.items[i]!.line, line.replace(secret, `<${rule}>`));
    assert.equal(component.metric("loki_secretfilter_secrets_redacted_by_category_total", { rule, origin: "" }), 1);
  }
  // The token of Slack's bots is found by two rules.
  assert.equal(component.metric("loki_secretfilter_secrets_redacted_total"), secrets.length + 1);
});

test("how much of a secret stays", async (t) => {
  const { secret, line } = GITHUB;
  for (const [config, expected] of [
    ["", `${secret.slice(0, 8)}...`],
    ["redact_percent = 0", `${secret.slice(0, 8)}...`],
    ["redact_percent = 50", `${secret.slice(0, 20)}...`],
    ["redact_percent = 100", "REDACTED"],
    ['redact_with = "***"', "***"],
    ['redact_with = "$SECRET_NAME $SECRET_NAME $&"\nredact_percent = 10', "github-pat github-pat $&"],
  ] as const) {
    const { filter } = await start(t, config);
    assert.equal(
      await filter(line),
      line.replace(secret, () => expected),
    );
  }
  const { filter } = await start(t, 'redact_with = "$SECRET_HASH"');
  assert.match(await filter(line), /using [0-9a-f]{40} now$/);
});

test("all occurrences of a secret, and of secrets that overlap", async (t) => {
  const path = tomlFile(t, '[[rules]]\nid = "a"\nregex = "aaa(bbb)"\n[[rules]]\nid = "b"\nregex = "bbccc"\n');
  const { filter } = await start(t, `gitleaks_config = ${JSON.stringify(path)}\nredact_percent = 100`);
  assert.equal(await filter("x aaabbb y bbb z"), "x aaaREDACTED y REDACTED z");
  assert.equal(await filter("x aaabbbccc y"), "x aaaREDACTED y");
});

test("what is generic gives way to what is known better", async (t) => {
  const { filter } = await start(t, 'redact_with = "<$SECRET_NAME>"');
  assert.equal(await filter(`token = "${GITHUB.secret}"`), 'token = "<github-pat>"');
  const made = ["9fQz7", "Lk2Xw", "Rb8Tn", "4Vy6J", "pD3sM"].join("");
  assert.equal(await filter(`api_key = "${made}"`), 'api_key = "<generic-api-key>"');
  assert.equal(await filter(`api_key = "${made}" # gitleaks:allow`), `api_key = "${made}" # gitleaks:allow`);
  assert.equal(await filter('api_key = "aaaaaaaaaaaaaaaaaaaa"'), 'api_key = "aaaaaaaaaaaaaaaaaaaa"');
  assert.equal(await filter('api_key = "this-is-an-example-key-1234"'), 'api_key = "this-is-an-example-key-1234"');
});

test("origin, structured metadata, labels and times", async (t) => {
  const { component, recorder, send } = await start(t, 'origin_label = "job"');
  await send([
    { line: GITHUB.line, labels: Labels.from([["job", "a"]]), metadata: ["password", GITHUB.secret] },
    { line: GITHUB.line, labels: Labels.empty },
  ]);
  assert.deepEqual(recorder.items[0]!.metadata, ["password", GITHUB.secret]);
  assert.equal(recorder.items[0]!.labels, '{job="a"}');
  const redacted = (origin: string) =>
    component.metric("loki_secretfilter_secrets_redacted_by_category_total", { rule: "github-pat", origin });
  assert.deepEqual([redacted("a"), redacted("")], [1, 1]);
  assert.equal(component.metric("loki_secretfilter_processing_duration_seconds_count"), 2);
});

test("rate", async (t) => {
  const none = await start(t, "rate = 0");
  assert.equal(await none.filter(GITHUB.line), GITHUB.line);
  assert.equal(none.component.metric("loki_secretfilter_entries_bypassed_total"), 1);
  const half = await start(t, "rate = 0.5");
  await half.send(Array.from({ length: 2_000 }, () => GITHUB.line));
  const passed = half.recorder.items.filter(({ line }) => line === GITHUB.line).length;
  assert.ok(passed > 800 && passed < 1_200, String(passed));
  assert.equal(half.component.metric("loki_secretfilter_entries_bypassed_total"), passed);
});

/** A clock on which each look at it takes as long as is said. */
function slowClock(ms: number) {
  let now = 0;
  return { ...systemClock, monotonic: () => (now += ms) };
}

test("processing_timeout", async (t) => {
  const config = "processing_timeout = '50ms'".replaceAll("'", '"');
  const clean = "nothing of interest";
  const forwarded = await start(t, `${config}\nlabel_timed_out = true`, slowClock(60));
  await forwarded.send([GITHUB.line, clean]);
  assert.deepEqual(
    forwarded.recorder.items.map(({ line, labels }) => [line, labels]),
    [
      [GITHUB.line, '{secretfilter="timed-out"}'],
      [clean, "{}"],
    ],
  );
  assert.equal(forwarded.component.metric("loki_secretfilter_lines_timed_out_total"), 1);
  assert.equal(forwarded.component.metric("loki_secretfilter_lines_dropped_total"), 0);
  forwarded.component.flow.judge();
  assert.equal(forwarded.component.flow.status.rule, "lines_timed_out");
  assert.match(forwarded.component.flow.status.cause, /longer than `processing_timeout` \(50 ms\) and passed/);

  const dropped = await start(t, `${config}\ndrop_on_timeout = true`, slowClock(60));
  let safe = 0;
  await dropped.send([GITHUB.line, clean, GITHUB.line]);
  await dropped.send([GITHUB.line], new Acknowledgement(() => (safe += 1)));
  assert.deepEqual(
    dropped.recorder.items.map(({ line }) => line),
    [clean],
  );
  assert.equal(safe, 1);
  assert.equal(dropped.component.flow.dropped.get("logs")?.get("processing_timeout"), 3);
  assert.equal(dropped.component.metric("loki_secretfilter_lines_dropped_total"), 3);

  const quick = await start(t, config, slowClock(1));
  assert.notEqual(await quick.filter(GITHUB.line), GITHUB.line);
});

test("rules of one's own", async (t) => {
  const path = tomlFile(
    t,
    `[extend]
useDefault = true
disabledRules = ["github-oauth"]

[[rules]]
id = "Staff-Number"
regex = '''staff:(\\d{4}):(\\d{6})'''
secretGroup = 2
entropy = 1.0
keywords = ["STAFF"]
  [[rules.allowlists]]
  regexTarget = "match"
  regexes = ["^staff:0000"]
  [[rules.allowlists]]
  condition = "AND"
  regexes = ["^9"]
  stopwords = ["999"]

[[rules]]
id = "no-keyword"
regex = "x+Z{3}"

[[rules]]
id = "github-pat"
[[rules.allowlists]]
stopwords = ["${GITHUB.secret.slice(4, 20)}"]
`,
  );
  const { filter } = await start(t, `gitleaks_config = ${JSON.stringify(path)}\nredact_with = "<$SECRET_NAME>"`);
  assert.equal(await filter("a staff:1234:123456 b"), "a staff:1234:<Staff-Number> b");
  assert.equal(await filter("a staff:1234:111111 b"), "a staff:1234:111111 b");
  assert.equal(await filter("a staff:0000:123456 b"), "a staff:0000:123456 b");
  assert.equal(await filter("a staff:1234:912345 b"), "a staff:1234:<Staff-Number> b");
  assert.equal(await filter("a staff:1234:912999 b"), "a staff:1234:912999 b");
  assert.equal(await filter("axxZZZb"), "a<no-keyword>b");
  assert.equal(await filter(GITHUB.line), GITHUB.line);
  const [other, oauth] = ["github-app-token", "github-oauth"].map(
    (rule) => madeUpSecrets(5).find((each) => each.rule === rule)!,
  );
  assert.match(await filter(other!.line), /<github-app-token>/);
  assert.equal(await filter(oauth!.line), oauth!.line);
});

test("rules that need another one near them", async (t) => {
  const path = tomlFile(
    t,
    '[[rules]]\nid = "id"\nregex = "id=(\\\\d+)"\nskipReport = true\n[[rules]]\nid = "pass"\nregex = "pw=(\\\\w+)"\n[[rules.required]]\nid = "id"\nwithinLines = 1\n',
  );
  const { filter } = await start(t, `gitleaks_config = ${JSON.stringify(path)}\nredact_percent = 100`);
  assert.equal(await filter("pw=abc"), "pw=abc");
  assert.equal(await filter("id=1 pw=abc"), "id=1 pw=REDACTED");
  assert.equal(await filter("id=1\nx\ny\npw=abc"), "id=1\nx\ny\npw=abc");
});

test("configurations that are refused", async (t) => {
  const refused = async (config: string) => {
    try {
      await (await startComponent(secretfilter, `forward_to = []\n${config}`)).stop();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return "accepted";
  };
  assert.match(await refused("rate = 1.5"), /rate/);
  assert.match(await refused("redact_percent = 101"), /redact_percent/);
  assert.match(await refused("drop_on_timeout = true"), /has no effect without `processing_timeout`/);
  assert.match(await refused('gitleaks_config = "/nonexistent.toml"'), /there is no such file; create it/);
  for (const [toml, message] of [
    ["[[rules", /is no TOML/],
    ['[[rules]]\nregex = "a"', /a rule has no `id`/],
    ['[[rules]]\nid = "a"', /rule "a" has neither `regex` nor `path`/],
    ['[[rules]]\nid = "a"\nregex = "("', /`regex` of rule "a": .*missing closing \)/],
    ['[[rules]]\nid = "a"\nregex = "(a)"\nsecretGroup = 2', /`secretGroup` of rule "a" is 2, and `regex` has 1 groups/],
    ['[[rules]]\nid = "a"\nregex = "a"\n[[rules.allowlists]]\ndescription = "x"', /an allowlist of rule "a" is empty/],
    ['[[rules]]\nid = "a"\nregex = "a"\n[[rules.required]]\nid = "b"', /requires the rule "b", which does not exist/],
    ['[[allowlists]]\nregexes = ["a"]\ntargetRules = ["b"]', /target rule "b", which does not exist/],
    ['[extend]\nuseDefault = true\npath = "x"', /both set: use one of them/],
    ['[allowlist]\ncondition = "XOR"\nregexes = ["a"]', /`condition` of an allowlist of the file is "XOR"/],
  ] as const) {
    assert.match(await refused(`gitleaks_config = ${JSON.stringify(tomlFile(t, toml))}`), message);
  }
});

test("an update with a bad file leaves the old rules in force", async (t) => {
  const { component, filter } = await start(t, "redact_percent = 100");
  await assert.rejects(component.update('forward_to = []\ngitleaks_config = "/nonexistent.toml"'), /no such file/);
  assert.equal(await filter(GITHUB.line), GITHUB.line.replace(GITHUB.secret, "REDACTED"));
});

test("a batch without secrets keeps its bytes, one with some has none of them left", async () => {
  const clean = ["GET /api/v1/users HTTP/1.1 200", "the key is under the mat", "", "\u212aey = \u017fecret"].map(
    (each) => Buffer.from(each),
  );
  const invalid = Buffer.from([0x6b, 0x65, 0x79, 0x3d, 0xff, 0xfe, 0xe2, 0x84, 0x80]);
  const kept = await bytesThrough([...clean, invalid]);
  assert.ok(kept.same);
  const mixed = await bytesThrough([
    ...clean,
    Buffer.concat([invalid, Buffer.from(` ${GITHUB.secret} é `), invalid]),
    invalid,
  ]);
  assert.deepEqual(mixed.lines.slice(0, 4), clean);
  assert.deepEqual(mixed.lines[5], invalid);
  const redacted = Buffer.concat([invalid, Buffer.from(` ${GITHUB.secret.slice(0, 8)}... é `), invalid]);
  assert.deepEqual(mixed.lines[4], redacted);
  assert.ok(!mixed.data.includes(GITHUB.secret));
});

test("property: no secret comes through, and what is around it does, byte for byte", async () => {
  const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => {
    // Nothing that is part of a word, so that the secret keeps its borders and no other one is made.
    for (let i = 0; i < bytes.length; i++) if (/[\w.=+/~-]/.test(String.fromCharCode(bytes[i]!))) bytes[i] = 0x20;
    return Buffer.from(bytes);
  });
  const secrets = madeUpSecrets(11);
  const line = fc.tuple(noise, fc.option(fc.constantFrom(...secrets), { freq: 3 }), noise);
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 8 }), async (parts) => {
      const border = Buffer.from(" ");
      const lines = parts.map(([before, made, after]) =>
        Buffer.concat([before, border, Buffer.from(made?.secret ?? ""), border, after]),
      );
      const { lines: out, data } = await bytesThrough(lines);
      for (const [i, [before, made, after]] of parts.entries()) {
        if (made === null) assert.deepEqual(out[i], lines[i]);
        else {
          assert.deepEqual(out[i]!.subarray(0, before.length + 1), lines[i]!.subarray(0, before.length + 1));
          assert.deepEqual(out[i]!.subarray(out[i]!.length - after.length), after);
          assert.ok(!data.includes(made.secret));
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("long lines made to be slow are done in a bounded time", { timeout: 60_000 }, async (t) => {
  const { filter } = await start(t);
  for (const part of ["key=", "ey", "key=12345678901 ", "-----BEGIN PRIVATE KEY-----", `ey${"a".repeat(30)}.`]) {
    const line = part.repeat(Math.ceil(200_000 / part.length));
    const before = process.cpuUsage();
    await filter(line);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10e6, `${part}: ${user + system} µs`);
  }
});
