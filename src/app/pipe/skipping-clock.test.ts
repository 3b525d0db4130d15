import assert from "node:assert/strict";
import { test } from "node:test";
import { SkippingClock } from "./skipping-clock.ts";

const HOUR = 3_600_000;

test("work that waits for time is done at once, and time has passed", async () => {
  const clock = new SkippingClock();
  const [now, monotonic] = [clock.now(), clock.monotonic()];
  const order: string[] = [];
  const work = async () => {
    await clock.sleep(HOUR);
    order.push("one");
    await clock.sleep(HOUR);
    return "done";
  };
  const other = clock.sleep(1.5 * HOUR).then(() => void order.push("between"));
  assert.equal(await clock.skipWhile(work(), () => {}), "done");
  await other;
  assert.deepEqual(order, ["one", "between"]);
  for (const passed of [clock.now() - now, clock.monotonic() - monotonic]) {
    assert.ok(passed >= 2 * HOUR && passed < 2 * HOUR + 60_000, String(passed));
  }
});

test("without such work it is the system's clock", async () => {
  const clock = new SkippingClock();
  assert.ok(Math.abs(clock.now() - Date.now()) < 1_000);
  await clock.sleep(2);
  assert.ok(Math.abs(clock.now() - Date.now()) < 1_000);
});

test("a sleep ends with its signal, and a failure comes through", async () => {
  const clock = new SkippingClock();
  const abort = new AbortController();
  const sleep = clock.sleep(HOUR, abort.signal);
  abort.abort(new Error("stopped"));
  await assert.rejects(sleep, /stopped/);
  await assert.rejects(clock.sleep(1, abort.signal), /stopped/);
  await assert.rejects(
    clock.skipWhile(
      clock.sleep(HOUR).then(() => Promise.reject(new Error("failed"))),
      () => {},
    ),
    /failed/,
  );
});

test("whoever waits can give up", async () => {
  const clock = new SkippingClock();
  let asked = 0;
  const never = new Promise<void>(() => {});
  await assert.rejects(
    clock.skipWhile(never, () => {
      if (++asked === 3) throw new Error("enough");
    }),
    /enough/,
  );
});
