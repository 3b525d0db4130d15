import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { DiagnosticError } from "./diagnostic.ts";
import { evaluateExpression, scopeOf } from "./evaluate.ts";
import { parseExpression } from "./parser.ts";
import { goPlatform, isStandardName, standardScope } from "./stdlib.ts";
import { standardFunctions } from "./stdlib-functions.ts";
import { Secret, type Value, ValueError } from "./value.ts";

const host = {
  environment: (name: string) => (name === "REGION" ? "eu" : undefined),
  hostname: "box",
  os: "linux",
  arch: "amd64",
  version: "1.2",
};
const functions = standardFunctions(host);
const standard = standardScope(host);

function call(name: string, ...args: Value[]): Value {
  return functions.get(name)!.call(args);
}

function evaluate(text: string, variables: Readonly<Record<string, Value>> = {}): Value {
  const { expression, diagnostics } = parseExpression({ name: "t", text });
  assert.deepEqual(diagnostics, [], text);
  return evaluateExpression(expression!, scopeOf(new Map(Object.entries(variables)), standard));
}

function map(object: Readonly<Record<string, Value>>): Value {
  return new Map(Object.entries(object));
}

// The results on the right were compared with those of Alloy's own evaluator.
test("functions of text", () => {
  const cases: [string, Value][] = [
    ['string.replace("aXbX", "X", "--")', "a--b--"],
    ['string.replace("añ", "", "-")', "-a-ñ-"],
    ['string.split("a,b,", ",")', ["a", "b", ""]],
    ['string.split("añ", "")', ["a", "ñ"]],
    ['string.split("", ",")', [""]],
    ['string.split("", "")', []],
    ['string.join(["a", 1, 2.5], "-")', "a-1-2.5"],
    ['string.to_lower("ÀΣΑΣ İ")', "àσασ i"],
    ['string.to_upper("straße ŉ ᾳ ǆ")', "STRAßE ŉ ᾼ Ǆ"],
    ['string.trim("xxaxx", "x")', "a"],
    ['string.trim("", "")', ""],
    ['string.trim_prefix("abc", "ab")', "c"],
    ['string.trim_suffix("abc", "bc")', "a"],
    ['string.trim_space("\\u0085\\u2003 a\\ufeff b \\n")', "a\ufeff b"],
    ['file.path_join("/a", "../b", "./c/", "")', "/b/c"],
    ['file.path_join("", "")', ""],
    ['file.path_join("a", "../..")', ".."],
    ['sys.env("REGION") + sys.env("NOTHING")', "eu"],
    ["constants.hostname + constants.os + constants.arch + constants.version", "boxlinuxamd64v1.2.0"],
    ['encoding.to_base64("a?>ÿ")', "YT8+w78="],
    ['encoding.to_URLbase64("a?>ÿ")', "YT8-w78="],
    ['encoding.from_base64("YT8+w78=")', "a?>ÿ"],
    ['encoding.from_URLbase64("YT8-w78=")', "a?>ÿ"],
    ['encoding.url_encode("a b+c/ñ~!*()\'")', "a+b%2Bc%2F%C3%B1~%21%2A%28%29%27"],
    ['encoding.url_decode("a+b%2Bc%C3%B1")', "a b+cñ"],
  ];
  for (const [text, expected] of cases) assert.deepEqual(evaluate(text), expected, text);
  for (const [name, text] of [
    ["encoding.from_base64", "YQ"],
    ["encoding.from_base64", "a-b="],
    ["encoding.from_URLbase64", "a+b="],
    ["encoding.url_decode", "%z1"],
  ] as const) {
    assert.throws(() => call(name, text), ValueError, `${name}(${text})`);
  }
});

test("string.format is Go's Sprintf", () => {
  const cases: [string, Value][] = [
    [
      'string.format("%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%O|%b|%c|%q|%U", 42, 42, 42, -42, 42, 255, 255, 8, 8, 5, 65, 65, 128512)',
      "42|   42|42   |-0042|+42|ff|FF|10|0o10|101|A|'A'|U+1F600",
    ],
    [
      'string.format("%s|%q|%x|% x|%8s|%-8s|%.2s|%08s", "é\\"", "é\\"", "hi", "hi", "é", "é", "éab", "x")',
      'é"|"é\\""|6869|68 69|       é|é       |éa|0000000x',
    ],
    [
      'string.format("%v %f %.1f %e %g %G %8.3f %+.2f %6.0f", 1.5, 2.0, 0.25, 12345.678, 1e21, 1e-7, 3.14159, 2.5, 2.5)',
      "1.5 2.000000 0.2 1.234568e+04 1e+21 1E-07    3.142 +2.50      2",
    ],
    [
      'string.format("%t %v %v %v", true, null, [1, "a", null], { b = 2, a = [] })',
      "true <nil> [1 a <nil>] map[a:[] b:2]",
    ],
    ['string.format("%#v %T %T %T", ["a"], 1, 1.0, [])', '[]interface {}{"a"} int float64 []interface {}'],
    ['string.format("%d %s %!|%", "a", 1)', "%!d(string=a) %!s(int=1) %!!(MISSING)|%!(NOVERB)"],
    ['string.format("%d")', "%!d(MISSING)"],
    ['string.format("a", 1, null)', "a%!(EXTRA int=1, <nil>)"],
    ['string.format("%[2]d %[1]d %[5]d", 1, 2)', "2 1 %!d(BADINDEX)"],
    ['string.format("%*d|%-*d|%.*f", 4, 1, 3, 2, 1, 2.55)', "   1|2  |2.5"],
    ['string.format("%%|%5%|%z", 1)', "%|%|%!z(int=1)"],
    ['string.format("%x %b %#x %08.3f", 1.5, 1.0, 255, -3.14159)', "0x1.8p+00 4503599627370496p-52 0xff -003.142"],
  ];
  for (const [text, expected] of cases) assert.deepEqual(evaluate(text), expected, text);
  assert.equal(call("string.format", "%v", Labels.from([["a", "b"]])), '{"a"="b"}');
});

test("JSON is read and written as by Go", () => {
  assert.deepEqual(
    evaluate("encoding.from_json(x)", { x: '{"a": [1, 2.5, null, true, "\\ud800"], "__proto__": {"b": 1e3}}' }),
    new Map<string, Value>([
      ["a", [1, 2.5, null, true, "\ufffd"]],
      ["__proto__", map({ b: 1000 })],
    ]),
  );
  assert.equal(evaluate('encoding.from_json("{\\"n\\": 3}").n / 2'), 1.5, "numbers are floats");
  assert.equal(
    evaluate(
      'encoding.to_json({ b = 1, a = [1.5, null, true, "<&>\\u2028\\"\\n"], c = 1e21, d = 1e-7, e = 100000.0 })',
    ),
    '{"a":[1.5,null,true,"\\u003c\\u0026\\u003e\\u2028\\"\\n"],"b":1,"c":1e+21,"d":1e-7,"e":100000}',
  );
  for (const text of ["", " ", "{", "[1,]", "nope", '{"a" 1}', "1e999", "[".repeat(20_000)]) {
    assert.throws(() => call("encoding.from_json", text), /^ValueError: invalid JSON/, text.slice(0, 10));
  }
  assert.throws(() => call("encoding.to_json", [1]), /only supports map/);
});

test("YAML is read as by yaml.v3", () => {
  const text = `
a: 1
b: [0x1F, 0o17, 017, 0b11, 1_000, 08, 1e3, .5, -.inf, 18446744073709551615]
c: [true, True, yes, "true", ~, null, '']
d: {2001-01-02: 2001-01-02T03:04:05.600Z, t: 2001-1-2 3:4:5}
e: &anchor {k: v}
f: *anchor
g: {<<: *anchor, k2: w}
h: |
  two
  lines
i: !!str 5
j: !!float 5
1: one
`;
  const value = call("encoding.from_yaml", text) as ReadonlyMap<string, Value>;
  assert.deepEqual(evaluate("x", { x: value.get("b")! }), [
    ...[31, 15, 15, 3, 1000, 8, 1000, 0.5],
    ...[Number.NEGATIVE_INFINITY, 18446744073709551615n],
  ]);
  assert.deepEqual(value.get("c"), [true, true, "yes", "true", null, null, ""]);
  assert.deepEqual(
    value.get("d"),
    map({ "2001-01-02T00:00:00Z": "2001-01-02T03:04:05.6Z", t: "2001-01-02T03:04:05Z" }),
  );
  assert.deepEqual(value.get("f"), map({ k: "v" }));
  assert.deepEqual(value.get("g"), map({ k2: "w", k: "v" }));
  assert.deepEqual([value.get("h"), value.get("i"), value.get("1")], ["two\nlines\n", "5", "one"]);
  assert.equal(call("encoding.from_yaml", ""), null);
  assert.equal(call("encoding.from_yaml", "---\na\n---\nb"), "a");
  for (const bad of ["a: b: c", "[1", "a: 1\na: 2", "*x", "&a [*a]", "<<: 5"]) {
    assert.throws(() => call("encoding.from_yaml", bad), /^ValueError: invalid YAML/, bad);
  }
  const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 12; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  assert.throws(() => call("encoding.from_yaml", bomb.join("\n")), /excessive aliasing/);
});

test("json_path follows ojg", () => {
  const json = '{"a":[{"b":1,"c":"x"},{"b":2,"c":"xy"},{"b":3.5},null,7],"c":"cc","d":{"e":true}}';
  const cases: [string, string][] = [
    ["$.a[0].b", "[1]"],
    ["a[-1]", "[7]"],
    ["$['c']", '["cc"]'],
    ["$.a[*].b", "[1,2,3.5]"],
    ["$..b", "[1,2,3.5]"],
    ["$.a[1:3].b", "[2,3.5]"],
    ["$.a[::2].b", "[1,3.5]"],
    ["$.a[0,-1]", '[{"b":1,"c":"x"},7]'],
    ["$['c','d']", '["cc",{"e":true}]'],
    ["$.a[?(@.b > 1)].b", "[2,3.5]"],
    ["$.a[?(@.b == 1 || @.c == 'xy')].b", "[1,2]"],
    ["$.a[?(@.c =~ /^x.$/)].b", "[2]"],
    ["$.a[?(@.b + 1 == 2)].b", "[1]"],
    ["$.a[?(@.b * 2 + 1 > 4 && @.c exists true)].b", "[2]"],
    ["$.a[?(@.b in [1, 2])].b", "[1,2]"],
    ["$.a[?(length(@.c) == 2)].b", "[2]"],
    ["$.a[?(match(@.c, 'x.*'))].b", "[1,2]"],
    ["$.a[?(search(@.c, 'y'))].b", "[2]"],
    ["$.a[?(count(@.*) > 1)].b", "[1,2]"],
    ["$.a[?@.c].b", "[1,2]"],
    ["$.a[?($.d.e == true)]", '[{"b":1,"c":"x"},{"b":2,"c":"xy"},{"b":3.5},null,7]'],
    ["$.x", "[]"],
    ["$.d.e.f", "[]"],
    ["$", `[${json}]`],
  ];
  for (const [path, expected] of cases) {
    const list = call("json_path", json, path);
    assert.equal(call("encoding.to_json", map({ x: list })), `{"x":${expected}}`, path);
  }
  for (const path of ["$[", "$.", "$.a[x]", "$.a[?(", "$.a[?(@.b==-1)]", "$.a[?(@.b ~~ 1)]", "$.a[1:2:3:4]"]) {
    assert.throws(() => call("json_path", json, path), /^ValueError: invalid JSON path/, path);
  }
  assert.equal(
    call("encoding.to_json", map({ x: call("json_path", "[9007199254740993]", "$[0]") })),
    '{"x":[9007199254740993]}',
  );
});

test("functions of lists", () => {
  const cases: [string, Value][] = [
    ["array.concat()", []],
    ["array.concat([1], [], [[2]])", [1, [2]]],
    ['coalesce(null, "", 0, 0.0, false, [], {}, "x", "y")', "x"],
    ['coalesce("", null)', null],
    ["coalesce()", null],
    [
      'array.combine_maps([{ a = "1", x = "l" }], [{ a = "1", x = "r" }, { a = "2" }], ["a"])',
      [map({ a: "1", x: "r" })],
    ],
    ['array.combine_maps([{ a = "1" }], [{ a = "2" }, { a = "3" }], ["a"], true)', [map({ a: "1" }), map({ a: "1" })]],
    ['array.combine_maps([{ a = 1 }], [{ a = 1.0 }], ["a"])', []],
    [
      'array.group_by([{ k = "a", n = 1 }, { n = 2 }, { k = "b" }, { k = "a" }], "k", false)',
      [
        map({ k: "a", items: [map({ k: "a", n: 1 }), map({ k: "a" })] }),
        map({ k: "", items: [map({ n: 2 })] }),
        map({ k: "b", items: [map({ k: "b" })] }),
      ],
    ],
    ['array.group_by([{ n = 2 }], "k", true)', []],
  ];
  for (const [text, expected] of cases) assert.deepEqual(evaluate(text), expected, text);
  const target = Labels.from([["a", "1"]]);
  assert.deepEqual(call("array.combine_maps", [target], [Labels.from(Object.entries({ a: "1", b: "2" }))], ["a"]), [
    Labels.from(Object.entries({ a: "1", b: "2" })),
  ]);
  for (const text of [
    "array.concat(null)",
    'array.combine_maps([1], [], ["a"])',
    "array.combine_maps([], [], [])",
    'array.combine_maps([], [], ["a"], 1)',
    'array.group_by([{ k = 1 }], "k", true)',
    'array.group_by([], "k", 1)',
  ]) {
    assert.throws(() => evaluate(text), DiagnosticError, text);
  }
});

test("only convert.nonsensitive makes a secret plain", () => {
  const secret = new Secret('{"user": "u", "port": 5, "on": true, "none": null}');
  assert.equal(call("convert.nonsensitive", secret), secret.reveal());
  const decoded = evaluate("encoding.from_json(s)", { s: secret }) as ReadonlyMap<string, Value>;
  assert.deepEqual([...decoded.keys()], ["user", "port", "on", "none"]);
  assert.equal(decoded.get("none"), null);
  for (const name of ["user", "port", "on"]) assert.ok(decoded.get(name) instanceof Secret, name);
  assert.equal(evaluate('convert.nonsensitive(encoding.from_json(s)["port"])', { s: secret }), "5");
  const joined = evaluate('string.join(["a", s], ",")', { s: new Secret("b") });
  assert.equal((joined as Secret).reveal(), "a,b");
  const parts = evaluate('string.split(s, ",")', { s: new Secret("b,c") }) as readonly Secret[];
  assert.deepEqual(
    parts.map((each) => each.reveal()),
    ["b", "c"],
  );
  assert.ok(evaluate("encoding.to_json({ a = s })", { s: secret }) instanceof Secret);
});

test("no function's result or error shows a secret", () => {
  const word = "tOpSeCrEt";
  const texts = [
    word,
    `"${word}"`,
    `{"k": "${word}"}`,
    `[${word}`,
    `- ${word}\n- 5`,
    `%${word}`,
    `$.${word}`,
    `${word}=`,
  ];
  const argument = fc.oneof(
    fc.constantFrom<Value[]>(...texts.map((each) => new Secret(each))),
    fc.constantFrom<Value[]>(...texts.map((each) => [new Secret(each)])),
    fc.constantFrom<Value[]>(...texts.map((each) => map({ k: new Secret(each) }))),
    fc.constantFrom<Value[]>("k", "$", "$.k", "%s %d %v", "[1]", 1, true, null, ["k"], [map({ k: "k" })]),
  );
  const names = [...functions.keys()].filter((name) => name !== "convert.nonsensitive");
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(argument, { maxLength: 4 }), (name, args) => {
      let shown: string;
      try {
        // Keys of what was decoded are names, not values.
        shown =
          JSON.stringify(call(name, ...args), (_, value) => (value instanceof Map ? [...value.values()] : value)) ?? "";
      } catch (error) {
        assert.ok(error instanceof ValueError, `${name}: ${(error as Error).stack}`);
        shown = error.message;
      }
      assert.ok(
        !shown.toLowerCase().includes(word.toLowerCase()),
        `${name}(${args.map(String).join(", ")}) → ${shown}`,
      );
    }),
    { numRuns: 5_000 },
  );
});

test("no function throws anything but ValueError on any values", () => {
  const value = fc.letrec<{ any: Value }>((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string({ unit: "grapheme" }),
      fc.constantFrom<Value[]>(null, true, 0, -1.5, Number.NaN, 2n ** 63n, "%v %+v %#v %T %[2]*.[1]*f", "$..a[?(@.b)]"),
      fc.json().map((text): Value => text),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(fc.string({ maxLength: 2 }), tie("any"), { maxKeys: 3 }).map((each): Value => map(each)),
    ),
  }));
  fc.assert(
    fc.property(fc.constantFrom(...functions.keys()), fc.array(value.any, { maxLength: 4 }), (name, args) => {
      try {
        call(name, ...args);
      } catch (error) {
        assert.ok(error instanceof ValueError, `${name}: ${(error as Error).stack}`);
      }
    }),
    { numRuns: 5_000 },
  );
});

test("names and platforms", () => {
  assert.equal(isStandardName("string") && isStandardName("env") && isStandardName("constants"), true);
  assert.equal(isStandardName("prometheus"), false);
  assert.deepEqual(goPlatform("win32", "x64"), { os: "windows", arch: "amd64" });
  assert.deepEqual(goPlatform("linux", "arm64"), { os: "linux", arch: "arm64" });
  for (const [version, expected] of [
    ["", "v0.0.0"],
    ["v1.18.0", "v1.18.0"],
    ["1.18", "v1.18.0"],
    ["1.0.0-rc.1+abc", "v1.0.0-rc.1+abc"],
    ["devel", "devel"],
  ] as const) {
    const constants = standardScope({ ...host, version }).lookup("constants") as ReadonlyMap<string, Value>;
    assert.equal(constants.get("version"), expected);
  }
});
