import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#base/clock";
import { systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { counter } from "#base/metrics";
import { s } from "#lang/schema";
import { Acknowledgement } from "./acknowledgement.ts";
import type { OtlpBatch } from "./batch.ts";
import { type ComponentContext, type ComponentInstance, defineComponent } from "./component.ts";
import { RetryableError } from "./errors.ts";
import { Flow } from "./flow.ts";
import { ComponentHost, deadline } from "./host.ts";
import { Tap } from "./tap.ts";
import { testServices } from "./testing.ts";

type Start = (ctx: ComponentContext) => ComponentInstance<object> | void;

function host(start: Start, clock: Clock = systemClock) {
  const logs: LogRecord[] = [];
  const failures: unknown[] = [];
  const services = testServices();
  const definition = defineComponent({
    name: "test.thing",
    stability: "generally-available",
    summary: "A thing.",
    example: "",
    args: s.object({}),
    metrics: { things: counter("test_things_total", "Things.") },
    start: (ctx) => start(ctx as unknown as ComponentContext),
  });
  const flow = new Flow(() => 0);
  const create = () =>
    new ComponentHost(
      definition,
      {},
      {
        id: "test.thing.a",
        label: "a",
        clock,
        log: createLogger({ enabled: () => true, write: (record) => void logs.push(record) }),
        flow,
        tap: new Tap(),
        dataPath: "/nonexistent",
        services,
        metricLabels: ["component_id", "test.thing.a"],
        events: { exported: () => {}, failed: (error) => void failures.push(error), health: () => {} },
      },
    );
  const families = () => [...services.metrics.collect()].map((each) => each.name);
  return { create, logs, failures, families, flow };
}

const batch: OtlpBatch = {
  signal: "otlp",
  kind: "traces",
  parts: [],
  items: 3,
  bytes: 0,
  clientMetadata: undefined,
  acknowledgement: Acknowledgement.none,
};
const soon = () => AbortSignal.timeout(10_000);
const microtasks = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test("background work waits for the activation", async () => {
  const events: string[] = [];
  const { create } = host((ctx) => {
    ctx.run(async () => void events.push("run"));
    ctx.every(60_000, () => void events.push("every"));
  });
  const made = create();
  await microtasks();
  assert.deepEqual(events, []);
  made.activate();
  await microtasks();
  assert.deepEqual(events, ["run", "every"]);
  await made.stop(soon());
  await made.dispose();
});

test("the end: drain, then the signal, then tasks, then the stack in reverse", async () => {
  const events: string[] = [];
  const { create } = host((ctx) => {
    ctx.stack.defer(() => void events.push("first deferred"));
    ctx.stack.defer(() => void events.push("last deferred"));
    ctx.signal.addEventListener("abort", () => void events.push("signal"));
    ctx.run(async (signal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      events.push("task ends");
    });
    return {
      async drain() {
        events.push(`drain, signal ${ctx.signal.aborted ? "gone" : "alive"}`);
      },
    };
  });
  const made = create();
  made.activate();
  await made.stop(soon());
  assert.deepEqual(events, ["drain, signal alive", "signal", "task ends"]);
  await made.dispose();
  assert.deepEqual(events.slice(3), ["last deferred", "first deferred"]);
});

test("a component that was never activated is not drained", async () => {
  let drained = false;
  const made = host(() => ({
    async drain() {
      drained = true;
    },
  })).create();
  await made.stop(soon());
  await made.dispose();
  assert.equal(drained, false);
});

test("a drain or a task that hangs is left behind at the deadline, with a warning", async () => {
  const { create, logs } = host((ctx) => {
    ctx.run(() => new Promise(() => {}));
    return { drain: () => new Promise(() => {}) };
  });
  const made = create();
  made.activate();
  await made.stop(AbortSignal.abort(new Error("the time is over")));
  assert.deepEqual(
    logs.map((each) => each.message),
    ["could not hand on everything before the stop", "a task of the component did not end in time"],
  );
  await made.dispose();
});

test("what comes while a component stops is refused for the moment, not lost", async () => {
  let consume: (() => unknown) | undefined;
  const { create, flow } = host((ctx) => {
    const receiver = ctx.receiver("otlp", () => {});
    consume = () => receiver.consume(batch, soon());
  });
  const made = create();
  made.activate();
  consume!();
  assert.equal(flow.received.items, 3);
  await made.stop(soon());
  assert.throws(() => consume!(), RetryableError);
  assert.equal(flow.received.items, 3);
  await made.dispose();
});

test("what nobody confirmed to a life that ended is forgotten, but not by one that never began", async () => {
  const { create, flow } = host((ctx) => void ctx.flow.acknowledgement(1, 10, () => {}));
  const running = create();
  running.activate();
  const discarded = create();
  await discarded.stop(AbortSignal.abort());
  await discarded.dispose();
  assert.equal(flow.unacknowledged.items, 2);
  await running.stop(AbortSignal.abort());
  await running.dispose();
  assert.equal(flow.unacknowledged.items, 0);
});

test("data still passes while the component drains", async () => {
  let taken = 0;
  let drain = () => {};
  let consume: (() => unknown) | undefined;
  const { create } = host((ctx) => {
    const receiver = ctx.receiver("otlp", () => void (taken += 1));
    consume = () => receiver.consume(batch, soon());
    return { drain: () => new Promise<void>((resolve) => (drain = resolve)) };
  });
  const made = create();
  made.activate();
  const stopped = made.stop(soon());
  consume!();
  assert.equal(taken, 1);
  drain();
  await stopped;
  await made.dispose();
});

test("a task that rejects is told to the owner, unless the component is stopping anyway", async () => {
  const { create, failures } = host((ctx) => {
    ctx.run(async () => {
      throw new Error("boom");
    });
    ctx.run(async (signal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new Error("cut short");
    });
  });
  const made = create();
  made.activate();
  await microtasks();
  await made.stop(soon());
  await made.dispose();
  assert.deepEqual(failures.map(String), ["Error: boom"]);
});

test("a start that throws gives back what it had taken", async () => {
  let released = false;
  const { create, families } = host((ctx) => {
    ctx.stack.defer(() => void (released = true));
    throw new Error("bad arguments");
  });
  assert.throws(create, /bad arguments/);
  await microtasks();
  assert.equal(released, true);
  assert.deepEqual(families(), []);
});

test("metrics live as long as the component", async () => {
  const { create, families } = host(() => {});
  const made = create();
  assert.deepEqual(families(), ["test_things_total"]);
  await made.stop(soon());
  await made.dispose();
  assert.deepEqual(families(), []);
});

test("periodic work starts at its interval, never twice at once, and survives its errors", async () => {
  let now = 0;
  const sleeps: number[] = [];
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    async sleep(ms, signal) {
      if (sleeps.length === 4) {
        await new Promise((_, reject) => {
          if (signal!.aborted) reject(signal!.reason);
          signal!.addEventListener("abort", () => reject(signal!.reason));
        });
      }
      sleeps.push(ms);
      now += ms;
    },
  };
  const starts: number[] = [];
  let running = 0;
  const durations = [0, 30, 250, 0, 0];
  const { create, logs, failures } = host((ctx) => {
    ctx.every(100, async () => {
      assert.equal(running++, 0);
      starts.push(now);
      now += durations[starts.length - 1]!;
      await Promise.resolve();
      running -= 1;
      if (starts.length === 2) throw new Error("once");
    });
  }, clock);
  const made = create();
  made.activate();
  while (starts.length < 5) await Promise.resolve();
  await made.stop(soon());
  await made.dispose();
  // The third took 250 of its 100, so the fourth follows at once.
  assert.deepEqual(starts, [0, 100, 200, 450, 550]);
  assert.deepEqual(sleeps, [100, 70, 0, 100]);
  assert.deepEqual(
    logs.map((each) => each.message),
    ["periodic work failed"],
  );
  assert.deepEqual(failures, []);
});

test("a deadline ends with its time or with the component, and leaves nothing behind once disposed of", async () => {
  const parent = new AbortController();
  {
    using short = deadline(1, parent.signal);
    await new Promise((resolve) => short.signal.addEventListener("abort", resolve));
    assert.equal((short.signal.reason as Error).name, "TimeoutError");
  }
  const kept = deadline(60_000, parent.signal);
  const disposed = deadline(60_000, parent.signal);
  disposed[Symbol.dispose]();
  parent.abort(new Error("stopped"));
  assert.equal((kept.signal.reason as Error).message, "stopped");
  assert.equal(disposed.signal.aborted, false);
  kept[Symbol.dispose]();
  using late = deadline(60_000, parent.signal);
  assert.equal(late.signal.aborted, true);
});
