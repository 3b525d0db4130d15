import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Clock } from "#base/clock";
import { Labels } from "#base/labels";
import { Acknowledgement } from "./acknowledgement.ts";
import { type LogBatch, Refusals } from "./batch.ts";
import type { Consumer } from "./consumer.ts";
import { PermanentError, RetryableError } from "./errors.ts";
import { Fanout } from "./fanout.ts";
import { Flow } from "./flow.ts";
import { Tap } from "./tap.ts";

/** Time passes as soon as somebody sleeps. */
function fakeClock(onSleep: (ms: number) => void = () => {}) {
  const sleeps: number[] = [];
  let now = 0;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    async sleep(ms, signal) {
      if (signal?.aborted) throw signal.reason;
      sleeps.push(ms);
      now += ms;
      onSleep(ms);
      if (signal?.aborted) throw signal.reason;
    },
  };
  return { clock, sleeps };
}

function setUp(consumers: readonly Consumer<"logs">[], onSleep?: (ms: number) => void) {
  const { clock, sleeps } = fakeClock(onSleep);
  const flow = new Flow(() => 0);
  const tap = new Tap();
  return { fanout: new Fanout("logs", consumers, flow, tap, clock), flow, tap, sleeps };
}

function logs(acknowledgement: Acknowledgement = Acknowledgement.none): LogBatch {
  return {
    signal: "logs",
    count: 2,
    data: Buffer.from("ab"),
    start: Int32Array.of(0, 1),
    end: Int32Array.of(1, 2),
    ms: Float64Array.of(1, 2),
    ns: Int32Array.of(0, 0),
    stream: Int32Array.of(0, 0),
    streams: [Labels.empty],
    metadata: undefined,
    acknowledgement,
  };
}

/** A consumer that does what it is told call by call, and takes what it has no orders for. */
function consumer(
  componentId: string,
  options: { mutates?: boolean; answers?: (() => void | Promise<void>)[]; release?: boolean } = {},
) {
  const batches: LogBatch[] = [];
  const self: Consumer<"logs"> & { batches: LogBatch[]; calls: number } = {
    signal: "logs",
    componentId,
    mutates: options.mutates ?? false,
    batches,
    calls: 0,
    consume(batch) {
      self.calls += 1;
      const take = () => {
        batches.push(batch);
        if (options.release !== false) batch.acknowledgement.release();
      };
      const answered = options.answers?.shift()?.();
      return answered === undefined ? take() : answered.then(take);
    },
  };
  return self;
}

test("edges are counted from zero, keep their counts as long as they are there, and go", () => {
  const { fanout, flow } = setUp([consumer("a"), consumer("b")]);
  const edges = () => [...flow.sent].map(([id, { items }]) => `${id} ${items}`);
  assert.deepEqual(edges(), ["a 0", "b 0"]);
  void fanout.consume(logs(), new AbortController().signal);
  fanout.set([consumer("b"), consumer("c")]);
  assert.deepEqual(edges(), ["b 2", "c 0"]);
  fanout.close();
  assert.deepEqual(edges(), []);
});

const full = (retryAfterMs?: number) => () => {
  throw new RetryableError("the queue is full", retryAfterMs === undefined ? {} : { retryAfterMs });
};
const never = new AbortController().signal;

test("a batch that every consumer takes at once is accepted without a promise", () => {
  const [a, b] = [consumer("a"), consumer("b")];
  const { fanout, flow } = setUp([a, b]);
  assert.equal(fanout.consume(logs(), never), undefined);
  assert.deepEqual([a.batches.length, b.batches.length], [1, 1]);
  assert.equal(flow.status.state, "ok");
  assert.equal(flow.edge("a").items, 2);
  assert.equal(flow.edge("b").items, 2);
});

test("without consumers what comes is dropped, counted and acknowledged", () => {
  let safe = false;
  const { fanout, flow } = setUp([]);
  fanout.consume(logs(new Acknowledgement(() => void (safe = true))), never);
  assert.equal(safe, true);
  assert.equal(flow.dropped.get("logs")?.get("no_consumer"), 2);
});

test("a consumer that is full is asked again with growing pauses of at most 5 s, whether it throws or rejects", async () => {
  const rejects = () => Promise.reject(new RetryableError("away"));
  const answers = [full(), rejects, ...Array.from({ length: 8 }, () => full())];
  const a = consumer("a", { answers });
  const { fanout, flow, sleeps } = setUp([a], () => assert.equal(flow.status.state, "degraded"));
  await fanout.consume(logs(), never);
  assert.deepEqual(sleeps, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  assert.equal(a.batches.length, 1);
  assert.equal(flow.status.state, "ok");
  assert.equal(flow.edge("a").items, 2, "retries are not counted again");
});

test("the pause that a consumer asks for is kept", async () => {
  const a = consumer("a", { answers: [full(7_000), full()] });
  const { fanout, sleeps } = setUp([a]);
  await fanout.consume(logs(), never);
  assert.equal(sleeps[0], 7_000);
});

test("one consumer's refusal for good is counted and acknowledged, and the others still get the batch", async () => {
  let safe = 0;
  const refuses = consumer("a", {
    answers: [() => Promise.reject(new PermanentError("line_too_long", "the line has 3 MB"))],
  });
  const takes = consumer("b");
  const { fanout, flow } = setUp([refuses, takes]);
  await fanout.consume(logs(new Acknowledgement(() => void (safe += 1))), never);
  assert.equal(takes.batches.length, 1);
  assert.equal(flow.dropped.get("logs")?.get("line_too_long"), 2);
  assert.equal(flow.status.state, "degraded");
  assert.match(flow.status.cause, /a refused 2 items: the line has 3 MB/);
  assert.equal(safe, 1);
});

test("an error of no kind is a bug, counted as one and not tried again", async () => {
  const a = consumer("a", {
    answers: [
      () => {
        throw new TypeError("x is not a function");
      },
    ],
  });
  const { fanout, flow, sleeps } = setUp([a]);
  await fanout.consume(logs(), never);
  assert.equal(flow.dropped.get("logs")?.get("internal_error"), 2);
  assert.deepEqual(sleeps, []);
});

test("a waiting batch goes to the consumer that took the place of the full one", async () => {
  const old = consumer("a", { answers: Array.from({ length: 100 }, () => full()) });
  const fresh = consumer("a");
  const { fanout } = setUp([old], () => fanout.set([fresh]));
  await fanout.consume(logs(), never);
  assert.equal(old.calls, 1);
  assert.equal(fresh.batches.length, 1);
});

test("a batch that waits for a consumer that was taken away is dropped, counted and acknowledged", async () => {
  let safe = false;
  const old = consumer("a", { answers: [full()] });
  const { fanout, flow } = setUp([old], () => fanout.set([consumer("b")]));
  await fanout.consume(logs(new Acknowledgement(() => void (safe = true))), never);
  assert.equal(flow.dropped.get("logs")?.get("consumer_removed"), 2);
  assert.equal(safe, true);
});

test("the signal ends the waiting: consume rejects with its reason and has taken no reference", async () => {
  const abort = new AbortController();
  const reason = new Error("stopped");
  let safe = false;
  const a = consumer("a", { answers: Array.from({ length: 100 }, () => full()) });
  const { fanout } = setUp([a], () => abort.abort(reason));
  await assert.rejects(
    async () => fanout.consume(logs(new Acknowledgement(() => void (safe = true))), abort.signal),
    reason,
  );
  assert.equal(safe, false);
});

test("consume does not settle before all branches have, even if one has failed", async () => {
  const abort = new AbortController();
  let finish = () => {};
  const slow = consumer("slow", { answers: [() => new Promise<void>((resolve) => (finish = resolve))] });
  const stuck = consumer("stuck", { answers: Array.from({ length: 100 }, () => full()) });
  const { fanout } = setUp([slow, stuck], () => abort.abort(new Error("stopped")));
  let settled = false;
  const result = Promise.resolve(fanout.consume(logs(), abort.signal)).catch(() => void (settled = true));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assert.equal(settled, false);
  finish();
  await result;
  assert.equal(settled, true);
});

test("mutating consumers see what the source sent, whatever the others do to it", () => {
  const seen = fc.record({ mutates: fc.boolean(), order: fc.nat() });
  fc.assert(
    fc.property(fc.array(seen, { minLength: 1, maxLength: 6 }), (kinds) => {
      const lines: string[] = [];
      const consumers = kinds.map(
        ({ mutates }, i): Consumer<"logs"> => ({
          signal: "logs",
          componentId: `c${i}`,
          mutates,
          consume(batch) {
            lines.push(`${batch.count} ${batch.start.slice(0, batch.count)} ${batch.streams[0]} ${batch.ms[0]}`);
            if (!mutates) return;
            batch.count = 1;
            batch.start[0] = 1;
            batch.ms[0] = 99;
            batch.streams[0] = Labels.from([["i", String(i)]]);
          },
        }),
      );
      setUp(consumers).fanout.consume(logs(), never);
      assert.deepEqual(new Set(lines), new Set(["2 0,1 {} 1"]));
      assert.equal(lines.length, kinds.length);
    }),
  );
});

test("a single consumer and the readers get the batch itself, without a copy", () => {
  const batch = logs();
  const [reader, other, mutator] = [consumer("a"), consumer("b"), consumer("c", { mutates: true })];
  setUp([reader, other, mutator]).fanout.consume(batch, never);
  assert.equal(reader.batches[0], batch);
  assert.equal(other.batches[0], batch);
  assert.notEqual(mutator.batches[0], batch);
  const alone = consumer("c", { mutates: true });
  setUp([alone]).fanout.consume(batch, never);
  assert.equal(alone.batches[0], batch);
});

test("the acknowledgement fires exactly when every consumer has released, dropped or been taken away", async () => {
  const kind = fc.constantFrom("takes", "takes later", "retries", "refuses", "releases later" as const);
  await fc.assert(
    fc.asyncProperty(fc.array(kind, { maxLength: 6 }), async (kinds) => {
      let safe = 0;
      const holders: LogBatch[] = [];
      const consumers = kinds.map((each, i): Consumer<"logs"> => {
        const answers: (() => void | Promise<void>)[] = [];
        if (each === "takes later") answers.push(() => Promise.resolve());
        if (each === "retries") answers.push(full(), full());
        if (each === "refuses")
          answers.push(() => {
            throw new PermanentError("bad", "bad");
          });
        const made = consumer(`c${i}`, { answers, release: each !== "releases later" });
        if (each !== "releases later") return made;
        return { ...made, consume: (batch) => void holders.push(batch) };
      });
      const { fanout } = setUp(consumers);
      await fanout.consume(logs(new Acknowledgement(() => void (safe += 1))), never);
      for (const held of holders) {
        assert.equal(safe, 0);
        held.acknowledgement.release();
      }
      assert.equal(safe, 1);
    }),
  );
});

test("a tap sees a batch before the consumer changes it", () => {
  const mutator: Consumer<"logs"> = {
    signal: "logs",
    componentId: "m",
    mutates: true,
    consume: (batch) => void (batch.count = 0),
  };
  const { fanout, tap } = setUp([mutator]);
  const seen: string[] = [];
  const end = tap.watch(
    (direction, peer, batch) => void seen.push(`${direction} ${peer} ${(batch as LogBatch).count}`),
  );
  fanout.consume(logs(), never);
  end();
  fanout.consume(logs(), never);
  assert.deepEqual(seen, ["out m 2"]);
});

test("what one of several consumers refuses for good is not lost, even behind a fan-out of its own", async () => {
  const flow = new Flow(() => 0);
  const refusing = (message: string): Consumer<"otlp"> => ({
    signal: "otlp",
    componentId: "refusing",
    mutates: false,
    consume() {
      throw new PermanentError("too_old", message);
    },
  });
  const taking: Consumer<"otlp"> = { signal: "otlp", componentId: "taking", mutates: false, consume() {} };
  const fanout = (consumers: readonly Consumer<"otlp">[]) =>
    new Fanout("otlp", consumers, flow, new Tap(), fakeClock().clock);
  const behind = fanout([refusing("no use")]);
  const branch: Consumer<"otlp"> = {
    signal: "otlp",
    componentId: "branch",
    mutates: false,
    consume: (batch, signal) => behind.consume(batch, signal),
  };
  const send = async (consumers: readonly Consumer<"otlp">[]) => {
    const refusals = new Refusals();
    const { signal } = new AbortController();
    await fanout(consumers).consume(
      {
        signal: "otlp",
        kind: "logs",
        parts: [],
        items: 3,
        bytes: 0,
        clientMetadata: undefined,
        refusals,
        acknowledgement: Acknowledgement.none,
      },
      signal,
    );
    return [refusals.items, refusals.message];
  };
  assert.deepEqual(await send([branch]), [3, "refusing refused 3 items: no use"]);
  assert.deepEqual(await send([branch, taking]), [0, "refusing refused 3 items: no use"]);
});

test("a signal of OTLP that nobody gets is dropped, and the status says so", () => {
  const flow = new Flow(() => 0);
  const fanout = new Fanout("otlp", [], flow, new Tap(), fakeClock().clock);
  let released = 0;
  fanout.consume(
    {
      signal: "otlp",
      kind: "logs",
      parts: [],
      items: 3,
      bytes: 0,
      clientMetadata: undefined,
      acknowledgement: new Acknowledgement(() => (released += 1)),
    },
    new AbortController().signal,
  );
  assert.deepEqual([flow.dropped.get("otlp")?.get("no_consumer"), released], [3, 1]);
  assert.deepEqual(
    [flow.status.state, flow.status.cause],
    ["degraded", "logs are dropped: `output` names nobody for them"],
  );
});
