import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { anyTree, assertAnswered, convertWith, sourcesIn, testSources } from "../conversions.testing.ts";
import { silentSettings } from "../silent-settings.testing.ts";
import { promtail } from "./promtail.ts";

const FOLDER = join(import.meta.dirname, "testdata");
const INPUTS = sourcesIn(FOLDER);
const EXPAND = ["-config.expand-env=true"];

function argumentsOf(path: string): readonly string[] {
  return basename(path) === "environment.yaml" ? EXPAND : [];
}

const convert = convertWith(promtail);

// Whether these are there changes from version to version and between machines; nothing else may be wrong.
const ALLOWED =
  /: (?:the component "[a-z0-9_.]+" is not supported yet|"stage\.[a-z]+" is not supported|.* is experimental: |.* cannot read the GeoIP database )/;
testSources(INPUTS, convert, ALLOWED, argumentsOf);

test("the example of a conversion is what is made of its source", () => {
  const example = (name: string) => readFileSync(join("examples", "from-promtail", name), "utf8");
  assert.equal(convert(example("promtail.yaml")).text, example("config.alloy"));
});

/** Settings whose value in testdata is what would be without them. */
const USUAL = [
  /^[a-z]+: scrape_configs\[0\]\.static_configs\[0\]\.targets\[0\]$/,
  /^sources: scrape_configs\[0\]\.syslog\.syslog_format$/,
  /^discovery: scrape_configs\[0\]\.azure_sd_configs\[0\]\.authentication_method$/,
];

// The largest test: some hundred settings, each twice.
test("no setting is passed over in silence: without it the output or the report is another, or the report names what it is in", () => {
  const names = ["clients", "discovery", "environment", "odd", "server", "sources", "stages"];
  const { silent, checked } = silentSettings(
    names.map((name) => join(FOLDER, `${name}.yaml`)),
    (text, path) => convert(text, argumentsOf(path)),
  );
  assert.ok(checked > 400);
  assert.deepEqual(
    silent.filter((each) => !USUAL.some((usual) => usual.test(each))),
    [],
  );
});

const KEYS = [
  ..."clients client url server positions filename scrape_configs job_name static_configs labels targets __path__".split(
    " ",
  ),
  ..."pipeline_stages relabel_configs source_labels regex action journal syslog kafka docker_sd_configs".split(" "),
  ..."match selector stages drop metrics config limits_config max_line_size tls_config backoff_config".split(" "),
  ..."kubernetes_sd_configs role selectors wal enabled readline_rate_enabled <<".split(" "),
];

const TREE = anyTree(KEYS, ["${A:-b}c"]);

test("whatever the YAML says: there is a report, and the output is a formatted configuration", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...KEYS), TREE, { maxKeys: 8 }), fc.boolean(), (tree, expand) => {
      assertAnswered(convert(stringify(tree), expand ? EXPAND : []));
    }),
    { numRuns: 300 },
  );
});

test("text that is no YAML is refused with its line, and not shown", () => {
  for (const [text, message] of [
    ["clients:\n  - url: 'secret\n", /^\(Critical\) this is no valid YAML at line \d+: /],
    ["a: *nowhere\n", /^\(Critical\) .*alias/],
    ["- a\n", /^\(Critical\) this is no Promtail configuration/],
    ["", /^\(Critical\) this is no Promtail configuration/],
    ["? [a]\n: b\n", /^\(Critical\) the YAML has a key at line 1/],
    ["a: &a [*a]\n", /^\(Critical\) /],
  ] as const) {
    const { text: output, lines } = convert(text);
    assert.equal(output, undefined);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, message);
    assert.ok(!lines[0]!.includes("secret"));
  }
});

test("aliases that repeat themselves do not fill the memory", () => {
  const bomb = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 12; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(10)}]`);
  assert.match(convert(`${bomb.join("\n")}\n`).lines[0]!, /^\(Critical\) the YAML is too large or too deep/);
});

test("flags are stronger than the file; labels of the file are stronger than those of the flag", () => {
  const source =
    "client: {url: 'http://a/', external_labels: {x: file}}\nclients: [{url: 'http://b/'}]\nscrape_configs: []\n";
  const { text, lines } = convert(source, [
    "-client.url=http://flag/",
    "--client.external-labels=x=1,y=2",
    "-client.tenant-id",
    "me",
    "-limit.readline-rate-enabled",
    "-server.http-listen-port=80",
    "-dry-run",
    "-clinet.url=x",
    "word",
  ]);
  assert.match(text!, /url = "http:\/\/b\/"/);
  assert.match(text!, /x = "1",\n\t\ty = "2",\n\t}\n\n\tendpoint {\n\t\turl = "http:\/\/b\/"/);
  assert.match(text!, /x = "file",\n\t\ty = "2",/);
  assert.match(text!, /url\s+= "http:\/\/flag\/"\n\t\ttenant_id = "me"/);
  assert.match(text!, /stage\.limit/);
  assert.ok(lines.some((line) => line.startsWith("(Info) -server.http-listen-port: the agent listens")));
  assert.ok(lines.includes("(Info) -dry-run: invar pipe shows what a pipeline makes of lines, and sends nothing"));
  assert.ok(
    lines.includes("(Error) -clinet.url: this flag is not known, and is left out; is it meant to be -client.url?"),
  );
  assert.ok(lines.includes('(Error) --extra-args: "word" is no flag'));
});

test("references to the environment stay, with a warning, unless Promtail was told to replace them", () => {
  const source = "clients:\n  - url: http://a/\n    # ${COMMENT}\n    tenant_id: ${TENANT}\nscrape_configs: []\n";
  const { text, lines } = convert(source);
  assert.match(text!, /tenant_id = "\$\{TENANT\}"/);
  assert.ok(lines.some((line) => /^\(Warning\) line 4: references .*-config\.expand-env/.test(line)));
});
