import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { COMPONENTS } from "../../registry.gen.ts";
import { anyTree, assertAnswered, convertWith, sourcesIn, testSources } from "../conversions.testing.ts";
import { silentSettings } from "../silent-settings.testing.ts";
import { ENTRIES, LATER } from "./catalogue.ts";
import { otelcol } from "./otelcol.ts";

const FOLDER = join(import.meta.dirname, "testdata");
const INPUTS = sourcesIn(FOLDER);

const convert = convertWith(await otelcol());

// What needs a flag, and what is read when the components are built.
const ALLOWED =
  /is at stability level|there is no such file|no credential source provided|is no address|set [A-Z_]+ where the agent is started/;
testSources(INPUTS, convert, ALLOWED);

test("what is said to come later is not there yet", () => {
  const there = [...LATER].filter(([, component]) => COMPONENTS.has(component));
  assert.deepEqual(there, [], "these have to move to the tables of catalogue.ts");
  for (const [name, component] of LATER)
    assert.ok(existsSync(join("test/catalog/components", `${component}.json`)), name);
});

test("the example of a conversion is what is made of its source", () => {
  const example = (name: string) => readFileSync(join("examples", "from-otelcol", name), "utf8");
  const { text, report } = convert(example("config.yaml"));
  assert.equal(text, example("config.alloy"));
  assert.equal(report.has("Error"), false);
});

/** Settings whose value in testdata is what would be without them. */
const USUAL: readonly RegExp[] = [];

// Some hundred settings, each converted twice.
test("no setting is passed over in silence: without it the output or the report is another, or the report names what it is in", () => {
  const { silent, checked } = silentSettings(INPUTS, (text) => convert(text));
  assert.ok(checked > 500, String(checked));
  assert.deepEqual(
    silent.filter((each) => !USUAL.some((usual) => usual.test(each))),
    [],
  );
});

/** A configuration with one exporter's settings and pipelines, in YAML's flow style. */
function pipelines(definitions: string, lines: string) {
  return convert(`receivers: {otlp: {protocols: {grpc: }}}\n${definitions}\nservice: {pipelines: {${lines}}}\n`);
}

/** `a -> b` for each edge of the output, by component and label. */
function edges(text: string | undefined): readonly string[] {
  const short = (name: string) => name.replace("otelcol.", "");
  return [...text!.matchAll(/^(\S+) "(\w+)" \{\n(.*?)^\}/gms)].flatMap(([, component, label, body]) =>
    [...body!.matchAll(/(\w+) += \[(.*\.input)\]/g)].flatMap(([, signal, targets]) =>
      targets!.split(", ").map((each) => `${signal}: ${short(`${component}.${label}`)} > ${short(each).slice(0, -6)}`),
    ),
  );
}

const BASE = "processors: {batch: , k8sattributes: }\nexporters: {otlp: {endpoint: 'a:1'}, zipkin: {}}";

test("a receiver and an exporter of several pipelines are there once, a processor once for each name of pipelines", () => {
  const { text } = pipelines(
    BASE,
    "traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}, " +
      "metrics: {receivers: [otlp], processors: [batch], exporters: [otlp]}, " +
      "traces/2: {receivers: [otlp], processors: [batch], exporters: [otlp]}",
  );
  assert.deepEqual(edges(text), [
    "metrics: receiver.otlp.default > processor.batch.default",
    "traces: receiver.otlp.default > processor.batch.default",
    "traces: receiver.otlp.default > processor.batch._2_default",
    "metrics: processor.batch.default > exporter.otlp.default",
    "traces: processor.batch.default > exporter.otlp.default",
    "traces: processor.batch._2_default > exporter.otlp.default",
  ]);
});

test("what is left out is joined over", () => {
  const { text, lines } = pipelines(
    BASE,
    "traces: {receivers: [otlp], processors: [k8sattributes, batch, k8sattributes], exporters: [otlp, zipkin]}",
  );
  assert.deepEqual(edges(text), [
    "traces: receiver.otlp.default > processor.batch.default",
    "traces: processor.batch.default > exporter.otlp.default",
  ]);
  assert.equal(lines.length, 2);
  assert.match(
    lines[0]!,
    /^\(Error\) processors\.k8sattributes \(line 2\): Alloy has otelcol\.processor\.k8sattributes for this processor/,
  );
  assert.match(lines[1]!, /^\(Error\) exporters\.zipkin \(line 3\): there is no component for this exporter/);
});

test("a processor that would feed itself through a connector is there once for each signal", () => {
  const { text } = pipelines(
    `${BASE}\nconnectors: {spanmetrics: }`,
    "traces: {receivers: [otlp], processors: [batch], exporters: [spanmetrics]}, " +
      "metrics: {receivers: [otlp, spanmetrics], processors: [batch], exporters: [otlp]}",
  );
  assert.deepEqual(edges(text), [
    "metrics: receiver.otlp.default > processor.batch.default_metrics",
    "traces: receiver.otlp.default > processor.batch.default_traces",
    "metrics: processor.batch.default_metrics > exporter.otlp.default",
    "traces: processor.batch.default_traces > connector.spanmetrics.default",
    "metrics: connector.spanmetrics.default > processor.batch.default_metrics",
  ]);
});

test("a circle of pipelines, which the Collector refuses, is an error", () => {
  const { lines } = pipelines(
    "connectors: {count: }",
    "metrics: {receivers: [otlp, count], exporters: [count]}, traces: {receivers: [otlp], exporters: [count]}",
  );
  assert.deepEqual(lines, ["(Error) service.pipelines: these components feed each other in a circle: count"]);
});

test("forward connectors join pipelines, and circles of them end", () => {
  const { text } = pipelines(
    `${BASE}\nconnectors: {forward: , forward/2: }`,
    "traces/a: {receivers: [otlp], exporters: [forward, otlp]}, " +
      "traces/b: {receivers: [forward], exporters: [forward/2]}, traces/c: {receivers: [forward/2], exporters: [forward]}",
  );
  assert.deepEqual(edges(text), ["traces: receiver.otlp.a_default > exporter.otlp.a_default"]);
});

function exporterOf(settings: string): string {
  const { text } = pipelines(`exporters: {otlp: {${settings}}}`, "traces: {receivers: [otlp], exporters: [otlp]}");
  return /otelcol\.exporter\.otlp "default" \{\n(.*?)\n\}/s.exec(text!)![1]!.replaceAll(/\s+/g, " ").trim();
}

test("references are those of the Collector", () => {
  for (const [value, expression] of [
    ["plain", '"plain"'],
    ["${env:A}", 'sys.env("A")'],
    ["${A}:1", 'sys.env("A") + ":1"'],
    ["${env:A:-b:1}", 'coalesce(sys.env("A"), "b:1")'],
    ["${A:-a{b}c}", 'coalesce(sys.env("A"), "a{b}c")'],
    ["$$A", '"$A"'],
    ["$${A}", '"${A}"'],
    ["$A.$1", '"$A.$1"'],
    ["a$", '"a$"'],
    ["${A", '"${A"'],
    ["${env:1}", '"${env:1}"'],
    ["${http://a/b}", '"${http://a/b}"'],
    ["${file:/etc/x}", "string.trim_space(convert.nonsensitive(local.file.x.content))"],
  ] as const) {
    assert.equal(exporterOf(`endpoint: '${value}'`), `client { endpoint = ${expression} }`, value);
  }
});

test("keys with :: are paths, and what is there twice is one", () => {
  const { text, lines } = convert(
    "receivers::otlp::protocols::grpc::endpoint: a:1\nreceivers: {otlp: {protocols::grpc: {transport: unix}}}\n" +
      "exporters: {debug: }\nservice::pipelines::traces: {receivers: [otlp], exporters: [debug]}\n",
  );
  assert.match(text!, /grpc \{\n\t\tendpoint {2}= "a:1"\n\t\ttransport = "unix"\n/);
  assert.deepEqual(lines, []);
});

test("durations, sizes, numbers and flags", () => {
  const client = 'client { endpoint = "a:1" }';
  for (const [settings, wanted] of [
    ["timeout: 5s", client],
    ["timeout: 0", `timeout = "0s" ${client}`],
    ["timeout: 2500000", `timeout = "2500000ns" ${client}`],
    ['timeout: "${env:T}"', `timeout = sys.env("T") ${client}`],
    ["write_buffer_size: 1048576", 'client { endpoint = "a:1" write_buffer_size = "1MiB" }'],
    ["wait_for_ready: yes", 'client { endpoint = "a:1" wait_for_ready = true }'],
    [
      'wait_for_ready: "${W:-true}"',
      'client { endpoint = "a:1" wait_for_ready = coalesce(sys.env("W"), "true") == "true" }',
    ],
    ["headers: {a: 1, b: '${B}'}", 'client { endpoint = "a:1" headers = { a = "1", b = sys.env("B"), } }'],
    ["sending_queue: {enabled: false}", `sending_queue { enabled = false } ${client}`],
    ["sending_queue: ", client],
    [
      "sending_queue: {sizer: bytes, batch: {min_size: 5}}",
      `sending_queue { sizer = "bytes" batch { min_size = 5 max_size = 0 sizer = "bytes" } } ${client}`,
    ],
    ["sending_queue: {batch: {enabled: false, min_size: 5}}", client],
  ] as const) {
    assert.equal(exporterOf(`endpoint: 'a:1', ${settings}`), wanted, settings);
  }
});

function processorOf(type: string, settings: string): string {
  const { text } = pipelines(
    `processors: {${type}: ${settings}}`,
    `traces: {receivers: [otlp], processors: [${type}]}`,
  );
  return /otelcol\.processor\.\w+ "default" \{\n(.*?)\n\}/s.exec(text!)![1]!.replaceAll(/\s+/g, " ").trim();
}

test("a text stands for a list with commas in it", () => {
  const batch = (keys: string) =>
    processorOf("batch", `{send_batch_size: 1, send_batch_max_size: 3000, metadata_keys: ${keys}}`);
  for (const [keys, wanted] of [
    ["[a, b]", '["a", "b"]'],
    ["'a,b'", '["a", "b"]'],
    ["a", '["a"]'],
    ['"${env:KEYS}"', 'string.split(sys.env("KEYS"), ",")'],
    ['["${env:KEY}", b]', '[sys.env("KEY"), "b"]'],
  ] as const) {
    assert.ok(batch(keys).includes(`metadata_keys = ${wanted} `), batch(keys));
  }
});

test("what a memory limiter keeps free is a fifth of its limit unless it is given", () => {
  const limiter = (settings: string) => processorOf("memory_limiter", `{check_interval: 1s, ${settings}}`);
  assert.match(limiter("limit_percentage: 75"), /limit_percentage = 75 spike_limit_percentage = 15 /);
  assert.match(limiter("limit_percentage: 75, spike_limit_percentage: 5"), /spike_limit_percentage = 5 /);
  assert.match(limiter('limit_percentage: "${P}"'), /limit_percentage = sys\.env\("P"\) output/);
  assert.match(limiter("limit_mib: 100"), /limit = "100MiB" output/);
});

test("groups of statements without a context are plain statements, unless others have one", () => {
  const transform = (statements: string) => processorOf("transform", `{trace_statements: [${statements}]}`);
  assert.match(
    transform("{statements: [a, b]}, {statements: [c]}"),
    /^statements \{ trace = \["a", "b", "c"\] \} output/,
  );
  assert.match(transform("a, b"), /^statements \{ trace = \["a", "b"\] \} output/);
  assert.match(
    transform("{context: span, statements: [a]}"),
    /^trace_statements \{ context = "span" statements = \["a"\] \}/,
  );
  const { lines } = pipelines(
    "processors: {transform: {trace_statements: [{statements: [a]}, {context: span, statements: [b]}]}}\nexporters: {debug: }",
    "traces: {receivers: [otlp], processors: [transform], exporters: [debug]}",
  );
  assert.match(
    lines.join(),
    /^\(Error\) processors\.transform\.trace_statements\[0\] \(line 2\): a group of statements needs/,
  );
});

test("numbers and flags that Alloy requires are written where the Collector has zero", () => {
  const policy = (settings: string) => processorOf("tail_sampling", `{policies: [{name: a, ${settings}}]}`);
  assert.match(
    policy("type: numeric_attribute, numeric_attribute: {key: b, min_value: 5}"),
    /key = "b" min_value = 5 max_value = 0 \}/,
  );
  assert.match(policy("type: boolean_attribute, boolean_attribute: {key: b}"), /key = "b" value = false \}/);
  assert.match(policy("type: ottl_condition, ottl_condition: {span: [c]}"), /error_mode = "propagate" span = \["c"\]/);
  assert.match(
    policy("type: not, not: {not_sub_policy: {name: c, type: latency, latency: {threshold_ms: 5}}}"),
    /not \{ not_sub_policy \{ name = "c" type = "latency" latency \{ threshold_ms = 5 \} \} \}/,
  );
});

test("severities get their names", () => {
  for (const [number, name] of [
    [1, "TRACE"],
    [4, "TRACE4"],
    [5, "DEBUG"],
    [9, "INFO"],
    [14, "WARN2"],
    [17, "ERROR"],
    [24, "FATAL4"],
  ]) {
    const settings = `{exclude: {match_type: strict, log_severity_number: {min: ${number}}}}`;
    assert.match(processorOf("attributes", settings), new RegExp(`min = "${name}"`));
  }
});

test("sources that say nothing, and flags, are refused", () => {
  const refused = convert("service: {}\n", ["--set=a=b"]);
  assert.equal(refused.text, undefined);
  assert.deepEqual(refused.lines, [
    "(Critical) --extra-args: flags of the Collector are not converted; leave them out",
  ]);
  assert.match(convert("receivers: {}\n").lines[0]!, /^\(Critical\) this configuration has no service/);
  assert.match(convert("[a]\n").lines[0]!, /^\(Critical\) this is no OpenTelemetry Collector configuration/);
  assert.match(convert("service: {}\n").lines[0]!, /^\(Warning\) service\.pipelines: there are none/);
});

const TYPES = Object.values(ENTRIES).flatMap((table) => [...table.keys()]);
const KEYS = [
  ..."receivers processors exporters connectors extensions service pipelines telemetry logs metrics traces".split(" "),
  ..."protocols grpc http endpoint tls auth authenticator sending_queue batch enabled headers policies type name".split(
    " ",
  ),
  ..."and attributes actions key value include dimensions histogram resolver k8s trace_statements traces/2 ::".split(
    " ",
  ),
  ..."a::b receivers::otlp << forward level encoding conditions context spans max keepalive file_storage/x".split(" "),
  ...TYPES,
];
const TREE = anyTree(KEYS, ["$$", "${file:/a}", ...TYPES]);
const names = fc.array(fc.constantFrom(...TYPES, "forward", "none"), { maxLength: 4 });
const anyPipelines = fc.dictionary(
  fc.constantFrom("traces", "metrics", "logs", "traces/2", "metrics/2", "x"),
  fc.record({ receivers: names, processors: names, exporters: names }),
);

test("whatever the YAML says: there is a report, and the output is a formatted configuration", () => {
  const components = fc.dictionary(fc.constantFrom(...TYPES, "forward"), TREE, { maxKeys: 5 });
  const source = fc.record({
    receivers: components,
    processors: components,
    exporters: components,
    connectors: components,
    extensions: components,
    service: fc.oneof(fc.record({ extensions: names, pipelines: anyPipelines, telemetry: TREE }), TREE),
    other: TREE,
  });
  fc.assert(
    fc.property(fc.oneof(source, fc.dictionary(fc.constantFrom(...KEYS), TREE)), (tree) => {
      assertAnswered(convert(stringify(tree)));
    }),
    { numRuns: 300 },
  );
});
