import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComponentStatusJson, FlowJson, HistoryJson, PipelineNodeJson, StatusJson } from "#app/api/json";
import { filterComponents, sortComponents } from "./component-filter.ts";
import { idleSources, troublesOf } from "./problems.ts";
import { contributors, pastTotals, totalsOf } from "./totals.ts";

type Flow = Partial<Omit<FlowJson, "sent" | "received">> & {
  readonly received?: number;
  readonly sent?: Readonly<Record<string, number>>;
};

function component(id: string, { received = 0, sent = {}, ...flow }: Flow = {}): ComponentStatusJson {
  const [first, second, ...rest] = id.split(".");
  const counts = (items: number) => ({ signal: items > 0 ? ("logs" as const) : null, items, bytes: 0, last: null });
  return {
    id,
    name: `${first}.${second}`,
    label: rest.join("."),
    moduleId: "",
    health: { state: "healthy", message: "started component", updatedTime: "2026-01-01T00:00:00Z" },
    flow: {
      state: "ok",
      cause: "",
      rule: "",
      since: "2026-01-01T00:00:00Z",
      lastSuccess: null,
      lastError: null,
      received: counts(received),
      sent: Object.entries(sent).map(([to, items]) => ({
        to,
        ...counts(items),
        itemsPerSecond: 0,
        bytesPerSecond: 0,
        dropped: 0,
        waiting: 0,
        waitingSince: null,
        lastError: null,
      })),
      dropped: [],
      queue: null,
      unacknowledged: { items: 0, bytes: 0, oldest: null },
      rates: { received: 0, sent: 0, sentBytes: 0, dropped: 0 },
      ...flow,
    },
    wiring: "",
  };
}

function status(...components: readonly ComponentStatusJson[]): StatusJson {
  return {
    version: "1",
    ready: true,
    now: "2026-01-01T00:10:00Z",
    started: "2026-01-01T00:00:00Z",
    liveDebugging: false,
    worst: "ok",
    config: { path: "a.alloy", hash: "" },
    lastReload: null,
    failedReload: null,
    components,
  };
}

const rates = (received: number, sent: number, dropped = 0) => ({ received, sent, sentBytes: 0, dropped });

test("problems: what does not run and what fails first, of those what loses data now, then degraded, then loose wiring", () => {
  const sick = component("a.b.sick");
  const troubles = troublesOf(
    status(
      component("a.b.degraded", { state: "degraded", cause: "1 of 2" }),
      component("a.b.old", { state: "failing", cause: "401", since: "2026-01-01T00:00:01Z" }),
      component("a.b.losing", { state: "failing", since: "2026-01-01T00:09:00Z", rates: rates(1, 0, 4) }),
      { ...sick, health: { state: "unhealthy", message: "no such folder", updatedTime: "2026-01-01T00:05:00Z" } },
      { ...component("a.b.loose"), wiring: "nothing feeds it" },
      component("a.b.fine"),
    ),
    [
      { id: "a.b.loose", kind: "component", wiring: "nothing feeds it" },
      { id: "declare.x", kind: "declare", wiring: "nothing uses it" },
      { id: "x.y", kind: "custom", wiring: "inside, a.b.c: nothing feeds it" },
    ] as unknown as readonly PipelineNodeJson[],
  );
  assert.deepEqual(
    troubles.map(({ id, look }) => [id, look]),
    [
      ["a.b.losing", "failing"],
      ["a.b.old", "failing"],
      ["a.b.sick", "failing"],
      ["a.b.degraded", "degraded"],
      ["a.b.loose", "wiring"],
      ["declare.x", "wiring"],
    ],
  );
  assert.equal(troubles[2]!.cause, "no such folder");
});

test("what waits: sources that say what they look for, not what they feed", () => {
  const waiting = idleSources(
    status(
      component("loki.source.file", { state: "idle", cause: "no files", sent: { "loki.write.x": 0 } }),
      component("loki.write.x", { state: "idle", cause: "nothing has flowed yet" }),
      component("loki.process.y", { state: "idle", cause: "nothing has flowed yet" }),
    ),
    [{ id: "loki.process.y", role: "processor", wiring: "" }] as unknown as readonly PipelineNodeJson[],
  );
  assert.deepEqual(
    waiting.map(({ id }) => id),
    ["loki.source.file"],
  );
});

test("totals: what goes to two consumers came in once, and what goes to a failing one has not arrived", () => {
  const agent = status(
    component("s.o.1", { sent: { "w.r.1": 100, "w.r.2": 100 }, rates: rates(0, 20) }),
    component("w.r.1", { received: 100, rates: rates(10, 0), queue: { bytes: 7 } as FlowJson["queue"] }),
    component("w.r.2", {
      received: 100,
      state: "failing",
      rates: rates(10, 0, 1),
      dropped: [{ signal: "logs", reason: "x", items: 30 }],
    }),
  );
  assert.deepEqual(totalsOf(agent), [{ signal: "logs", in: 10, out: 10, dropping: 1, dropped: 30, queueBytes: 7 }]);
  assert.deepEqual(contributors(agent), ["s.o.1", "w.r.1", "w.r.2"]);
  assert.deepEqual(totalsOf(status(component("a.b.c"))), []);
});

test("totals: what comes from no component, such as the agent's own log, counts as well", () => {
  const [total] = totalsOf(
    status(
      component("s.o.1", { sent: { "w.r.1": 60 }, rates: rates(0, 6) }),
      component("w.r.1", { received: 100, rates: rates(10, 0) }),
    ),
  );
  assert.equal(total!.in, 10);
  assert.equal(total!.out, 10);
});

test("totals of the past: histories end together, shorter ones are young components", () => {
  const history = (sent: number[], received: number[]): HistoryJson => {
    const zeros = sent.map(() => 0);
    return { stepSeconds: 10, endMs: 1_000_000, received, sent, dropped: zeros, sentBytes: zeros, queueBytes: zeros };
  };
  const agent = status(
    component("s.o.1", { sent: { "w.r.1": 100 } }),
    component("s.o.2", { sent: { "w.r.1": 100 } }),
    component("w.r.1", { received: 200 }),
  );
  const past = pastTotals(
    agent,
    new Map([
      ["s.o.1", history([1, 2, 3], [0, 0, 0])],
      ["s.o.2", history([10], [0])],
      ["w.r.1", history([0, 0, 0], [1, 2, 13])],
    ]),
  ).get("logs")!;
  assert.deepEqual(
    past.map(({ ms, values }) => [ms, values.in, values.out]),
    [
      [980_000, 1, 1],
      [990_000, 2, 2],
      [1_000_000, 13, 13],
    ],
  );
});

test("the list's filter: states by name only, words anywhere, minus turns round", () => {
  const all = [
    component("loki.write.a", { state: "failing", cause: "401 Unauthorized" }),
    component("loki.process.failing_jobs", { state: "ok" }),
    component("prometheus.scrape.c", { state: "idle", cause: "no targets" }),
  ];
  const ids = (filter: string) => filterComponents(all, filter).map(({ id }) => id);
  assert.equal(filterComponents(all, " "), all);
  assert.deepEqual(ids("failing"), ["loki.write.a"]);
  assert.deepEqual(ids("ok"), ["loki.process.failing_jobs"], "ok is part of loki");
  assert.deepEqual(ids("loki -failing"), ["loki.process.failing_jobs"]);
  assert.deepEqual(ids("UNAUTHORIZED"), ["loki.write.a"]);
  assert.deepEqual(
    ids("healthy"),
    all.map(({ id }) => id),
  );
});

test("the list's order: worst, most and newest first, and the other way round", () => {
  const all = [
    component("a.a.10", { state: "ok", rates: rates(1, 0) }),
    component("a.a.9", { state: "failing", rates: rates(5, 0) }),
    component("a.a.8", { state: "idle", rates: rates(3, 0) }),
  ];
  const ids = (sort: string) => sortComponents(all, sort).map(({ id }) => id.slice(4));
  assert.deepEqual(ids(""), ["9", "8", "10"]);
  assert.deepEqual(ids("id"), ["8", "9", "10"]);
  assert.deepEqual(ids("-id"), ["10", "9", "8"]);
  assert.deepEqual(ids("in"), ["9", "8", "10"]);
  assert.deepEqual(ids("-in"), ["10", "8", "9"]);
  assert.deepEqual(ids("no_column"), ids(""));
});
