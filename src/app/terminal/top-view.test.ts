import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComponentStatusJson, FlowState, StatusJson } from "../api/json.ts";
import { exitCode, statusText } from "../commands/status.ts";
import { byState, matcherOf, shownState } from "./component-view.ts";
import { topTable } from "./top-view.ts";

const NOW = "2026-11-21T10:00:00.000Z";
const PLAIN = { color: false, columns: undefined };

interface Figures {
  readonly state?: FlowState;
  readonly health?: "healthy" | "unhealthy";
  readonly cause?: string;
  readonly wiring?: string;
  readonly received?: number;
  readonly sent?: number;
  readonly to?: string;
  readonly dropped?: number;
  readonly queue?: { readonly bytes: number; readonly oldest: string; readonly fullInSeconds: number | null };
  readonly unacknowledged?: string;
}

function component(id: string, given: Figures = {}): ComponentStatusJson {
  const [, name, label] = /^(?:.*\/)?(.*)\.([^.]*)$/.exec(id)!;
  const counts = { signal: "logs", items: 0, bytes: 0, last: null } as const;
  const sent = given.sent ?? 0;
  const dropped = given.dropped ?? 0;
  return {
    id,
    name: name!,
    label: label!,
    moduleId: "",
    health: { state: given.health ?? "healthy", message: "cannot listen", updatedTime: "2026-11-21T09:59:00.000Z" },
    wiring: given.wiring ?? "",
    flow: {
      state: given.state ?? "ok",
      cause: given.cause ?? "",
      rule: "",
      since: "2026-11-21T09:00:00.000Z",
      lastSuccess: null,
      lastError: null,
      received: counts,
      sent:
        given.to === undefined
          ? []
          : [
              {
                ...counts,
                to: given.to,
                itemsPerSecond: sent,
                bytesPerSecond: sent * 100,
                dropped: 0,
                waiting: 7,
                waitingSince: "2026-11-21T09:59:58.000Z",
                lastError: { time: NOW, message: "full" },
              },
            ],
      dropped: dropped === 0 ? [] : [{ signal: "logs", reason: "rate_limited", items: dropped }],
      queue: given.queue === undefined ? null : { ...given.queue, limitBytes: null },
      unacknowledged: { items: 0, bytes: 0, oldest: given.unacknowledged ?? null },
      rates: { received: given.received ?? 0, sent, sentBytes: sent * 100, dropped: dropped / 10 },
    },
  };
}

function status(components: readonly ComponentStatusJson[], more: Partial<StatusJson> = {}): StatusJson {
  return {
    version: "0.1.0",
    ready: true,
    now: NOW,
    started: "2026-11-21T08:00:00.000Z",
    liveDebugging: false,
    worst: "ok",
    config: { path: "a.alloy", hash: "" },
    lastReload: {
      time: "2026-11-21T09:55:00.000Z",
      added: ["a"],
      updated: [],
      restarted: ["b", "c"],
      removed: [],
      diff: "",
    },
    failedReload: null,
    components,
    ...more,
  };
}

test("status: worst first, with since when and why; then the last reload and a summary", () => {
  const text = statusText(
    status([
      component("b.fine.x", { received: 12.4, sent: 12.4, to: "c.bad.x" }),
      component("c.bad.x", { state: "failing", cause: "nobody listens\nat all", dropped: 20 }),
      component("d.sick.x", { health: "unhealthy", state: "ok" }),
      component("a.lonely.x", { state: "idle", cause: "nothing has flowed yet", wiring: "nothing feeds it: …" }),
    ]),
    PLAIN,
  );
  assert.equal(
    text,
    `COMPONENT   STATE      SINCE  IN/S  OUT/S  DROPPED  CAUSE
d.sick.x    unhealthy     1m     0      0        0  cannot listen
c.bad.x     failing       1h     0      0       20  nobody listens at all
a.lonely.x  idle          1h     0      0        0  nothing feeds it: …
b.fine.x    ok            1h    12     12        0

loaded 5m ago: 1 added, 2 restarted
4 components: 1 unhealthy, 1 failing, 1 idle, 1 ok (invar v0.1.0, up 2h)
`,
  );
});

test("status: a failed reload is told in full, and that the old configuration is in force", () => {
  const failedReload = { time: "2026-11-21T09:59:30.000Z", error: "Error: a.alloy:1:1: no\n\n1 | x\n  | ^\n" };
  const text = statusText(status([component("a.b.c")], { failedReload }), PLAIN);
  assert.match(
    text,
    /\nreload failed 30s ago, the previous configuration is in force:\n {2}Error: a\.alloy:1:1: no\n {2}\n {2}1 \| x\n/,
  );
  assert.match(text, /1 component: 1 ok; last reload failed/);
});

test("status: the exit code is that of the worst", () => {
  const code = (...components: ComponentStatusJson[]) => exitCode(status(components));
  assert.equal(code(), 0);
  assert.equal(code(component("a.b.c"), component("a.b.d", { state: "idle" })), 0);
  assert.equal(code(component("a.b.c", { state: "degraded" })), 3);
  assert.equal(code(component("a.b.c", { state: "degraded" }), component("a.b.d", { state: "failing" })), 4);
  assert.equal(code(component("a.b.d", { state: "failing" }), component("a.b.c", { health: "unhealthy" })), 5);
  assert.equal(exitCode(status([component("a.b.c")], { failedReload: { time: NOW, error: "" } })), 5);
});

test("wiring is told beside what failed, and instead of that nothing flows", () => {
  const cause = (given: Figures) => shownState(component("a.b.c", given)).cause;
  assert.equal(cause({ state: "failing", cause: "refused", wiring: "ends here" }), "refused; ends here");
  assert.equal(cause({ state: "idle", cause: "nothing has flowed yet", wiring: "ends here" }), "ends here");
  assert.equal(cause({ state: "ok" }), "");
});

test("globs match whole ids", () => {
  const matches = (globs: string[], id: string) => matcherOf(globs)(id);
  assert.equal(matches([], "a.b.c"), true);
  assert.equal(matches(["loki.*"], "loki.write.x"), true);
  assert.equal(matches(["loki.*"], "mod.a/loki.write.x"), false);
  assert.equal(matches(["*loki.*", "x"], "mod.a/loki.write.x"), true);
  assert.equal(matches(["loki.write"], "loki.write.x"), false);
  assert.equal(matches(["l.ki.write.x"], "loki.write.x"), false);
});

const ROWS = [
  component("a.source.x", {
    received: 0,
    sent: 50,
    to: "c.sink.x",
    unacknowledged: "2026-11-21T09:59:55.000Z",
  }),
  component("b.process.x", { received: 5, dropped: 30 }),
  component("c.sink.x", {
    received: 50,
    state: "failing",
    cause: "refused",
    queue: { bytes: 2048, oldest: "2026-11-21T09:58:00.000Z", fullInSeconds: 420 },
  }),
];

test("top: a line for each component, those of edges below it", () => {
  assert.deepEqual(topTable(status(ROWS), "name", true, PLAIN), [
    "COMPONENT     STATE    IN/S  OUT/S  BYTES/S  DROPS/S               QUEUE  LAG  CAUSE",
    "a.source.x    ok          0     50   4.9KiB        0                   -   5s",
    "  → c.sink.x  logs              50   4.9KiB                                2s  7 waiting; full",
    "b.process.x   ok          5      0       0B        3                   -    -",
    "c.sink.x      failing    50      0   4.9KiB        0  2.0KiB, full in 7m   2m  refused",
  ]);
});

test("top: orders", () => {
  const order = (name: Parameters<typeof topTable>[1]) =>
    topTable(status(ROWS), name, false, PLAIN)
      .slice(1)
      .map((line) => line[0])
      .join("");
  assert.equal(order("name"), "abc");
  assert.equal(order("rate"), "acb");
  assert.equal(order("drops"), "bac");
  assert.equal(order("state"), "cab");
  assert.deepEqual(
    ROWS.toSorted(byState).map(({ id }) => id[0]),
    ["c", "a", "b"],
  );
});
