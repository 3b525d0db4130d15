import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { describeFlags, type FlagSpec, parseCommandLine, UsageError } from "./command-line.ts";
import { RUN_FLAGS } from "./run-flags.ts";

const SPECS: readonly FlagSpec[] = [
  { name: "listen", short: "l", type: "string", default: "here", help: "Where" },
  { name: "on", type: "bool", default: false, help: "Whether" },
  { name: "off", type: "bool", default: true, help: "Whether not" },
  { name: "count", type: "int", default: 3, help: "How many" },
  { name: "wait", type: "duration", default: "1m", help: "How long" },
  { name: "names", type: "list", default: ["a"], help: "Which" },
  { name: "level", type: "enum", values: ["low", "high"], default: "low", help: "How high" },
  { name: "later", type: "bool", default: false, help: "Not yet", unsupported: "it comes later" },
  { name: "gone", type: "bool", default: false, help: "Not any more", ignored: "it is gone" },
];
const parse = (...args: string[]) => parseCommandLine(args, SPECS);
const refusal = (...args: string[]) => {
  try {
    parse(...args);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  return assert.fail(`${args.join(" ")} was accepted`);
};

test("defaults hold for what is not written", () => {
  const { flags, given, positional } = parse();
  assert.deepEqual(
    [...flags],
    [
      ["listen", "here"],
      ["on", false],
      ["off", true],
      ["count", 3],
      ["wait", 60_000],
      ["names", ["a"]],
      ["level", "low"],
      ["later", false],
      ["gone", false],
    ],
  );
  assert.equal(given.size, 0);
  assert.deepEqual(positional, []);
});

test("one dash or two, value after = or after a space, short names", () => {
  for (const args of [["--listen=x"], ["-listen=x"], ["--listen", "x"], ["-listen", "x"], ["-l", "x"], ["-l=x"]]) {
    assert.equal(parse(...args).flags.get("listen"), "x", args.join(" "));
  }
  assert.equal(parse("--listen=a=b").flags.get("listen"), "a=b");
  assert.equal(parse("--listen=").flags.get("listen"), "");
  assert.equal(parse("--listen", "--on").flags.get("listen"), "--on", "Go takes the next word, whatever it is");
});

test("a bool takes no word of its own, so that positional arguments may follow", () => {
  const { flags, positional } = parse("--on", "config.alloy");
  assert.equal(flags.get("on"), true);
  assert.deepEqual(positional, ["config.alloy"]);
  for (const text of ["1", "t", "T", "TRUE", "true", "True"]) assert.equal(parse(`--on=${text}`).flags.get("on"), true);
  for (const text of ["0", "f", "F", "FALSE", "false", "False"])
    assert.equal(parse(`--off=${text}`).flags.get("off"), false);
});

test("flags may stand before and after positional arguments; what follows -- and a lone - are none", () => {
  const { flags, positional } = parse("a", "--on", "-", "--", "--listen=x");
  assert.equal(flags.get("on"), true);
  assert.equal(flags.get("listen"), "here");
  assert.deepEqual(positional, ["a", "-", "--listen=x"]);
});

test("the last value counts, lists grow", () => {
  assert.equal(parse("--listen=a", "--listen=b").flags.get("listen"), "b");
  assert.deepEqual(parse("--names=x,y", "--names=z").flags.get("names"), ["x", "y", "z"]);
});

test("typed values", () => {
  const { flags } = parse("--count=-7", "--wait=1h30m", "--level=high");
  assert.deepEqual([flags.get("count"), flags.get("wait"), flags.get("level")], [-7, 5_400_000, "high"]);
});

test("what is wrong is refused with what would be right", () => {
  assert.match(refusal("--lisen=x"), /unknown flag: --lisen=x \(did you mean --listen\?\)/);
  assert.match(refusal("--zzzzzzzzzz"), /^unknown flag: --zzzzzzzzzz$/);
  assert.match(refusal("--listen"), /flag needs an argument: --listen/);
  assert.match(refusal("--on=maybe"), /invalid argument "maybe" for "--on": true or false is needed/);
  assert.match(refusal("--count=1.5"), /a whole number/);
  assert.match(refusal("--wait=5"), /a duration such as 30s/);
  assert.match(refusal("--level=middle"), /one of low, high/);
});

test("flags of missing features: refused when they ask for something, accepted at their defaults", () => {
  assert.match(refusal("--later"), /--later is not supported yet: it comes later/);
  assert.equal(parse("--later=false").flags.get("later"), false);
  assert.deepEqual(parse("--gone").warnings, ["--gone has no effect: it is gone"]);
});

test("no command line makes it throw anything but a UsageError", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("--", "-", "--on", "-l", "--count", "--names=", "--wait=", "=", "--=", "-=x", "--listen"),
  );
  fc.assert(
    fc.property(fc.array(word), (args) => {
      try {
        parse(...args);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
      }
    }),
  );
});

test("`run` has every flag of the catalogue with its default", () => {
  const catalogue = JSON.parse(readFileSync("test/catalog/cli.json", "utf8")) as {
    commands: { name: string; flags: { name: string; default: unknown }[] }[];
  };
  const wanted = catalogue.commands.find((each) => each.name === "run")!.flags;
  assert.ok(wanted.length > 30);
  for (const { name, default: fallback } of wanted) {
    const spec = RUN_FLAGS.find((each) => `--${each.name}` === name);
    assert.ok(spec, name);
    assert.deepEqual(spec.default, fallback, name);
  }
});

test("the help names each flag with its default and what does not work", () => {
  const text = describeFlags(SPECS);
  assert.match(text, /-l, --listen string\n\s+Where \(default here\)/);
  assert.match(text, /--later\n\s+Not yet \[not supported yet\]/);
  assert.match(text, /--gone\n\s+Not any more \[no effect\]/);
});
