import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fillIn, Globs } from "./glob.ts";
import { type CacheType, Mapper } from "./mapper.ts";
import { parseMappingConfig } from "./mapping-config.ts";

const MAPPINGS = `
mappings:
- match: "test.*.*.counter"
  name: "\${1}_\${2}_total"
  labels: { provider: "$2", outcome: "o_\${1}", job: 7 }
- match: test.dispatcher.*.counter
  name: later
- match: "a.b.c"
  name: long
- match: "a.b"
  name: short
- match: "typed.*"
  match_metric_type: gauge
  name: typed_gauge
- match: "typed.*"
  match_metric_type: timer
  name: typed_observer
- match: '^re\\.(?P<one>[a-z]+)\\.(\\d+)$'
  match_type: regex
  name: re_$2
  labels: { both: "\${one}-$2" }
`;

function find(mapper: Mapper, name: string, kind: "counter" | "gauge" | "observer" = "counter") {
  const found = mapper.find(name, kind);
  return found && [found.name, Object.fromEntries(found.labels)];
}

test("globs and regular expressions make names and labels", () => {
  const mapper = new Mapper(parseMappingConfig(MAPPINGS), 100, "lru");
  assert.deepEqual(find(mapper, "test.dispatcher.Foo.counter"), [
    "dispatcher_Foo_total",
    { provider: "Foo", outcome: "o_dispatcher", job: "7" },
  ]);
  assert.deepEqual(find(mapper, "a.b"), ["short", {}]);
  assert.equal(find(mapper, "a"), undefined);
  assert.equal(find(mapper, "test.x.counter"), undefined);
  assert.equal(find(mapper, "typed.x"), undefined);
  assert.deepEqual(find(mapper, "typed.x", "gauge"), ["typed_gauge", {}]);
  assert.deepEqual(find(mapper, "typed.x", "observer"), ["typed_observer", {}]);
  assert.deepEqual(find(mapper, "re.abc.12"), ["re_12", { both: "abc-12" }]);
});

test("without order the match that is spelt out wins", () => {
  const text =
    'defaults: { glob_disable_ordering: true }\nmappings:\n- { match: "a.*.c", name: star }\n- { match: "a.b.c", name: literal }\n';
  assert.deepEqual(find(new Mapper(parseMappingConfig(text), 0, "lru"), "a.b.c"), ["literal", {}]);
  const ordered = text.replace("true", "false");
  assert.deepEqual(find(new Mapper(parseMappingConfig(ordered), 0, "lru"), "a.b.c"), ["star", {}]);
});

test("the first of all globs that match is found, whatever they look like", () => {
  const field = fc.constantFrom("a", "b", "*");
  const pattern = fc.array(field, { minLength: 1, maxLength: 4 }).map((fields) => fields.join("."));
  const name = fc
    .array(fc.constantFrom("a", "b", "c", ""), { minLength: 1, maxLength: 4 })
    .map((fields) => fields.join("."));
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 8 }), name, (patterns, text) => {
      const globs = new Globs(
        patterns.map((each) => [each, each] as const),
        false,
      );
      const matches = (each: string) => {
        const [own, theirs] = [each.split("."), text.split(".")];
        return own.length === theirs.length && own.every((part, i) => part === "*" || part === theirs[i]);
      };
      assert.equal(globs.find(text)?.value, patterns.find(matches));
    }),
  );
});

test("what a cache forgets is found again", () => {
  for (const type of ["lru", "random"] as CacheType[]) {
    const mapper = new Mapper(parseMappingConfig(MAPPINGS), 3, type);
    for (let round = 0; round < 50; round++) {
      assert.deepEqual(find(mapper, `typed.${round % 5}`, "gauge"), ["typed_gauge", {}]);
      assert.equal(find(mapper, `none.${round % 4}`), undefined);
      assert.ok(mapper.cache!.length <= 3);
    }
    find(mapper, "again");
    const { gets, hits } = mapper.cache!;
    find(mapper, "again");
    assert.deepEqual([mapper.cache!.gets, mapper.cache!.hits], [gets + 1, hits + 1]);
  }
});

test("references to captures", () => {
  const captures = ["x", "y"];
  for (const [template, text] of [
    ["$1_$2", ""], // as in the original, `1_$2` is one name
    ["$1.$2", "x.y"],
    ["${1}_$2", "x_y"],
    ["<$3> <${0}> <$name>", "<> <> <>"],
    ["plain", "plain"],
    ["$", "$"],
  ] as const) {
    assert.equal(fillIn(template, captures), text, template);
  }
});

test("options of mappings and their defaults", () => {
  const { mappings, buckets, summary } = parseMappingConfig(`
defaults:
  observer_type: histogram
  ttl: 1m
  buckets: [1, 2]
  summary_options: { max_age: 30s, age_buckets: 2 }
mappings:
- { match: a, name: a }
- { match: b, name: b, timer_type: summary, quantiles: [{ quantile: 0.5, error: 0.1 }], ttl: 5s, scale: 0.001, honor_labels: true }
- { match: c, name: c, histogram_options: { buckets: [3] }, help: Help., action: drop }
`);
  const [a, b, c] = mappings;
  assert.deepEqual([buckets, summary.maxAgeMs, summary.ageBuckets], [[1, 2], 30_000, 2]);
  assert.deepEqual([a!.observer, a!.ttlMs, a!.buckets, a!.scale], ["histogram", 60_000, undefined, undefined]);
  assert.deepEqual([b!.observer, b!.ttlMs, b!.scale, b!.honorLabels], ["summary", 5_000, 0.001, true]);
  assert.deepEqual(b!.summary, { quantiles: [[0.5, 0.1]], maxAgeMs: 30_000, ageBuckets: 2 });
  assert.deepEqual([c!.buckets, c!.help, c!.action], [[3], "Help.", "drop"]);
});

test("a file that is wrong says where; what has no effect is told of", () => {
  const row = (text: string) => `mappings:\n- { match: x, name: ok }\n- { ${text} }\n`;
  for (const [text, message] of [
    ["[", /invalid YAML/],
    ["- a", /no map with `mappings`/],
    ["mappings: 1", /`mappings` must be a list/],
    [row("match: a"), /^Error: mapping 2: it has no `name`/],
    [row('match: a, name: "a b"'), /the name "a b" is none for a metric/],
    [row("match: a.-b, name: a"), /invalid match: a\.-b/],
    [row('match: "(", name: a, match_type: regex'), /invalid regex \(/],
    [row("match: a, name: a, match_type: x"), /invalid match type "x"/],
    [row("match: a, name: a, match_metric_type: x"), /invalid metric type 'x'/],
    [row("match: a, name: a, action: x"), /invalid action type "x"/],
    [row("match: a, name: a, observer_type: x"), /invalid observer type 'x'/],
    [row("match: a, name: a, labels: { a: b }"), /invalid label key: a/],
    [row("match: a, name: a, labels: { ab: [] }"), /`labels` must be text/],
    [row("match: a, name: a, ttl: soon"), /`ttl` must be a duration such as 1m/],
    [row("match: a, name: a, scale: much"), /`scale` must be a number/],
    [row("match: a, name: a, buckets: [2, 1]"), /ascending order/],
    [row("match: a, name: a, observer_type: histogram, summary_options: {}"), /a histogram has no `summary_options`/],
    [row("match: a, name: a, observer_type: summary, histogram_options: {}"), /a summary has no `histogram_options`/],
    [row("match: a, name: a, buckets: [1], histogram_options: { buckets: [1] }"), /stand in two places/],
    ["defaults: { summary_options: { age_buckets: 100000 } }", /age_buckets must be between 1 and 1000/],
  ] as const) {
    assert.throws(() => parseMappingConfig(text), message, text);
  }
  const { warnings } = parseMappingConfig(
    row("match: a, name: a, colour: red, histogram_options: { native_histogram_bucket_factor: 1.2 }"),
  );
  assert.deepEqual(warnings, [
    "mapping 2, histogram_options: `native_histogram_bucket_factor` has no effect: the page is text, which has classic buckets only",
    "mapping 2: `colour` is unknown and has no effect",
  ]);
});
