import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import type { Regex } from "#base/regex";
import { ConversionError } from "./convert.ts";
import { decodeBody, decodeValue, defaultsOf, encodeBody, sameArguments, sameValue } from "./decode.ts";
import { scopeOf } from "./evaluate.ts";
import { ArgumentError, faultsOf, within } from "./faults.ts";
import { parseFile } from "./parser.ts";
import { type AnyAttribute, type AnyBody, s } from "./schema.ts";
import { standardScope } from "./stdlib.ts";
import { Capsule, Secret, type Value } from "./value.ts";

const standard = standardScope({
  environment: () => undefined,
  hostname: "h",
  os: "linux",
  arch: "amd64",
  version: "1",
});
const receiver = { signal: "logs" };

interface Options {
  readonly variables?: Readonly<Record<string, Value>>;
  readonly minimumStability?: "experimental" | "generally-available";
}

function decode(schema: AnyBody, text: string, { variables = {}, minimumStability }: Options = {}) {
  const source = { name: "test.alloy", text: `test "x" {\n${text}\n}\n` };
  const { file, diagnostics } = parseFile(source);
  assert.deepEqual(diagnostics, [], text);
  const block = file.body[0]!;
  assert.equal(block.kind, "block");
  const scope = scopeOf(new Map(Object.entries(variables)), standard);
  const decoded = decodeBody(schema, block.kind === "block" ? block.body : [], scope, {
    name: "test",
    block: block.kind === "block" ? block : undefined,
    minimumStability,
  });
  const found = decoded.diagnostics.map((each) => [
    each.code,
    each.message,
    each.span === undefined ? undefined : source.text.slice(each.span.start, each.span.end),
  ]);
  return { value: decoded.value, found, diagnostics: decoded.diagnostics };
}

const tls = s.object({ ca_file: s.string().default(""), insecure: s.bool().default(false) });
const schema = s
  .object({
    name: s.string().nonEmpty(),
    count: s.int(1, 10).default(3),
    ratio: s.float().default(0.5),
    interval: s.duration().default("30s"),
    size: s.byteSize().default("1MiB"),
    password: s.secret().optional(),
    token: s.optionalSecret().default(""),
    action: s.oneOf(["keep", "drop"], { ignoreCase: true }).default("keep"),
    pattern: s.regex().optional(),
    headers: s.map(s.list(s.secret())).default({}),
    targets: s.targets().default([]),
    forward_to: s.list(s.consumer("logs")).default([]),
    cache: s.record({ size: s.int().default(7), name: s.string() }).optional(),
    extra: s.any().default(null),
    old: s.bool().default(false).deprecated("use action instead"),
    new: s.bool().default(false).experimental(),
    gone: s.string().default("").unsupported("nobody knows how"),
    pace: s.duration().default("1m").withoutEffect("there is nothing to pace"),
    tls: s.block(tls).presentByDefault({ insecure: true }),
    auth: s.block(tls.rule("ca_file", (t) => t.ca_file !== "/bad", "is bad")),
    rule: s.blocks(tls).labelled(),
    stage: s.enumBlocks({ json: tls, drop: s.object({ value: s.string() }) }),
    free: s.mapBlock(s.int()),
    template: s.rawBlock(),
  })
  .rule(
    "count",
    (a) => a.count < 5 || a.action === "drop",
    (a) => `is ${a.count}: too much to keep`,
  );

test("defaults and what is written", () => {
  const { value, found } = decode(
    schema,
    `name = "n"
     interval = "1m30s"
     action = "DROP"
     pattern = "a+"
     targets = [{ a = 1, b = true }]
     forward_to = [r]
     cache = { name = "c" }
     headers = { h = ["x", secret] }
     auth { ca_file = "/ca" }
     stage.drop { value = "1" }
     rule "one" { }
     stage.json { insecure = true }
     rule "two" { insecure = true }
     free { a = 1 }
     template { anything "goes" { } }`,
    { variables: { r: new Capsule("loki.LogsReceiver", receiver), secret: new Secret("s") } },
  );
  assert.deepEqual(found, []);
  const { pattern, headers, template, ...rest } = value as Record<string, unknown>;
  assert.equal((pattern as Regex).test("baab"), true);
  const [plain, secret] = (headers as ReadonlyMap<string, readonly Secret[]>).get("h")!;
  assert.deepEqual([plain!.reveal(), secret!.reveal()], ["x", "s"]);
  assert.equal((template as readonly unknown[]).length, 1);
  assert.deepEqual(rest, {
    name: "n",
    count: 3,
    ratio: 0.5,
    interval: 90_000,
    size: 1_048_576,
    password: undefined,
    token: "",
    action: "drop",
    targets: [Labels.from(Object.entries({ a: "1", b: "true" }))],
    forward_to: [receiver],
    cache: { size: 7, name: "c" },
    extra: null,
    old: false,
    new: false,
    gone: "",
    pace: 60_000,
    tls: { ca_file: "", insecure: true },
    auth: { ca_file: "/ca", insecure: false },
    rule: [
      { ca_file: "", insecure: false, label: "one" },
      { ca_file: "", insecure: true, label: "two" },
    ],
    stage: [
      { kind: "drop", args: { value: "1" } },
      { kind: "json", args: { ca_file: "", insecure: true } },
    ],
    free: new Map([["a", 1]]),
  });
});

test("every problem of a body is reported at once, each at its place", () => {
  const { value, found } = decode(
    schema,
    `cuont = 3
     count = 11
     count = 2
     action = "remove"
     interval = "fast"
     targets = [{ a = "x" }, { b = password }]
     forward_to = [1]
     pattern = "("
     cache = { size = true }
     old = true
     new = true
     gone = "x"
     tls = 5
     rule { }
     auth "label" { insecure = "yes" }
     auth { }
     stage.jsno { }
     name { }
     free { inner { } }`,
    { variables: { password: new Secret("hunter2") } },
  );
  assert.equal(value, undefined);
  const shown = found.map(([code, message, at]) => `${code} @ ${at}: ${message}`.replace(/(is not valid: ).*/, "$1…"));
  assert.deepEqual(shown, [
    'config.unknown_argument @ cuont: unrecognized attribute name "cuont"',
    "config.range @ 11: `count` must be at most 10, got 11",
    'config.duplicate_argument @ count: attribute "count" may only be provided once',
    'config.enum @ "remove": `action` cannot be "remove"',
    'config.bad_value @ "fast": `interval` is not valid: …',
    "config.wrong_type @ password: password secrets may not be converted into strings",
    'config.wrong_type @ 1: 1 should be capsule("loki.LogsReceiver"), got number',
    'config.bad_value @ "(": `pattern` is not valid: …',
    "config.wrong_type @ true: true should be number, got bool",
    'config.deprecated @ old: "old" is deprecated',
    'config.stability @ new: "new" is at stability level "experimental", which is below the minimum allowed stability level "generally-available"',
    'config.unsupported @ gone: "gone" is not supported',
    'config.not_a_block @ tls: "tls" must be a block, but is used as an attribute',
    'config.missing_label @ rule: block "rule" requires non-empty label',
    'config.unexpected_label @ auth "label": block "auth" does not support specifying labels',
    'config.wrong_type @ "yes": "yes" should be bool, got string',
    'config.duplicate_block @ auth: block "auth" may only be specified once',
    'config.unknown_block @ stage.jsno: unrecognized block name "stage.jsno"',
    'config.not_an_argument @ name: "name" must be an attribute, but is used as a block',
    "config.unknown_block @ inner: nested blocks not supported here",
    'config.missing_argument @ test "x": missing required attribute "name"',
  ]);
});

test("rules point at the field, in nested blocks too", () => {
  const { found } = decode(schema, 'name = "n"\ncount = 6\nauth { ca_file = "/ca" }');
  assert.deepEqual(found, [["config.rule", "`count` is 6: too much to keep", "6"]]);
  const inner = decode(schema, 'name = "n"\nauth { ca_file = "/bad" }');
  assert.deepEqual(inner.found, [["config.rule", "`ca_file` is bad", '"/bad"']]);
  const outer = s
    .object({ tls: s.block(tls).presentByDefault() })
    .rule("tls.ca_file", (a) => a.tls.insecure, "is needed");
  assert.deepEqual(decode(outer, 'tls { ca_file = "x" }').found, [["config.rule", "`tls.ca_file` is needed", '"x"']]);
  assert.deepEqual(decode(outer, "tls { }").found, [["config.rule", "`tls.ca_file` is needed", "tls"]]);
  assert.deepEqual(decode(outer, "").found, [["config.rule", "`tls.ca_file` is needed", 'test "x"']]);
});

test("a rule may say itself where the fault is", () => {
  const entry = s.object({ names: s.list(s.string()).default([]), more: s.any().optional() });
  const body = s.object({ each: s.blocks(entry), one: s.block(entry), stage: s.enumBlocks({ a: entry }) });
  const found = (field: string, text: string) => {
    const rule = body.refuse(() => [{ field, message: "is bad" }]);
    const { found: all, diagnostics } = decode(rule, text);
    assert.deepEqual([all.length, all[0]![0], all[0]![1]], [1, "config.rule", `\`${field}\` is bad`]);
    // The second `each` is told from the first one by its line.
    const line = diagnostics[0]!.span!.source.text.slice(0, diagnostics[0]!.span!.start).split("\n").length - 1;
    return `${line}: ${all[0]![2]}`;
  };
  const text = 'each { }\none { names = ["a", "b"] }\neach { names = ["c", ("d")] }\nstage.a { }';
  assert.equal(found("each[1]", text), "3: each");
  assert.equal(found("each[1].names", text), '3: ["c", ("d")]');
  assert.equal(found("each[1].names[1]", text), '3: ("d")');
  assert.equal(found("each[0].names[1]", text), "1: each");
  assert.equal(found("each[2].names[1]", text), '0: test "x"');
  assert.equal(found("one.names[0]", text), '2: "a"');
  assert.equal(found("one.names[7]", text), '2: ["a", "b"]');
  assert.equal(found("stage", text), "4: stage.a");
  assert.equal(found("names", text), '0: test "x"');
  assert.equal(found("one.more.key[1].x", "one { more = {key = [1, {x = 2}]} }"), "1: 2");
  assert.equal(found("one.more.key[1].x", "one { more = {key = array.concat([1])} }"), "1: array.concat([1])");
});

test("faults of what is made of arguments, each where it is", () => {
  const bad = (field = "") => {
    throw new ArgumentError("is bad", field);
  };
  const steps = [
    () => within("a", () => within("b[1]", () => bad("c"))),
    () => within("a", () => 1),
    () => within("a", () => bad("[2]")),
    () => within("a", () => bad()),
  ];
  assert.deepEqual(
    faultsOf(steps).map(({ field, message }) => `${field} ${message}`),
    ["a.b[1].c is bad", "a[2] is bad", "a is bad"],
  );
  const bug = () => within("a", () => assert.fail("a bug"));
  assert.throws(() => faultsOf([bug]), /a bug/);
});

test("hints name what was meant", () => {
  const { diagnostics } = decode(schema, 'name = "n"\ncuont = 1\naction = "kep"\nstage.jsno { }');
  assert.deepEqual(
    diagnostics.map((each) => each.hint),
    ['did you mean "count"?', 'did you mean "keep"? There are "keep", "drop"', 'did you mean "stage.json"?'],
  );
});

test("arguments without effect are accepted, with a warning unless they say the default", () => {
  const { value, diagnostics } = decode(schema, 'name = "n"\npace = "5m"');
  assert.equal(value?.pace, 300_000);
  assert.deepEqual(
    diagnostics.map(({ severity, code, message }) => [severity, code, message]),
    [["warning", "config.no_effect", '"pace" has no effect: there is nothing to pace']],
  );
  assert.deepEqual(decode(schema, 'name = "n"\npace = "60s"').diagnostics, []);
});

test("what looks wrong is shown as a warning where it is written, once all rules are kept", () => {
  const rule = s.object({ source: s.string() }).rule("source", (a) => a.source !== "bad", "is bad");
  const body = s
    .object({ rule: s.blocks(rule) })
    .suspect(({ rule: rules }) =>
      rules.flatMap(({ source }, i) =>
        source === "odd" ? [{ field: `rule[${i}].source`, message: "is odd", hint: "make it even" }] : [],
      ),
    );
  const { value, diagnostics } = decode(body, 'rule { source = "even" }\nrule { source = "odd" }');
  assert.equal(value?.rule.length, 2);
  assert.deepEqual(
    diagnostics.map(({ severity, code, message, hint, span }) => [severity, code, message, hint, span?.start]),
    [["warning", "config.suspicious", "`rule[1].source` is odd", "make it even", 52]],
  );
  assert.deepEqual(
    decode(body, 'rule { source = "odd" }\nrule { source = "bad" }').diagnostics.map(({ code }) => code),
    ["config.rule"],
  );
  assert.deepEqual(decode(body.doc("x"), 'rule { source = "odd" }').diagnostics.length, 1);
});

test("a secret that is empty because a variable is not set names the variable", () => {
  const body = s.object({ password: s.secret().default("") });
  const warnings = (text: string) => decode(body, text).diagnostics.map(({ message }) => message);
  const unset = ['"password" is empty: the environment variable A is not set'];
  assert.deepEqual(warnings('password = sys.env("A")'), unset);
  assert.deepEqual(warnings('password = string.trim_space(sys.env("A") + sys.env("B"))'), unset);
  assert.deepEqual(warnings('password = sys.env("A") + "secret"'), []);
  assert.deepEqual(warnings('password = ""'), []);
});

test("a rule that refuses an empty value names the variable that is not set", () => {
  const body = s
    .object({ client: s.block(s.object({ endpoint: s.string() })).required() })
    .rule("client.endpoint", (a) => a.client.endpoint !== "", "is needed");
  const told = (value: string) =>
    decode(body, `client {\nendpoint = ${value}\n}`).diagnostics.map(({ message, why }) => [message, why]);
  assert.deepEqual(told('sys.env("A")'), [["`client.endpoint` is needed", "the environment variable A is not set"]]);
  assert.deepEqual(told('""'), [["`client.endpoint` is needed", undefined]]);
});

test("stability and deprecation of standard names", () => {
  const body = s.object({ a: s.any().default(null), b: s.any().default(null) });
  const text = 'a = array.group_by([], "k", true)\nb = env("X")';
  assert.deepEqual(
    decode(body, text).diagnostics.map(({ severity, code }) => [severity, code]),
    [
      ["error", "config.stability"],
      ["warning", "config.deprecated"],
    ],
  );
  const allowed = decode(body, text, { minimumStability: "experimental" });
  assert.deepEqual(allowed.value, { a: [], b: "" });
  assert.deepEqual(decode(body, "a = env", { variables: { env: 1 } }).found, []);
});

test("conversions are Alloy's", () => {
  const cases: [AnyAttribute, Value, unknown][] = [
    [s.string(), 5, "5"],
    [s.string(), 1.5, "1.5"],
    [s.string(), 1e21, "1000000000000000000000"],
    [s.string(), null, ""],
    [s.int(), "12", 12],
    [s.int(), "-12", -12],
    [s.int(), 1.9, 1],
    [s.int(), -1.9, -1],
    [s.int(), "1e3", 1000],
    [s.int(), null, 0],
    [s.float(), "1.5", 1.5],
    [s.bool(), null, false],
    [s.duration(), "0", 0],
    [s.list(s.string()), null, []],
    [s.list(s.int()), ["1", 2], [1, 2]],
    [s.map(s.string()), Labels.from([["a", "b"]]), new Map([["a", "b"]])],
    [s.optionalSecret(), "x", "x"],
    [s.string().optional(), null, undefined],
  ];
  for (const [attribute, value, expected] of cases) {
    assert.deepEqual(decodeValue(attribute, value), expected, `${attribute.typeText} from ${String(value)}`);
  }
  const refused: [AnyAttribute, Value, string][] = [
    [s.string(), true, "should be string, got bool"],
    [s.string(), new Secret("x"), "secrets may not be converted into strings"],
    [s.int(), "", "should be number, got string"],
    [s.int(), "0x10", "should be number, got string"],
    [s.int(), "99999999999999999999", "should be number, got string"],
    [s.int(), true, "should be number, got bool"],
    [s.bool(), "true", "should be bool, got string"],
    [s.secret(), 5, "should be capsule, got number"],
    [s.optionalSecret(), 5, "should be capsule, got number"],
    [s.list(s.string()), "a", "should be array, got string"],
    [s.map(s.string()), [], "should be object, got array"],
    [s.capsule("RelabelRules"), null, 'should be capsule("RelabelRules"), got null'],
    [
      s.consumer("metrics"),
      new Capsule("loki.LogsReceiver", 1),
      'expected capsule("storage.Appendable"), got capsule("loki.LogsReceiver")',
    ],
  ];
  for (const [attribute, value, message] of refused) {
    assert.throws(() => decodeValue(attribute, value), { name: "ValueError", message });
  }
});

const anyValue = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<Value[]>(null, true, false, 0, -1, 1.5, Number.NaN, 2n ** 63n, "", "5", "5s", "1MiB", "[", "keep"),
    fc.constantFrom<Value[]>(new Secret("tOpSeCrEt"), new Capsule("loki.LogsReceiver", {}), Labels.from([["a", "b"]])),
    fc.string(),
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .dictionary(fc.constantFrom("size", "name", "a", "__proto__"), tie("value"), { maxKeys: 3 })
      .map((o) => new Map(Object.entries(o))),
  ),
}));

test("decoding any value gives what the type says or a ConversionError without secrets", () => {
  const attributes: AnyAttribute[] = [...schema.fields.values()].filter((each) => each.node === "attribute");
  fc.assert(
    fc.property(fc.constantFrom(...attributes), anyValue.value, (attribute, value) => {
      try {
        decodeValue(attribute, value);
      } catch (error) {
        assert.ok(error instanceof ConversionError, String((error as Error).stack));
        assert.ok(!`${error.message}${error.hint}${error.path}`.includes("tOpSeCrEt"));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what is encoded decodes to the same", () => {
  const text =
    'name = "n"\ninterval = "90s"\npassword = "p"\nstage.drop { value = "v" }\nrule "a" { }\npattern = "x"\ntargets = [{ a = "b" }]';
  const { value } = decode(schema, text);
  const encoded = encodeBody(schema, value as never) as ReadonlyMap<string, Value>;
  assert.equal(encoded.get("interval"), "1m30s");
  assert.equal(encoded.get("size"), "1MiB");
  assert.deepEqual(encoded.get("stage"), [new Map([["drop", new Map([["value", "v"]])]])]);
  assert.deepEqual(
    [...(encoded.get("rule") as readonly ReadonlyMap<string, Value>[])[0]!.keys()],
    ["label", "ca_file", "insecure"],
  );
  assert.equal(String(encoded.get("password")), "(secret)");
  const again = new Map<string, unknown>();
  for (const [name, field] of schema.fields) {
    if (field.node === "attribute") again.set(name, decodeValue(field, encoded.get(name)!));
  }
  for (const [name, each] of again) {
    const typed = (value as Record<string, unknown>)[name];
    assert.ok(sameArguments(s.object({ x: s.any() }), { x: each } as never, { x: typed } as never), name);
  }
});

test("sameness looks into values, not at their identity", () => {
  const parse = (text: string) => decode(schema, text).value as never;
  const text = 'name = "n"\npattern = "a"\npassword = "p"\ntargets = [{ a = "b" }]\ntemplate { a = 1 }\nfree { a = 1 }';
  assert.equal(sameArguments(schema, parse(text), parse(text)), true);
  for (const [from, to] of [
    ['"n"', '"m"'],
    ['pattern = "a"', 'pattern = "b"'],
    ['"p"', '"q"'],
    ['a = "b"', 'a = "c"'],
    ["template { a = 1 }", "template { a = 2 }"],
    ["free { a = 1 }", "free { b = 1 }"],
  ] as const) {
    assert.equal(sameArguments(schema, parse(text), parse(text.replace(from, to))), false, to);
  }
  assert.equal(sameValue([1, new Map([["a", "b"]])], [1, Labels.from([["a", "b"]])]), true);
  assert.equal(sameValue(new Secret("a"), "a"), false);
  assert.equal(sameValue(new Map([["a", null]]), new Map([["b", null]])), false);
  assert.equal(sameValue(Number.NaN, Number.NaN), true);
});

test("defaults of a body stand without anything written", () => {
  assert.deepEqual(defaultsOf(tls), { ca_file: "", insecure: false });
});
