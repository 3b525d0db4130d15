import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { DirectoryWatch } from "./directory-watch.ts";
import { isRemote } from "./remote-file-systems.ts";
import { eventually } from "./tailer.testing.ts";

test("a directory that never rests is watched no longer, those who rely on it are told, and after a while it is again", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "directory-watch-"));
  cleanUp(t, () => rmSync(directory, { recursive: true }));
  const events: (string | null)[] = [];
  let now = 0;
  const watch = new DirectoryWatch(
    (_, name) => void events.push(name),
    () => now,
    isRemote,
  );
  cleanUp(t, () => watch.close());
  watch.add(directory);
  const path = join(directory, "app.log");
  appendFileSync(path, "a line\n");
  await eventually(() => events.includes("app.log"), "a single change is told");
  assert.ok(watch.isWatched(directory));
  // Of several changes of one file in a row the system tells one.
  for (let i = 0; i < 600; i++) appendFileSync(i % 2 === 0 ? path : `${path}.1`, "a line\n");
  await eventually(() => events.at(-1) === null, "it is told that events end");
  assert.ok(!watch.isWatched(directory));
  now = 11_000;
  assert.ok(watch.isWatched(directory));
  events.length = 0;
  appendFileSync(path, "a line\n");
  await eventually(() => events.includes("app.log"), "a change is told again");
});

test("where other machines write too, events are told and not relied on", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "directory-watch-"));
  cleanUp(t, () => rmSync(directory, { recursive: true }));
  const events: (string | null)[] = [];
  const watch = new DirectoryWatch(
    (_, name) => void events.push(name),
    () => 0,
    async () => true,
  );
  cleanUp(t, () => watch.close());
  watch.add(directory);
  await eventually(() => events.includes(null), "who relies on events has to poll");
  assert.ok(!watch.isWatched(directory));
  appendFileSync(join(directory, "app.log"), "a line\n");
  await eventually(() => events.includes("app.log"), "what happens here is told");
});
