import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Clock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { s } from "#lang/schema";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { type ComponentContext, type ComponentDefinition, defineComponent } from "#pipeline/component";
import type { Fanout } from "#pipeline/fanout";
import type { FlowQueue } from "#pipeline/flow";
import { testServices } from "#pipeline/testing";
import { testController } from "#runtime/controller.testing";
import { flowMetrics } from "./flow-metrics.ts";
import { FlowMonitor } from "./flow-monitor.ts";

/** A real graph of small components under a clock that the test moves, for what looks at data flow. */

/** What the running test components gave away of themselves, by id. */
export const contexts = new Map<string, ComponentContext>();
const outs = new Map<string, Fanout<"otlp">>();
export const queues = new Map<string, FlowQueue | (() => never)>();

const source = defineComponent({
  name: "test.source",
  stability: "generally-available",
  summary: "Hands on what the test gives it.",
  example: "",
  args: s.object({ forward_to: s.list(s.consumer("otlp")), change: s.int().default(0) }),
  start(ctx, args) {
    contexts.set(ctx.id, ctx as unknown as ComponentContext);
    outs.set(ctx.id, ctx.fanout("otlp", args.forward_to));
    ctx.rule("ports", () =>
      ctx.flow.lastSuccess === 0 ? { state: "idle", cause: "nobody has connected to port 4317" } : undefined,
    );
  },
});

const sink = defineComponent({
  name: "test.sink",
  stability: "generally-available",
  summary: "Has a queue.",
  example: "",
  args: s.object({}),
  exports: s.object({ receiver: s.consumer("otlp") }),
  start(ctx) {
    contexts.set(ctx.id, ctx as unknown as ComponentContext);
    ctx.queue(() => {
      const queue = queues.get(ctx.id) ?? { bytes: 0, oldest: undefined };
      return typeof queue === "function" ? queue() : queue;
    });
    ctx.export({
      receiver: ctx.receiver("otlp", (batch) => {
        ctx.flow.ok();
        batch.acknowledgement.release();
      }),
    });
  },
});

const credentials = defineComponent({
  name: "test.credentials",
  stability: "generally-available",
  summary: "Has no flow.",
  example: "",
  args: s.object({}),
  exports: s.object({ value: s.any() }),
  start: (ctx) => ctx.export({ value: 1 }),
});

const definitions = [source, sink, credentials] as unknown as ComponentDefinition[];

function manualClock(): Clock & { pass(ms: number): void } {
  let passed = 0;
  return {
    now: () => Date.parse("2026-01-01T00:00:00Z") + passed,
    monotonic: () => 5_000 + passed,
    sleep: (ms, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }) ?? ms),
    pass: (ms) => void (passed += ms),
  };
}

export async function setUp(t: TestContext, config: string) {
  contexts.clear();
  outs.clear();
  queues.clear();
  const clock = manualClock();
  const logs: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  const controller = testController(definitions, {
    clock,
    log,
    services: testServices(),
    storagePath: join(tmpdir(), "invar-flow-monitor-test"),
  });
  t.after(() => controller.stop(1_000));
  const monitor = new FlowMonitor(controller, clock, log);
  const load = async (text: string) => {
    await controller.load([{ name: "test.alloy", text }], "/");
    monitor.loaded();
  };
  await load(config);
  /** Lets time pass, with a look every five seconds; returns what was logged meanwhile, without its fields `component_…`. */
  const pass = (seconds: number, each: () => void = () => {}) => {
    logs.length = 0;
    for (let i = 0; i < seconds; i += 5) {
      clock.pass(5_000);
      each();
      monitor.tick();
    }
    return logs.map(({ level, message, fields }) =>
      `${level} ${message} ${Object.fromEntries(fields).cause ?? ""}`.trim(),
    );
  };
  const metric = (name: string, ...labels: string[]) => {
    const family = flowMetrics(controller.nodes(), clock.now()).find((each) => each.name === name)!;
    return family.samples.find((each) => labels.every((label) => each.labels.includes(label)))?.value;
  };
  return { clock, controller, monitor, logs, load, pass, metric };
}

export const PIPELINE = `
test.source "a" {
  forward_to = [test.sink.b.receiver]
}
test.sink "b" { }
`;

export function send(id: string, items: number): void {
  const batch: OtlpBatch = {
    signal: "otlp",
    kind: "traces",
    parts: [],
    items,
    bytes: items * 10,
    clientMetadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
  void outs.get(id)!.consume(batch, new AbortController().signal);
}
