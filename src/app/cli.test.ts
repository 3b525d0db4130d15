import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT, runCommand } from "./cli.ts";

async function invar(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ["", ""];
  const code = await runCommand(args, {
    out: (text) => void (out += text),
    error: (text) => void (error += text),
  });
  return { code, out, error };
}

const COMMANDS = ["run", "validate", "fmt", "status", "top", "tap", "pipe", "graph", "convert", "positions", "tools"];

test("the help lists every command, those that everybody needs first", async () => {
  const { code, out } = await invar("--help");
  assert.equal(code, EXIT.ok);
  const names = [...out.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  assert.deepEqual(names, COMMANDS);
  assert.deepEqual(await invar("help"), { code, out, error: "" });
  assert.deepEqual(await invar("help", "--help"), { code, out, error: "" });
});

test("each command's help begins with what it does and how it is written", async () => {
  for (const name of COMMANDS) {
    const { code, out, error } = await invar("help", name);
    assert.equal(code, EXIT.ok);
    assert.match(out, new RegExp(`^[A-Z].*[^.]\n\nUsage:\n {2}invar ${name}.*\n\nFlags:\n`));
    assert.deepEqual(await invar(name, "--help"), { code, out, error });
  }
  assert.match((await invar("help", "statsu")).error, /unknown command "statsu": did you mean "status"\?/);
  assert.match((await invar("help", "completion")).error, /completion is not supported yet/);
});

test("a flag that a command does not have: the nearest one it has", async () => {
  const cases: [string[], string][] = [
    [["tap", "--wher=x", "a"], "--where"],
    [["pipe", "--compnent=x"], "--component"],
    [["status", "--jsn"], "--json"],
    [["top", "--edge"], "--edges"],
    [["graph", "--fromat=dot"], "--format"],
  ];
  for (const [args, suggestion] of cases) {
    const { code, error } = await invar(...args);
    assert.equal(code, EXIT.usage);
    assert.ok(error.includes(`unknown flag: ${args[1]} (did you mean ${suggestion}?)`), error);
  }
});
