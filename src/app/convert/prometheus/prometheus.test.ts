import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { anyTree, assertAnswered, convertWith, sourcesIn, testSources } from "../conversions.testing.ts";
import { silentSettings } from "../silent-settings.testing.ts";
import { prometheus } from "./prometheus.ts";

const FOLDER = join(import.meta.dirname, "testdata");
const INPUTS = sourcesIn(FOLDER);

const convert = convertWith(prometheus);

// Whether these are there changes from version to version; nothing else may be wrong.
const ALLOWED =
  /: (?:the component "[a-z0-9_.]+" is not supported yet|"(?:sigv4|azuread|google_iam)" is not supported|.* is experimental: )/;
testSources(INPUTS, convert, ALLOWED);

test("the example of a conversion is what is made of its source", () => {
  const example = (name: string) => readFileSync(join("examples", "from-prometheus", name), "utf8");
  assert.equal(convert(example("prometheus.yml")).text, example("config.alloy"));
});

/** Settings whose value in testdata is what would be without them. */
const USUAL = [
  /^discovery: scrape_configs\[0\]\.azure_sd_configs\[0\]\.(?:authentication_method|environment)$/,
  /^odd: global\.(?:scrape_timeout|evaluation_interval)$/,
  /^odd: scrape_configs\[0\]\.scrape_interval$/,
];

// Some hundred settings, each converted twice.
test("no setting is passed over in silence: without it the output or the report is another, or the report names what it is in", () => {
  const { silent, checked } = silentSettings(INPUTS, (text) => convert(text));
  assert.ok(checked > 300, String(checked));
  assert.deepEqual(
    silent.filter((each) => !USUAL.some((usual) => usual.test(each))),
    [],
  );
});

const GLOBAL = `global:
  scrape_interval: 30s
  sample_limit: 5
  body_size_limit: 1MB
  scrape_native_histograms: true
  metric_name_validation_scheme: utf8
`;

function scrapeOf(job: string, global = GLOBAL): string {
  const { text } = convert(`${global}scrape_configs: [{job_name: x, static_configs: [{targets: [a]}], ${job}}]\n`);
  return /prometheus\.scrape "x" \{\n(.*?)\n\}/s.exec(text!)![1]!.replaceAll(/[\t ]+/g, " ");
}

test("what a job leaves open comes from global, what it says itself does not", () => {
  assert.match(scrapeOf(""), /scrape_interval = "30s"/);
  assert.match(scrapeOf("sample_limit: 0"), /sample_limit = 5/);
  assert.match(scrapeOf("sample_limit: 7"), /sample_limit = 7/);
  assert.match(scrapeOf("scrape_native_histograms: ''"), /scrape_native_histograms = true/);
  assert.doesNotMatch(scrapeOf("scrape_native_histograms: false"), /scrape_native_histograms/);
  assert.match(scrapeOf("scrape_classic_histograms: true"), /scrape_classic_histograms = true/);
  assert.match(scrapeOf(""), /body_size_limit = "1MiB"/);
  assert.match(scrapeOf(""), /metric_name_validation_scheme = "utf8"\n metric_name_escaping_scheme = "allow-utf-8"/);
  assert.doesNotMatch(scrapeOf("metric_name_validation_scheme: legacy"), /metric_name/);
});

test("the time-out of a scrape is never longer than its interval, as in Prometheus", () => {
  const times = (global: string, job: string) =>
    [...scrapeOf(job, `global: {${global}}\n`).matchAll(/scrape_(\w+) = "(\w+)"/g)].map(
      ([, name, value]) => `${name} ${value}`,
    );
  assert.deepEqual(times("", ""), []);
  assert.deepEqual(times("scrape_interval: 5s", ""), ["interval 5s", "timeout 5s"]);
  assert.deepEqual(times("scrape_interval: 2m, scrape_timeout: 1m", ""), ["interval 2m", "timeout 1m"]);
  assert.deepEqual(times("scrape_interval: 2m, scrape_timeout: 1m", "scrape_interval: 15s"), [
    "interval 15s",
    "timeout 15s",
  ]);
  assert.deepEqual(times("scrape_timeout: 20s", "scrape_timeout: 30s"), ["timeout 30s"]);
  assert.deepEqual(times("scrape_interval: 0s", "scrape_interval: 1d"), ["interval 24h0m0s"]);
});

test("references in external labels are those of Go's os.Expand", () => {
  const label = (value: string) => {
    const source = { global: { external_labels: { x: value } }, remote_write: [{ url: "http://a/" }] };
    return /x = (.*),\n/.exec(convert(stringify(source)).text!)![1];
  };
  for (const [value, expression] of [
    ["plain", '"plain"'],
    ["$A", 'sys.env("A")'],
    ["${A}b", 'sys.env("A") + "b"'],
    ["a$A.b", '"a" + sys.env("A") + ".b"'],
    ["$$A", '"$A"'],
    ["a$", '"a$"'],
    ["a$.b", '"a$.b"'],
    ["${}x", '"x"'],
    ["${A", '"A"'],
    ["$1x", 'sys.env("1") + "x"'],
  ] as const) {
    assert.equal(label(value), expression, value);
  }
});

test("without remote_write nothing is sent; flags are refused", () => {
  const { text, lines } = convert("scrape_configs: [{job_name: a, static_configs: [{targets: [b]}]}]\n");
  assert.match(text!, /forward_to = \[\]/);
  assert.ok(lines.some((line) => line.startsWith("(Warning) remote_write: there is none")));
  const refused = convert("global: {}\n", ["--web.listen-address=:9090"]);
  assert.equal(refused.text, undefined);
  assert.deepEqual(refused.lines, ["(Critical) --extra-args: flags of Prometheus are not converted; leave them out"]);
});

const KEYS = [
  ..."global scrape_interval external_labels scrape_configs job_name static_configs labels targets params".split(" "),
  ..."relabel_configs metric_relabel_configs source_labels regex action remote_write url queue_config".split(" "),
  ..."write_relabel_configs sigv4 azuread oauth tls_config basic_auth http_headers values file_sd_configs files".split(
    " ",
  ),
  ..."kubernetes_sd_configs role consul_sd_configs scrape_protocols sample_limit rule_files alerting <<".split(" "),
];
const TREE = anyTree(KEYS, ["$$"]);

test("whatever the YAML says: there is a report, and the output is a formatted configuration", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...KEYS), TREE, { maxKeys: 8 }), (tree) => {
      assertAnswered(convert(stringify(tree)));
    }),
    { numRuns: 300 },
  );
});
