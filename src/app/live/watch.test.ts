import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { parseFilter } from "#base/filter";
import { Labels } from "#base/labels";
import { Capsule, Secret, type Value } from "#lang/value";
import type { LogBatch } from "#pipeline/batch";
import { logBatch } from "#pipeline/log-batch";
import { type EntryTrace, Tap } from "#pipeline/tap";
import type { LiveEvent } from "../api/json.ts";
import { LiveBudget } from "./budget.ts";
import { Outbox } from "./outbox.ts";
import type { Selected } from "./selection.ts";
import { LiveWatch, type WatchOptions } from "./watch.ts";

class FakeNode {
  readonly id: string;
  readonly tap = new Tap();
  exports: Value | undefined;
  constructor(id: string, exports?: Value) {
    this.id = id;
    this.exports = exports;
  }
  selected(consumers: readonly string[] = [], edges?: readonly string[]): Selected {
    return {
      node: this,
      consumers,
      edge: (consumer) => edges?.includes(consumer) ?? true,
      isWhole: edges === undefined,
    };
  }
}

/** A stream over nodes, and all events that it sent so far. Its time stands still, so watching costs none. */
function watch(t: TestContext, nodes: readonly Selected[], options: Partial<WatchOptions> = {}) {
  const client = new AbortController();
  const outbox = options.outbox ?? new Outbox(client.signal);
  const events: LiveEvent[] = [];
  const monotonic = options.monotonic ?? (() => 0);
  const budget = options.budget ?? new LiveBudget(monotonic());
  const stream = new LiveWatch({
    selection: { current: () => nodes },
    direction: undefined,
    filter: undefined,
    sample: 1,
    rate: 100,
    limit: Number.POSITIVE_INFINITY,
    trace: false,
    budget,
    monotonic,
    allowed: () => true,
    outbox,
    write(event) {
      events.push(event);
      return "x";
    },
    failed: (error) => assert.fail(error as Error),
    ...options,
  });
  t.after(() => stream.close());
  const items = () => events.flatMap((each) => (each.event === "item" ? [each] : []));
  const lines = () => items().map(({ item }) => (item.type === "log" ? item.line : item.type));
  return { stream, events, items, lines, budget };
}

const batch = (...lines: string[]): LogBatch => logBatch(lines.map((line) => ({ line })));

test("what goes out is shown with the consumer, and what comes in where nothing goes out", (t) => {
  const middle = new FakeNode("loki.process.a");
  const sink = new FakeNode("loki.write.b");
  const nodes = [middle.selected(["loki.write.b"]), sink.selected()];
  const shown = watch(t, nodes);
  const all = watch(t, nodes, { direction: "both" });
  middle.tap.show("in", "", batch("raw"));
  middle.tap.show("out", "loki.write.b", batch("done"));
  sink.tap.show("in", "", batch("done"));
  const rows = (items: ReturnType<typeof shown.items>) =>
    items.map(({ component, direction, peer, item }) => [component, direction, peer, item.type === "log" && item.line]);
  assert.deepEqual(rows(shown.items()), [
    ["loki.process.a", "out", "loki.write.b", "done"],
    ["loki.write.b", "in", "", "done"],
  ]);
  assert.deepEqual(rows(all.items())[0], ["loki.process.a", "in", "", "raw"]);
  assert.equal(all.items().length, 3);
});

test("one edge among several", (t) => {
  const node = new FakeNode("loki.process.a");
  const { lines } = watch(t, [node.selected(["loki.write.b", "loki.write.c"], ["loki.write.c"])]);
  node.tap.show("in", "", batch("in"));
  node.tap.show("out", "loki.write.b", batch("b"));
  node.tap.show("out", "loki.write.c", batch("c"));
  assert.deepEqual(lines(), ["c"]);
});

test("what passed, was looked at and was shown is told once a second, and at the end", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const node = new FakeNode("loki.write.a");
  const { stream, events } = watch(t, [node.selected()], { filter: parseFilter("yes"), rate: 3 });
  const passed = () =>
    events.flatMap((each) => (each.event === "passed" ? [[each.items, each.looked, each.shown]] : []));
  t.mock.timers.tick(1000);
  assert.deepEqual(passed(), [], "nothing passed");
  node.tap.show("in", "", batch("yes 1", "no", "yes 2"));
  node.tap.show("in", "", batch("yes 3", "yes 4"));
  t.mock.timers.tick(1000);
  assert.deepEqual(passed(), [[5, 4, 3]], "the fourth is beyond the rate, and was not looked at");
  node.tap.show("in", "", batch("no"));
  stream.close();
  assert.deepEqual(
    passed()
      .slice(1)
      .map(([items]) => items),
    [1],
  );
});

test("ends with the limit, at once: nobody listens any more", (t) => {
  const node = new FakeNode("loki.write.a");
  const { events, lines, budget } = watch(t, [node.selected()], { limit: 2 });
  assert.equal(budget.streams, 1);
  node.tap.show("in", "", batch("1", "2", "3"));
  assert.deepEqual(lines(), ["1", "2"]);
  assert.equal(node.tap.active, false);
  assert.equal(budget.streams, 0);
  assert.deepEqual(events.at(-1)!.event, "passed");
});

test("a reader who does not read: what waits is bounded, and what is beyond it is not looked at", (t) => {
  const node = new FakeNode("loki.write.a");
  const outbox = new Outbox(new AbortController().signal);
  let characters = 0;
  const { stream, events } = watch(t, [node.selected()], {
    outbox,
    rate: 10_000,
    write: (event) => {
      const text = JSON.stringify(event);
      characters += text.length;
      return text;
    },
  });
  const line = "x".repeat(2000);
  for (let i = 0; i < 20; i++) node.tap.show("in", "", batch(...new Array(100).fill(line)));
  assert.equal(outbox.hasRoom, false);
  const before = characters;
  for (let i = 0; i < 10; i++) node.tap.show("in", "", batch(...new Array(100).fill(line)));
  assert.equal(characters, before);
  assert.ok(characters < (1 << 20) + 3000, `${characters} characters wait`);
  stream.close();
  assert.deepEqual(events, []);
});

test("components that come join in, those that go leave, and new arguments count", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const [a, b] = [new FakeNode("loki.write.a"), new FakeNode("loki.write.b")];
  const nodes = [a.selected()];
  const { lines } = watch(t, nodes);
  nodes.splice(0, 1, b.selected());
  t.mock.timers.tick(1000);
  assert.deepEqual([a.tap.active, b.tap.active], [false, true]);
  b.tap.show("in", "", batch("b"));
  nodes.splice(0, 1, b.selected(["loki.write.c"]));
  t.mock.timers.tick(1000);
  b.tap.show("in", "", batch("in again"));
  b.tap.show("out", "loki.write.c", batch("c"));
  assert.deepEqual(lines(), ["b", "c"]);
});

test("ends when live debugging is turned off", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const node = new FakeNode("loki.write.a");
  let allowed = true;
  watch(t, [node.selected()], { allowed: () => allowed });
  t.mock.timers.tick(1000);
  assert.equal(node.tap.active, true);
  allowed = false;
  t.mock.timers.tick(1000);
  assert.equal(node.tap.active, false);
});

test("an item that cannot be shown is reported once and harms nobody", (t) => {
  const node = new FakeNode("loki.write.a");
  const errors: unknown[] = [];
  const { lines } = watch(t, [node.selected()], { failed: (error) => void errors.push(error) });
  const broken = { ...batch("x"), streams: [] };
  node.tap.show("in", "", broken);
  node.tap.show("in", "", broken);
  node.tap.show("in", "", batch("good"));
  assert.equal(errors.length, 1);
  assert.deepEqual(lines(), ["good"]);
});

test("a fast pipeline is looked at for a few percent of the time only", (t) => {
  const node = new FakeNode("loki.write.a");
  // Each look at the clock takes a microsecond, which is how time passes while batches are looked at.
  let now = 0;
  const { stream, events } = watch(t, [node.selected()], {
    filter: parseFilter("line=~absent.*here"),
    rate: 10_000,
    monotonic: () => (now += 0.001),
  });
  const fast = batch(...new Array(2000).fill("a line of some length that is not what anybody looks for"));
  let spent = 0;
  while (now < 5000) {
    now += 0.2; // the pipeline's own work
    const before = now;
    node.tap.show("in", "", fast);
    spent += now - before;
  }
  stream.close();
  assert.ok(spent < now * 0.03 + 30 + now * 0.01, `${spent} of ${now} ms`);
  let [items, looked] = [0, 0];
  for (const each of events) if (each.event === "passed") [items, looked] = [items + each.items, looked + each.looked];
  assert.ok(looked > items * 0.02 && looked < items, `${looked} of ${items} looked at`);
});

test("targets are shown at the start and when they change; consumers are no data, secrets stay secret", (t) => {
  const targets = Array.from({ length: 60 }, (_, i) => Labels.from([["__address__", `host-${i}:80`]]));
  const exports = new Map<string, Value>([
    ["targets", targets],
    ["password", "hunter2"],
    ["content", new Secret("s3cret")],
    ["receiver", new Capsule("loki.LogsReceiver", {})],
  ]);
  const node = new FakeNode("discovery.x.a", exports);
  const sink = new FakeNode("loki.write.a", new Map([["receiver", new Capsule("loki.LogsReceiver", {})]]));
  const nodes = [node.selected(), sink.selected()];
  const { items } = watch(t, nodes);
  assert.equal(items().length, 1);
  const text = JSON.stringify(items()[0]!.item);
  assert.match(text, /"name":"targets".*host-49:80.*… 10 more/);
  assert.doesNotMatch(text, /receiver|hunter2|s3cret/);
  const some = watch(t, nodes, { filter: parseFilter("__address__=~host-5.:") });
  node.tap.showExports(exports);
  assert.equal(items().length, 2);
  assert.equal(some.items().length, 2);
  const matching = JSON.stringify(some.items()[0]!.item);
  assert.equal(matching.match(/host-5\d:80/g)?.length, 10);
  assert.doesNotMatch(matching, /host-[1-4]|more/);
  assert.deepEqual(watch(t, nodes, { direction: "in" }).items(), []);
});

function trace(line: string, level: string): EntryTrace {
  const state = { line, labels: ["app", "shop"], metadata: [], ms: 0, ns: 0, extracted: [] };
  return {
    before: state,
    steps: [
      { stage: "0.json", outcome: "passed", after: { ...state, extracted: [["level", level]] } },
      { stage: "1.labels", outcome: "passed", after: { ...state, labels: ["app", "shop", "level", level] } },
      { stage: "2.drop", outcome: "dropped", reason: "too much" },
    ],
    outcome: "dropped",
  };
}

test("the way of single entries: at most 20 a second, and only those that match before or after", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const node = new FakeNode("loki.process.a");
  const { events, items } = watch(t, [node.selected(["loki.write.b"])], { trace: true });
  const filtered = watch(t, [node.selected(["loki.write.b"])], { trace: true, filter: parseFilter("level=error") });
  const traces = (of: readonly LiveEvent[]) => of.flatMap((each) => (each.event === "trace" ? [each.trace] : []));
  for (let second = 0; second < 5; second++) {
    for (let tick = 0; tick < 20; tick++) {
      for (let i = 0; i < 100; i++) {
        const level = tick === 10 ? "error" : "info";
        if (node.tap.wantsTrace()) node.tap.showTrace(trace(`line ${i}`, level));
      }
      t.mock.timers.tick(50);
    }
  }
  const shown = traces(events).length;
  assert.ok(shown > 60 && shown <= 120, `${shown} traces in five seconds`);
  assert.ok(traces(filtered.events).length > 0);
  assert.ok(traces(filtered.events).every((each) => each.steps[1]!.after!.labels.level === "error"));
  assert.deepEqual(JSON.parse(JSON.stringify(traces(events)[0])), {
    before: {
      line: "line 0",
      labels: { app: "shop" },
      metadata: {},
      timestamp: "1970-01-01T00:00:00.000Z",
      extracted: {},
    },
    steps: [
      {
        stage: "0.json",
        outcome: "passed",
        reason: "",
        after: {
          line: "line 0",
          labels: { app: "shop" },
          metadata: {},
          timestamp: "1970-01-01T00:00:00.000Z",
          extracted: { level: "info" },
        },
      },
      {
        stage: "1.labels",
        outcome: "passed",
        reason: "",
        after: {
          line: "line 0",
          labels: { app: "shop", level: "info" },
          metadata: {},
          timestamp: "1970-01-01T00:00:00.000Z",
          extracted: {},
        },
      },
      { stage: "2.drop", outcome: "dropped", reason: "too much", after: null },
    ],
    outcome: "dropped",
  });
  node.tap.show("in", "", batch("items are counted", "not shown"));
  t.mock.timers.tick(1000);
  assert.deepEqual(items(), []);
  const passed = events.flatMap((each) => (each.event === "passed" ? [each.items] : []));
  assert.deepEqual(passed, [2]);
});
