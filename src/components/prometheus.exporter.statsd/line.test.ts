import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineParser } from "./line.ts";
import { escapeName } from "./names.ts";
import { Statistics } from "./statistics.ts";

const ALL = {
  parse_dogstatsd_tags: true,
  parse_influxdb_tags: true,
  parse_librato_tags: true,
  parse_signalfx_tags: true,
};

function parse(text: string | Buffer, options: Partial<typeof ALL> = {}) {
  const errors: string[] = [];
  const statistics = new Statistics((reason) => void errors.push(reason));
  const bytes = Buffer.from(text);
  const events = new LineParser({ ...ALL, ...options }, statistics).parse(bytes, 0, bytes.length);
  const shown = events.map(({ kind, name, value, relative, times, labels }) => {
    const more = `${relative ? " relative" : ""}${times === 1 ? "" : ` x${times}`}`;
    return `${kind} ${name} ${value}${more}${[...labels].map(([key, each]) => ` ${key}=${each}`).join("")}`;
  });
  return { shown, errors, tagErrors: statistics.tagErrors, tags: statistics.tags, samples: statistics.samples };
}

test("all types, several samples of a line, sampling", () => {
  const cases: [string, string[]][] = [
    ["", []],
    ["foo:2|c", ["counter foo 2"]],
    ["foo:3|g", ["gauge foo 3"]],
    ["foo:+3|g", ["gauge foo 3 relative"]],
    ["foo:-3|g", ["gauge foo -3 relative"]],
    ["foo:200|ms", ["observer foo 0.2"]],
    ["foo:200|h", ["observer foo 200"]],
    ["foo:1e2|d", ["observer foo 100"]],
    ["foo:2|c|@0.5", ["counter foo 4"]],
    ["foo:2|c|@0", ["counter foo 2"]],
    ["foo:2|g|@0.5", ["gauge foo 2"]],
    ["foo:10|ms|@0.1", ["observer foo 0.01 x10"]],
    ["foo:10|h|@1e-300", ["observer foo 10 x9007199254740992"]],
    ["foo:10|h|@2", []],
    ["foo:1|c:2|g", ["counter foo 1", "gauge foo 2"]],
    ["foo:1:2:3|ms", ["observer foo 0.001", "observer foo 0.002", "observer foo 0.003"]],
    ["foo:1:2|h|@0.5|#a:b", ["observer foo 1 x2 a=b", "observer foo 2 x2 a=b"]],
  ];
  for (const [line, expected] of cases) {
    const { shown, errors } = parse(line);
    assert.deepEqual([shown, errors], [expected, []], line);
  }
});

test("tags in four dialects, and none where they are switched off", () => {
  const tagged = ["counter foo 1 a=b bad_key=d"];
  assert.deepEqual(parse("foo:1|c|#a:b,bad-key:d").shown, tagged);
  assert.deepEqual(parse("foo:1|c|#a:b,#bad-key:d,").shown, tagged);
  assert.deepEqual(parse("foo#a=b,bad-key=d:1|c").shown, tagged);
  assert.deepEqual(parse("foo,a=b,bad-key=d:1|c").shown, tagged);
  assert.deepEqual(parse("fo[a=b,bad-key=d]o:1|c").shown, tagged);
  assert.deepEqual(parse("foo:1|c|#a:b:c").shown, ["counter foo 1 a=b:c"]);
  assert.deepEqual(parse("foo:1|c|#a:b", { parse_dogstatsd_tags: false }).shown, ["counter foo 1"]);
  assert.deepEqual(parse("foo#a=b:1|c", { parse_librato_tags: false }).shown, ["counter foo#a=b 1"]);
  assert.deepEqual(parse("foo,a=b:1|c", { parse_influxdb_tags: false }).shown, ["counter foo,a=b 1"]);
  assert.deepEqual(parse("foo[a=b]:1|c", { parse_signalfx_tags: false }).shown, ["counter foo[a=b] 1"]);
});

test("what is wrong is counted with statsd_exporter's reasons", () => {
  const cases: [string | Buffer, string][] = [
    ["foo", "malformed_line"],
    [":1|c", "malformed_line"],
    [Buffer.from([0x66, 0xff, 0x3a, 0x31, 0x7c, 0x63]), "malformed_line"],
    ["foo:1", "not_enough_parts_after_colon"],
    ["foo:1:2|c", "invalid_extended_aggregate_type"],
    ["foo,a=b:1|c|#c:d", "mixed_tagging_styles"],
    ["foo:1|c|@1|#a:b|x", "malformed_component"],
    ["foo:1|c||#a:b", "malformed_component"],
    ["foo:abc|c", "malformed_value"],
    ["foo:|c", "malformed_value"],
    ["foo:1|s", "illegal_event"],
    ["foo:1|", "illegal_event"],
  ];
  for (const [line, reason] of cases) {
    const { shown, errors } = parse(line);
    assert.deepEqual([shown, errors], [[], [reason]], String(line));
  }
  assert.deepEqual(parse("foo:1|c|@x").errors, ["invalid_sample_factor"]);
  assert.deepEqual(parse("foo:1|c|x").shown, ["counter foo 1"]);
  assert.equal(parse("foo:1|c|#a,b:,:c,,d:e").tagErrors, 4);
  for (const name of ["foo[a=b", "foo]a=b[", "foo]"]) {
    const { shown, tagErrors } = parse(`${name}:1|c`);
    assert.deepEqual([shown, tagErrors], [[`counter ${name} 1`], 1]);
  }
});

test("any bytes are read or counted", () => {
  const piece = fc.constantFrom("foo", ":", "|", "#", ",", "=", "[", "]", "@", "c", "ms", "1", "-2.5", "\u00fc", ".");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }).map(Buffer.from),
        fc.array(piece).map((all) => Buffer.from(all.join(""))),
      ),
      (bytes) => {
        const { shown, errors } = parse(bytes as Buffer);
        for (const each of shown) assert.match(each, /^(counter|gauge|observer) /);
        for (const each of errors) assert.match(each, /^[a-z_]+$/);
      },
    ),
  );
});

test("names become those of metrics", () => {
  for (const [name, escaped] of [
    ["clean_name", "clean_name"],
    ["with.dots-and space", "with_dots_and_space"],
    ["double--dash---x", "double_dash_x"],
    ["9digits", "_9digits"],
    ["\u00fcn\u00ef\u{1f40e}x", "_n__x"],
    ["", ""],
  ] as const) {
    assert.equal(escapeName(name), escaped);
  }
});
