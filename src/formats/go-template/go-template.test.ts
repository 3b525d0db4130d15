import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GoTemplate, TemplateError } from "./go-template.ts";

const DATA = new Map(Object.entries({ a: "1", s: "Hello World", n: "42", j: '{"x":[1,2.5]}', e: "", u: "né✓" }));

/** Templates and what Go 1.26 with sprig 3 makes of them; PARSE and EXEC stand for errors. */
const CASES: readonly (readonly [template: string, expected: string])[] = [
  ["", ""],
  ["plain", "plain"],
  ["{{ 1000000.0 }} {{ 999999.5 }} {{ 0.00001 }}", "1e+06 999999.5 1e-05"],
  ['{{ printf "%v %g %.3g %.0g" 1234567.5 1e20 1234567.0 0.15 }}', "1.2345675e+06 1e+20 1.23e+06 0.1"],
  ['{{ printf "%f %.2f %e %.1e" 0.0078125 2.675 1234567.0 2.5 }}', "0.007812 2.67 1.234567e+06 2.5e+00"],
  ['{{ printf "%.0f|%+.1f|%f" 2.5 3.0 1e22 }}', "2|+3.0|10000000000000000000000.000000"],
  ["{{ .a }}", "1"],
  ["{{.s}} {{ .missing }}", "Hello World <no value>"],
  ["{{ .s | ToUpper }}", "HELLO WORLD"],
  ["{{ ToLower .s }}", "hello world"],
  ['{{ Replace .s "l" "L" 2 }}', "HeLLo World"],
  ['{{ Replace .s "" "-" 3 }}', "-H-e-llo World"],
  ['{{ Trim .s "Hd" }}|{{ TrimLeft .s "He" }}|{{ TrimRight .s "dl" }}', "ello Worl|llo World|Hello Wor"],
  ['{{ TrimPrefix .s "Hello" }}{{ TrimSuffix .s "ld" }}', " WorldHello Wor"],
  ['{{ TrimSpace "  x " }}', "x"],
  ["{{ if .a }}y{{ else }}n{{ end }}", "y"],
  ['{{ if .e }}y{{ else if eq .a "1" }}one{{ else }}n{{ end }}', "one"],
  ["{{ if and .a (not .e) }}ok{{ end }}", "ok"],
  ["{{ or .e .s }}", "Hello World"],
  ["{{ and .a .e }}", ""],
  ["{{ with .s }}[{{ . }}]{{ end }}", "[Hello World]"],
  ["{{ with .e }}x{{ else }}empty{{ end }}", "empty"],
  ["{{ with .e }}x{{ else with .a }}{{ . }}{{ end }}", "1"],
  ["{{- .a -}}  x", "1x"],
  ["a  {{- /* c */ -}}  b", "ab"],
  ["{{/* only */}}z", "z"],
  ['{{ $x := .a }}{{ $x }}{{ $x = "2" }}{{ $x }}', "12"],
  ['{{ range splitList " " .s }}<{{ . }}>{{ end }}', "<Hello><World>"],
  ['{{ range $i, $v := splitList " " .s }}{{ $i }}={{ $v }};{{ end }}', "0=Hello;1=World;"],
  ["{{ range list }}x{{ else }}none{{ end }}", "none"],
  ["{{ range $i := list 1 2 3 }}{{ if eq $i 2 }}{{ continue }}{{ end }}{{ $i }}{{ end }}", "13"],
  ["{{ range list 1 2 3 }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }}", "1"],
  ['{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .a }}', "<1>"],
  ['{{ block "b" .s }}b:{{ . }}{{ end }}', "b:Hello World"],
  ['{{ template "none" }}', "EXEC"],
  [
    '{{ printf "%s-%d-%5.2f-%v-%q-%x|%5s|%-5s|%05d|%+d|%t|%%" .a 3 1.5 true .s 255 "ab" "ab" 42 7 false }}',
    '1-3- 1.50-true-"Hello World"-ff|   ab|ab   |00042|+7|false|%',
  ],
  ['{{ printf "%d" .a }}', "%!d(string=1)"],
  ['{{ printf "%s" 1 }}', "%!s(int=1)"],
  ['{{ printf "%s" }}', "%!s(MISSING)"],
  ['{{ printf "x" 1 "b" }}', "x%!(EXTRA int=1, string=b)"],
  ['{{ printf "%v %v" 1.0 1e21 }}', "1 1e+21"],
  ['{{ print 1 2 "a" "b" 3 }}', "1 2ab3"],
  ['{{ println 1 "a" }}', "1 a\n"],
  ["{{ len .s }} {{ len .u }}", "11 6"],
  ["{{ index .s 1 }}", "101"],
  ['{{ index (list "a" "b") 1 }}', "b"],
  ["{{ slice .s 1 3 }}", "EXEC"],
  ["{{ slice .s 6 }}", "EXEC"],
  ["{{ slice .s 20 }}", "EXEC"],
  ["{{ eq 1 1.0 }}", "EXEC"],
  ["{{ eq .a 1 }}", "EXEC"],
  ['{{ eq .a "2" "1" }}', "true"],
  ['{{ lt 1 2 }}{{ gt "b" "a" }}{{ le 2 2 }}{{ ge 1.5 2.5 }}{{ ne .a .n }}', "truetruetruefalsetrue"],
  ['{{ html "<a&\'\\">" }}', "&lt;a&amp;&#39;&#34;&gt;"],
  ['{{ urlquery "a b&c=é!*" }}', "a+b%26c%3D%C3%A9%21%2A"],
  ["{{ .s | lower | title }}", "Hello World"],
  ["{{ upper .u }}", "NÉ✓"],
  ['{{ contains "World" .s }}{{ hasPrefix "He" .s }}{{ hasSuffix "x" .s }}', "truetruefalse"],
  ['{{ default "d" .e }}{{ default "d" .missing }}{{ .missing | default "q" }}{{ default "d" .a }}', "ddq1"],
  ["{{ coalesce .e .missing .a }}", "1"],
  ['{{ ternary "y" "n" true }}', "y"],
  ["{{ empty .e }}{{ empty .a }}", "truefalse"],
  ["{{ trunc 3 .s }}{{ trunc -3 .s }}", "Helrld"],
  ["{{ substr 0 5 .s }}|{{ substr 6 -1 .s }}", "Hello|World"],
  ['{{ repeat 3 "ab" }}', "ababab"],
  ['{{ replace "l" "_" .s }}', "He__o Wor_d"],
  ['{{ quote .s }} {{ squote .s }} {{ quote 1 .missing "x" }}', '"Hello World" \'Hello World\' "1" "x"'],
  ['{{ cat "a" 1 .missing "b" }}', "a 1 b"],
  ['{{ join "-" (list "a" 1 "b") }}', "a-1-b"],
  ["{{ b64enc .s }} {{ b64enc .s | b64dec }}", "SGVsbG8gV29ybGQ= Hello World"],
  ["{{ sha256sum .s }}", "a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e"],
  ["{{ sha1sum .s }}", "0a4d55a8d778e5022fab701977c5d840bbc486d0"],
  ['{{ regexReplaceAll "(l+)(o)" .s "<$2$1>" }}', "He<oll> World"],
  ['{{ regexReplaceAllLiteral "l+" .s "$1" }}', "He$1o Wor$1d"],
  ['{{ regexMatch "^H.*d$" .s }} {{ regexFind "[a-z]+" .s }}', "true ello"],
  [
    "{{ add 1 2 3 }} {{ sub 5 7 }} {{ mul 2 3 4 }} {{ div 7 2 }} {{ mod 7 3 }} {{ add1 .n }} {{ max 1 5 3 }} {{ min 4 2 }}",
    "6 -2 24 3 1 43 5 2",
  ],
  ['{{ int .n }} {{ int "x" }} {{ float64 "1.5" }} {{ atoi "12" }} {{ int 3.9 }}', "42 0 1.5 12 3"],
  ["{{ floor 3.7 }} {{ ceil 3.2 }} {{ round 3.14159 2 }}", "3 4 3.14"],
  ["{{ (fromJson .j).x }}", "[1 2.5]"],
  ["{{ index (fromJson .j).x 1 }}", "2.5"],
  ['{{ toJson (dict "b" 1 "a" (list "<" true)) }}', '{"a":["\\u003c",true],"b":1}'],
  ['{{ $d := dict "k" "v" }}{{ $d.k }}{{ get $d "z" }}{{ hasKey $d "k" }}', "vtrue"],
  ['{{ list 1 "a" nil }}', "[1 a <nil>]"],
  ["{{ first (list 1 2) }}{{ last (list 1 2) }}", "12"],
  [
    '{{ kindOf 1 }} {{ kindOf "s" }} {{ kindOf (list) }} {{ kindOf 1.5 }} {{ kindOf true }}',
    "int string slice float64 bool",
  ],
  ["{{ div 1 0 }}", "EXEC"],
  ['{{ fail "x" }}', "EXEC"],
  ['{{ nospace " a b " }}', "ab"],
  ['{{ indent 2 "a\\nb" }}', "  a\n  b"],
  ['{{ (split " " .s)._1 }}', "World"],
  ["{{ .s.x }}", "EXEC"],
  ["{{ .missing.x }}", "<no value>"],
  ["{{ ToUpper .missing }}", "EXEC"],
  ["{{ ToUpper 1 }}", "EXEC"],
  ["{{ ToUpper .s .a }}", "EXEC"],
  ["{{ nothing .a }}", "PARSE"],
  ["{{ .a", "PARSE"],
  ["{{ if .a }}", "PARSE"],
  ["{{ end }}", "PARSE"],
  ["{{ else }}", "PARSE"],
  ["{{ $y }}", "PARSE"],
  ["{{ break }}", "PARSE"],
  ['{{ "a" | 1 }}', "PARSE"],
  ["{{ .a .s }}", "EXEC"],
  ["{{ }}", "PARSE"],
  ["{{ (.a }}", "PARSE"],
  ["{{ .a) }}", "PARSE"],
  ["{{ 'a' }} {{ 0x1F }} {{ 1_000 }} {{ 010 }} {{ 1e3 }} {{ -5 }}", "97 31 1000 8 1000 -5"],
  ["{{ `raw\\n` }}", "raw\\n"],
  ['{{ "tab\\t" }}', "tab\t"],
  ["{{ true }}{{ false }}", "truefalse"],
  ["{{ nil }}", "EXEC"],
  ["{{ not true }}{{ not 0 }}", "falsetrue"],
  ["{{ range 3 }}{{ . }}{{ end }}", "012"],
  ["{{ range .s }}x{{ end }}", "EXEC"],
  ["{{ $ }}", 'map[a:1 e: j:{"x":[1,2.5]} n:42 s:Hello World u:né✓]'],
  ["{{ . }}", 'map[a:1 e: j:{"x":[1,2.5]} n:42 s:Hello World u:né✓]'],
  ["{{if}}x{{end}}", "PARSE"],
  ["{{range $i, $e := .missing}}x{{else}}none{{end}}", "none"],
  ['{{ .a | printf "%s-%s" .n }}', "42-1"],
  ["{{ with $x := .a }}{{ $x }}{{ end }}{{ .s }}", "1Hello World"],
  ['{{ if eq .a "1" }}\n x\n{{- end }}', "\n x"],
  [
    '{{ printf "%6.2f|%e|%g|%c|%X|%o|%b" 3.14159 1234.5 0.00001 65 "hi" 8 5 }}',
    "  3.14|1.234500e+03|1e-05|A|6869|10|101",
  ],
  ['{{ trimAll "$" "$5$" }}{{ trimPrefix "a" "abc" }}{{ trimSuffix "c" "abc" }}{{ trim " x " }}', "5bcabx"],
];

function run(template: string): string {
  let compiled: GoTemplate;
  try {
    compiled = new GoTemplate(template);
  } catch (error) {
    assert.ok(error instanceof TemplateError, String(error));
    return "PARSE";
  }
  try {
    return compiled.execute(DATA);
  } catch (error) {
    assert.ok(error instanceof TemplateError, String(error));
    return "EXEC";
  }
}

for (const [template, expected] of CASES) {
  test(`${template} gives ${expected}`, () => assert.equal(run(template), expected));
}

test("errors are in Go's words", () => {
  assert.throws(() => new GoTemplate("{{ nothing }}"), /function "nothing" not defined/);
  assert.throws(() => new GoTemplate("\n{{ .a"), /template:2: unclosed action/);
  assert.throws(
    () => new GoTemplate("{{ ToUpper 1 }}").execute(DATA),
    /error calling ToUpper: wrong type for value; expected string; got int/,
  );
});

test("no template runs or recurses for ever", () => {
  for (const template of [
    '{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}',
    "{{ range 1000000 }}{{ range 1000 }}x{{ end }}{{ end }}",
    "{{ repeat 1000000000 .s }}",
  ]) {
    assert.throws(() => new GoTemplate(template).execute(DATA), TemplateError);
  }
});

test("any text: an error of ours or a result, never another failure", () => {
  const piece = fc.constantFrom(
    "{{",
    "}}",
    "{{-",
    " -}}",
    " ",
    ".a",
    ".",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    '"t"',
    "template",
    "ToUpper",
    "printf",
    "1",
    "1.5",
    "'c'",
    "x",
    "/*",
    "*/",
    ",",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => void run(pieces.join(""))),
    { numRuns: 2_000 },
  );
});
