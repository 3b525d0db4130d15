import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, scratch } from "./testing.ts";

test("loses no line when it is killed again and again while files grow and rotate", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  const output = place.path("../output");
  await writeFile(path, "");
  await writeFile(output, "");
  const program = fileURLToPath(new URL("./crash-agent.testing.ts", import.meta.url));
  let agent: ChildProcess | undefined;
  using _ = { [Symbol.dispose]: () => void agent?.kill("SIGKILL") };
  const start = () => {
    agent = spawn(process.execPath, [program, path, place.data, output], { stdio: "inherit" });
  };
  const received = async () => new Set((await readFile(output, "utf8")).split("\n").filter((each) => each !== ""));
  let written = 0;
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) await appendFile(path, `line ${written++} ${"x".repeat(written % 200)}\n`);
  };
  for (let round = 0; round < 5; round++) {
    start();
    const before = (await received()).size;
    await write(300);
    // Killed in the midst of the work: some of it is written down, the rest is on its way.
    await eventually(async () => (await received()).size > before + 100);
    await write(300);
    if (round % 2 === 1) {
      await rename(path, `${path}.${round}`);
      await write(100);
    }
    agent!.kill("SIGKILL");
    await once(agent!, "exit");
    await write(50);
    if (round === 2) {
      await rename(path, `${path}.${round}`);
      await write(50);
    }
  }
  start();
  await eventually(
    async () => (await received()).size >= written,
    async () => `${(await received()).size} of ${written}`,
  );
  agent!.kill("SIGKILL");
  await once(agent!, "exit");
  const lines = await received();
  for (let i = 0; i < written; i++) assert.ok(lines.has(`line ${i} ${"x".repeat((i + 1) % 200)}`), `line ${i}`);
  assert.equal(lines.size, written);
});
