import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Alarms, type Sleeper } from "./alarms.ts";

const TICK_MS = 100;
const sleeper = (dueMs: number) => ({ dueMs, alarmSlot: 0 });

test("hands out who is due, once, and nobody before their time", () => {
  const alarms = new Alarms<Sleeper>(TICK_MS, 1_000);
  const [a, b] = [sleeper(1_250), sleeper(60_000)];
  alarms.set(a);
  alarms.set(b);
  assert.deepEqual(alarms.take(1_210), [], "in its slot, and not due yet");
  assert.deepEqual(alarms.take(1_310), [a]);
  assert.deepEqual(alarms.take(59_900), []);
  assert.deepEqual(alarms.take(70_000), [b]);
  assert.deepEqual(alarms.take(80_000), []);
});

test("who is due sooner than before is handed out then, and who is due later not before", () => {
  const alarms = new Alarms<Sleeper>(TICK_MS, 0);
  const [sooner, later] = [sleeper(60_000), sleeper(500)];
  for (const each of [sooner, later]) alarms.set(each);
  sooner.dueMs = 300;
  later.dueMs = 2_000;
  for (const each of [sooner, later]) alarms.set(each);
  assert.deepEqual(alarms.take(400), [sooner]);
  assert.deepEqual(alarms.take(1_900), []);
  assert.deepEqual(alarms.take(2_100), [later]);
  assert.deepEqual(alarms.take(100_000), []);
});

test("each is handed out within a tick of its time, whatever the times", () => {
  const event = fc.record({ who: fc.nat(4), afterMs: fc.nat(3_000), waitMs: fc.nat(700) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60, size: "max" }), (events) => {
      const alarms = new Alarms<Sleeper>(TICK_MS, 0);
      const all = Array.from({ length: 5 }, () => sleeper(Infinity));
      const isSet = all.map(() => false);
      let now = 0;
      const take = () => {
        const due = alarms.take(now);
        assert.equal(new Set(due).size, due.length);
        for (const each of due) {
          const i = all.indexOf(each as (typeof all)[number]);
          assert.ok(isSet[i] && each.dueMs <= now);
          isSet[i] = false;
        }
        for (const [i, each] of all.entries()) assert.ok(!isSet[i] || each.dueMs > now - TICK_MS, "late");
      };
      for (const { who, afterMs, waitMs } of events) {
        all[who]!.dueMs = now + afterMs;
        alarms.set(all[who]!);
        isSet[who] = true;
        for (const end = now + waitMs; now < end; ) {
          now += 50;
          take();
        }
      }
    }),
  );
});
