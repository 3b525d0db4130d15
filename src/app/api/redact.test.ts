import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parseFile } from "#lang/parser";
import { renderDiagnostics } from "#lang/render";
import type { Value } from "#lang/value";
import { alloyJsonBody } from "./alloy-json.ts";
import {
  hideNamed,
  hideSecrets,
  isRedacted,
  isSecretName,
  redactFile,
  redactSpan,
  withoutUrlSecrets,
} from "./redact.ts";

const redact = (text: string) => redactFile({ name: "a.alloy", text });

test("strings in secret places are hidden, the rest of the text stays as written", () => {
  const text = `// a comment
loki.write "out" {
  endpoint {
    url     = "http://user:hunter2@host/push"
    headers = { "X-Scope" = "hunter2" }
    basic_auth {
      username = "me"
      password = "hunter2"   // why
    }
  }
  labels = { a = "b", api_key = "hunter2", deep = [{ token = "hunter2" }] }
}
`;
  const shown = redact(text);
  assert.doesNotMatch(shown, /hunter2/);
  assert.equal(shown, text.replace("user:hunter2", "(secret)").replaceAll('"hunter2"', '"(secret)"'));
});

test("what follows a secret of several lines stays on its line", () => {
  const text = 'a.b "c" {\n  key_pem = `one\ntwo\nthree`\n  port    = 1\n}\n';
  const shown = redact(text).split("\n");
  assert.equal(shown.indexOf("  port    = 1"), text.split("\n").indexOf("  port    = 1"));
  assert.doesNotMatch(shown.join("\n"), /one|two|three/);
});

test("secrets are found in every kind of expression", () => {
  for (const expression of [
    '"hunter2"',
    '("hunter2")',
    '"hunter2" + "hunter2"',
    '["hunter2"][0]',
    '{ a = "hunter2" }["a"]',
    '{ a = "hunter2" }.a',
    'convert.nonsensitive("hunter2")',
    'coalesce("", "hunter2")',
    "`hunter2`",
  ]) {
    const shown = redact(`a.b "c" {\n  bearer_token = ${expression}\n}\n`);
    assert.doesNotMatch(shown, /hunter2/, expression);
    assert.match(shown, /\(secret\)/, expression);
  }
});

test("what is no secret stays readable", () => {
  const text = `a.b "c" {
  password      = sys.env("DATABASE_PASSWORD")
  password_file = "/etc/password"
  bearer_token  = local.file.token.content
}
`;
  assert.equal(redact(text), text);
});

test("a text with errors is not shown", () => {
  assert.doesNotMatch(redact('password = "hunter2'), /hunter2/);
});

test("every attribute that the catalogue types as secret is known by its name", () => {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { name, type } = value as { name?: unknown; type?: unknown };
    if (typeof name === "string" && typeof type === "string" && type.includes("secret")) names.add(name);
    Object.values(value).forEach(visit);
  };
  for (const file of globSync("test/catalog/{components/*,config-blocks,otelcol-common}.json"))
    visit(JSON.parse(readFileSync(file, "utf8")));
  assert.ok(names.size > 25, `${names.size} names`);
  assert.deepEqual(
    [...names].filter((name) => !isSecretName(name)),
    [],
  );
});

test("problems keep their places while the secrets around them are hidden", () => {
  const text = `a.b "c" {
  url      = "http://me:hunter2@host/"
  password = "hunter2"
  broken   = 
  token    = "hunter2
}
`;
  const { diagnostics } = parseFile({ name: "a.alloy", text });
  assert.ok(diagnostics.length > 0);
  const plain = renderDiagnostics(diagnostics, { color: false });
  const hidden = renderDiagnostics(hideSecrets(diagnostics), { color: false });
  assert.match(plain, /hunter2/);
  assert.doesNotMatch(hidden, /hunter2/);
  const shape = (shown: string) => shown.split("\n").filter((line) => /^\s*\||^Error/.test(line));
  assert.deepEqual(shape(hidden), shape(plain));
});

test("a message that quotes a secret quotes it no more", () => {
  const source = { name: "a.alloy", text: 'password = { a = "hunter2" }\n' };
  const span = { source, start: 11, end: 28 };
  const [shown] = hideSecrets([
    { severity: "error", code: "x", message: '{ a = "hunter2" } should be capsule', hint: 'not "hunter2"', span },
  ]);
  assert.equal(shown!.message, '{ a = "(secret)" } should be capsule');
  assert.equal(shown!.hint, 'not "(secret)"');
});

test("values under secret names are hidden, others only lose passwords in URLs", () => {
  const value = new Map<string, Value>([
    ["url", "http://a:hunter2@b/"],
    ["token_url", "https://login/token?k=hunter2"],
    ["probe", "http://blackbox/probe?module=http&target=a"],
    ["regex", "https?://b/[?]id=(.+)"],
    ["headers", new Map([["X", "hunter2"]])],
    ["deep", [new Map([["api_token", "hunter2"]])]],
    ["name", "visible"],
  ]);
  const shown = alloyJsonBody(hideNamed(value));
  assert.doesNotMatch(JSON.stringify(shown), /hunter2/);
  assert.match(JSON.stringify(shown), /visible.*/);
  assert.match(JSON.stringify(shown), /http:\/\/\(secret\)@b\//);
  assert.match(JSON.stringify(shown), /token\?k=xxxxx.*module=http&target=a.*\[\?\]id=\(\.\+\)/);
});

test("text loses the values of parameters that are named like secrets, and nothing else", () => {
  const cases = [
    ["GET https://a/b?page=2&api_key=hunter2&q=x", "GET https://a/b?page=2&api_key=(secret)&q=x"],
    ['{"url":"/hook?X-Amz-Signature=hunter2","n":1}', '{"url":"/hook?X-Amz-Signature=(secret)","n":1}'],
    [
      "no token from https://a/?code=hunter2: HTTP status 401",
      "no token from https://a/?code=(secret) HTTP status 401",
    ],
    ["https://a/?status_code=200&monkeys=2", "https://a/?status_code=200&monkeys=2"],
  ] as const;
  for (const [text, shown] of cases) assert.equal(withoutUrlSecrets(text), shown);
  const config = 'a.b "c" {\n  url = "https://a/?access_token=hunter2&x=1"\n}\n';
  assert.equal(redact(config), config.replace("hunter2", "(secret)"));
  assert.doesNotMatch(
    hideSecrets(parseFile({ name: "a", text: `${config}x = \n` }).diagnostics)[0]!.span!.source.text,
    /hunter2/,
  );
});

test("a part of a block: what is hidden in it, and nothing of the rest", () => {
  const { file } = parseFile({
    name: "a",
    text: 'x "y" {\n  password = "one"\n  plain    = "two"\n  token    = f("three", 4)\n}\n',
  });
  const block = file.body[0]!;
  assert.ok(block.kind === "block");
  const parts = block.body.map((each) => {
    assert.ok(each.kind === "attribute");
    return [redactSpan(each.value.span, [block]), isRedacted(each.value.span, [block])];
  });
  assert.deepEqual(parts, [
    ['"(secret)"', true],
    ['"two"', false],
    ['f("(secret)", 4)', true],
  ]);
});
