import assert from "node:assert/strict";
import { appendFile, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { LagWatch } from "./lag-watch.ts";
import { eventually, scratch, startSource } from "./testing.ts";

const file = (path: string, lagBytes: number, oldestUnread?: number) => ({ target: { path }, lagBytes, oldestUnread });

test("a backlog that is old and does not shrink is one; catching up is not", () => {
  const watch = new LagWatch();
  const take = (seconds: number, ...files: ReturnType<typeof file>[]) => watch.take(files, seconds * 1_000);
  take(0, file("/a", 0));
  assert.equal(watch.judge(""), undefined);
  for (let s = 1; s <= 40; s++) take(s, file("/a", 3 * 1024 * 1024 * s, 1_000), file("/b", 0));
  assert.deepEqual(watch.judge("loki.write.a has taken nothing for 35 s"), {
    state: "degraded",
    cause:
      "120 MiB of /a are not read yet, 3.0 MiB more each second, the oldest for 39 s: loki.write.a has taken nothing for " +
      "35 s. Nothing is lost while the files stay; cutting or deleting them loses what is unread",
  });
  assert.equal(watch.oldestMs, 39_000);
  for (let s = 41; s <= 80; s++) take(s, file("/a", 120 * 1024 * 1024 - s, 1_000));
  assert.equal(watch.judge(""), undefined, "it shrinks");
  for (let s = 81; s <= 120; s++) take(s, file("/a", 500, (s - 2) * 1_000));
  assert.equal(watch.judge(""), undefined, "what is unread is new");
  for (let s = 121; s <= 160; s++) take(s, file("/a", 500, 110_000), file("/b", 12, 100_000));
  assert.match(
    watch.judge("")!.cause,
    /^512 bytes of 2 files are not read yet, the oldest for 60 s \(\/b\): lines come faster/,
  );
});

test("bytes that nobody takes are counted while reading is held up, an unfinished line is not", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\nunfinished");
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { source, recorder } = await startSource(place, `targets = [{ __path__ = "${path}" }]`);
  await using _ = source;
  await recorder.waitFor(1);
  const lag = () => source.metric("loki_source_file_lag_bytes");
  await eventually(() => lag() === 0, lag);
  recorder.gate = () => gate;
  await appendFile(path, "\n"); // this line is handed on and waits
  await new Promise((resolve) => setTimeout(resolve, 50));
  await appendFile(path, "12345\n");
  await eventually(() => lag() === 6, lag);
  await appendFile(path, "12345\n");
  await eventually(() => lag() === 12, lag);
  open();
  await recorder.waitFor(4);
  await eventually(() => lag() === 0, lag);
});

test("bytes lost to a cut stay in the status, with what to do", async () => {
  await using place = await scratch();
  const path = place.path("a.log");
  await writeFile(path, "1\n");
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { source, recorder } = await startSource(place, `targets = [{ __path__ = "${path}", job = "x" }]`);
  await using _ = source;
  await recorder.waitFor(1);
  recorder.gate = () => gate;
  await appendFile(path, "2\n");
  await new Promise((resolve) => setTimeout(resolve, 50));
  await appendFile(path, "lost, since nobody has read it\n");
  await eventually(() => source.metric("loki_source_file_lag_bytes")! > 0);
  await truncate(path, 0);
  open();
  await appendFile(path, "3\n");
  await recorder.waitFor(3);
  await eventually(
    () => source.flow.status.rule === "bytes_lost",
    () => source.flow.status.cause,
  );
  assert.match(source.flow.status.cause, /^31 bytes were truncated .* the last of .*a\.log: .*logrotate: create/);
  assert.equal(source.metric("loki_source_file_lost_bytes_total"), 31);
});
