import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Clock } from "#base/clock";
import { Turns, type TurnTaker } from "./turns.ts";

/** Time goes on as soon as everybody sleeps, to whenever the sleep ends. */
class JumpingClock implements Clock {
  time = 0;
  sleeps = 0;
  now = () => this.time;
  monotonic = () => this.time;
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps += 1;
    return new Promise((resolve, reject) => {
      const jump = setImmediate(() => {
        if (ms === Infinity) return;
        this.time += ms;
        resolve();
      });
      signal?.addEventListener("abort", () => {
        clearImmediate(jump);
        reject(signal.reason);
      });
    });
  }
}

class Taker implements TurnTaker {
  due = NaN;
  readonly taken: number[] = [];
  readonly #then: (due: number) => void;
  constructor(then: (due: number) => void = () => {}) {
    this.#then = then;
  }
  async take(due: number): Promise<void> {
    this.taken.push(due);
    this.#then(due);
  }
}

test("each turn is taken once, in order, unless it was taken back", async () => {
  const turns = fc.array(fc.record({ at: fc.integer({ min: 2, max: 1_000 }), back: fc.boolean(), next: fc.nat(50) }));
  await fc.assert(
    fc.asyncProperty(turns, async (all) => {
      const clock = new JumpingClock();
      const stop = new AbortController();
      const queue = new Turns(clock);
      const seen: number[] = [];
      const takers = all.map(({ next }) => {
        const taker: Taker = new Taker((due) => {
          seen.push(due);
          if (next > 0 && taker.taken.length === 1) queue.add(taker, due + next);
        });
        return taker;
      });
      for (const [i, { at }] of all.entries()) queue.add(takers[i]!, at);
      for (const [i, { back }] of all.entries()) if (back) takers[i]!.due = NaN;
      const end = new Taker(() => stop.abort());
      queue.add(end, 2_000);
      await queue.run(stop.signal);
      for (const [i, { at, back, next }] of all.entries()) {
        assert.deepEqual(takers[i]!.taken, back ? [] : next > 0 ? [at, at + next] : [at]);
      }
      for (let i = 1; i < seen.length; i++) assert.ok(seen[i]! > seen[i - 1]! - 1, "at most as early as timers are");
    }),
    { numRuns: 50 },
  );
});

test("an earlier turn than the one that is slept for is not late, and many at once wake once", async () => {
  const clock = new JumpingClock();
  const stop = new AbortController();
  const queue = new Turns(clock);
  const running = queue.run(stop.signal);
  const late = new Taker(() => stop.abort());
  queue.add(late, 500);
  await Promise.resolve();
  const sleeps = clock.sleeps;
  const times: number[] = [];
  const early = Array.from({ length: 100 }, () => new Taker(() => times.push(clock.time)));
  for (const [i, taker] of early.entries()) queue.add(taker, 400 - i);
  await running;
  assert.equal(times.length, 100);
  assert.ok(times.every((time) => time >= 300 && time <= 400));
  assert.ok(clock.sleeps - sleeps <= 103, String(clock.sleeps - sleeps));
});

test("the end waits for turns that are being taken", async () => {
  const clock = new JumpingClock();
  const stop = new AbortController();
  const queue = new Turns(clock);
  let ended = false;
  queue.add(
    {
      due: NaN,
      async take() {
        stop.abort();
        await new Promise(setImmediate);
        ended = true;
      },
    },
    10,
  );
  await queue.run(stop.signal);
  assert.ok(ended);
});
