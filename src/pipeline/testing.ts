import { type Clock, systemClock } from "#base/clock";
import type { Labels } from "#base/labels";
import { createLogger, type LogRecord } from "#base/log";
import { MetricRegistry, type MetricSpecs } from "#base/metrics";
import { decodeBody, encodeBody } from "#lang/decode";
import { DiagnosticError } from "#lang/diagnostic";
import { parseFile } from "#lang/parser";
import { Capsule, type Value } from "#lang/value";
import { Acknowledgement } from "./acknowledgement.ts";
import type { Batch, OtlpBatch, Signal } from "./batch.ts";
import { SAMPLE_STALE } from "./batch.ts";
import type { ComponentDefinition, ComponentInstance, Services } from "./component.ts";
import { CONSUMER_CAPSULES, type Consumer } from "./consumer.ts";
import { Flow } from "./flow.ts";
import { ComponentHost } from "./host.ts";
import { SeriesRegistry } from "./series.ts";
import { Tap } from "./tap.ts";

/**
 * Runs one component without a graph, for tests: the same host as in the agent, recorded logs and exports, consumers
 * that keep copies of what they get.
 */

export interface StartOptions {
  readonly label?: string;
  readonly clock?: Clock;
  readonly dataPath?: string;
  /** Values that the configuration text may refer to by name. */
  readonly scope?: ReadonlyMap<string, Value> | Readonly<Record<string, Value>>;
  readonly services?: Partial<Services>;
  /** What expressions refer to, by argument. */
  readonly references?: Readonly<Record<string, readonly string[]>>;
  /** Leaves background tasks waiting until `activate()`. */
  readonly inactive?: boolean;
}

export interface TestComponent<A, E> extends AsyncDisposable {
  readonly id: string;
  /** The latest exports. */
  readonly exports: E;
  readonly exported: readonly E[];
  readonly instance: ComponentInstance<A>;
  readonly flow: Flow;
  readonly tap: Tap;
  readonly logs: readonly LogRecord[];
  /** What background tasks rejected with. */
  readonly failures: readonly unknown[];
  /** The problem last reported through `ctx.health`. */
  readonly problem: string | undefined;
  readonly services: Services;
  activate(): void;
  /** Decodes changed configuration text and hands it to `update`. */
  update(config: string): Promise<void>;
  /** Sum of a self metric's samples whose labels include all of `labels`; undefined if there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** Drains, stops and disposes of the component. */
  stop(deadlineMs?: number): Promise<void>;
}

/** Decodes `config`, the inside of the component's block, and starts the component. Rejects with a DiagnosticError for a bad one. */
export async function startComponent<A, E, M extends MetricSpecs>(
  definition: ComponentDefinition<A, E, M>,
  config: string,
  options: StartOptions = {},
): Promise<TestComponent<A, E>> {
  const clock = options.clock ?? systemClock;
  const logs: LogRecord[] = [];
  const exported: E[] = [];
  const failures: unknown[] = [];
  let problem: string | undefined;
  const services = testServices(options.services);
  const flow = new Flow(() => clock.now());
  const tap = new Tap();
  const id = `${definition.name}.${options.label ?? "test"}`;
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  const args = decodeArguments(definition, config, options);
  const host = new ComponentHost<A, E, M>(definition, args, {
    id,
    label: options.label ?? "test",
    clock,
    log,
    flow,
    tap,
    dataPath: options.dataPath ?? "/nonexistent/no-data-path-given",
    services,
    metricLabels: ["component_id", id, "component_path", "/"],
    references: (argument) => options.references?.[argument] ?? [],
    events: {
      exported: (values) => {
        encodeBody(definition.exports!, values); // exports that the language cannot show fail the test
        exported.push(values);
      },
      failed: (error) => void failures.push(error),
      health: (text) => {
        problem = text;
      },
    },
  });
  if (!options.inactive) {
    await host.ready();
    host.activate();
  }
  let stopped = false;
  async function stop(deadlineMs = 5_000) {
    if (stopped) return;
    stopped = true;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(new Error("the deadline of the stop passed")), deadlineMs);
    await host.stop(controller.signal);
    await host.dispose();
    clearTimeout(timer);
  }
  return {
    id,
    get exports() {
      const latest = exported.at(-1);
      if (latest === undefined) throw new Error(`${id} has exported nothing`);
      return latest;
    },
    exported,
    instance: host.instance,
    flow,
    tap,
    logs,
    failures,
    get problem() {
      return problem;
    },
    services,
    activate: () => host.activate(),
    async update(next) {
      await host.instance.update!(decodeArguments(definition, next, options));
    },
    metric: (name, labels = {}) => metricValue(services.metrics, name, labels),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}

/** Services of an agent that is not there: no HTTP API, a registry of its own. */
export function testServices(overrides: Partial<Services> = {}): Services {
  return {
    metrics: new MetricRegistry(),
    series: new SeriesRegistry(),
    httpAddress: "127.0.0.1:12345",
    memoryAddress: "alloy.internal:12345",
    fetchLocal: async (path) => ({ status: 404, body: `no test answers ${path}` }),
    minimumStability: "experimental",
    version: "0.0.0-test",
    ...overrides,
  };
}

/** A component's arguments from the inside of its block. Throws a DiagnosticError. */
export function decodeArguments<A>(
  definition: Pick<ComponentDefinition<A>, "name" | "args">,
  config: string,
  options: Pick<StartOptions, "scope"> = {},
): A {
  const { file, diagnostics } = parseFile({ name: "test.alloy", text: config });
  const values = options.scope instanceof Map ? options.scope : new Map(Object.entries(options.scope ?? {}));
  const decoded = decodeBody(
    definition.args,
    file.body,
    { lookup: (name) => values.get(name) },
    { name: definition.name, minimumStability: "experimental" },
  );
  const errors = [...diagnostics, ...decoded.diagnostics].filter((each) => each.severity === "error");
  if (errors.length > 0 || decoded.value === undefined) throw new DiagnosticError(errors);
  return decoded.value;
}

/** What is wrong with the inside of a component's block: each message, behind the line (from 1) and the text it points at. */
export function refusals<A>(
  definition: Pick<ComponentDefinition<A>, "name" | "args">,
  config: string,
  options: Pick<StartOptions, "scope"> = {},
): string[] {
  try {
    decodeArguments(definition, config, options);
    return [];
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return error.diagnostics.map(({ message, span }) => {
      if (span === undefined) return message;
      const line = config.slice(0, span.start).split("\n").length;
      return `${line} ${config.slice(span.start, span.end)}: ${message}`;
    });
  }
}

/** A consumer as a value for `StartOptions.scope`. */
export function consumerValue<S extends Signal>(consumer: Consumer<S>): Value {
  return new Capsule(CONSUMER_CAPSULES[consumer.signal], consumer);
}

export interface RecordedEntry {
  readonly line: string;
  readonly labels: string;
  readonly ms: number;
  readonly ns: number;
  readonly metadata: readonly string[] | undefined;
}
export interface RecordedSample {
  readonly labels: Labels;
  readonly timestamp: number;
  /** `"stale"` for a stale marker. */
  readonly value: number | "stale";
}

/** A consumer that copies what it gets, and its capsule. */
export interface Recorder<S extends Signal, T> extends Consumer<S> {
  readonly items: T[];
  readonly value: Value;
  /** Called before each batch is taken; throw or reject to refuse it. */
  gate: (batch: Batch<S>, signal: AbortSignal) => void | Promise<void>;
  /** Resolves once at least `count` items have come, rejects after `timeoutMs`. */
  waitFor(count: number, timeoutMs?: number): Promise<readonly T[]>;
}

export const recordLogs = () =>
  recorder<"logs", RecordedEntry>("logs", (batch) => {
    const entries: RecordedEntry[] = [];
    for (let i = 0; i < batch.count; i++) {
      entries.push({
        line: Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString("utf8"),
        labels: batch.streams[batch.stream[i]!]!.toString(),
        ms: batch.ms[i]!,
        ns: batch.ns[i]!,
        metadata: batch.metadata?.[i],
      });
    }
    return entries;
  });

export const recordMetrics = () =>
  recorder<"metrics", RecordedSample>("metrics", (batch) => {
    const samples: RecordedSample[] = [];
    for (let i = 0; i < batch.count; i++) {
      const stale = (batch.flags[i]! & SAMPLE_STALE) !== 0;
      const labels = batch.registry.labels(batch.ref[i]!);
      samples.push({ labels, timestamp: batch.timestamp[i]!, value: stale ? "stale" : batch.value[i]! });
    }
    return samples;
  });

export const recordOtlp = () => recorder<"otlp", OtlpBatch>("otlp", (batch) => [batch]);

function recorder<S extends Signal, T>(signal: S, copy: (batch: Batch<S>) => readonly T[]): Recorder<S, T> {
  const waiting = new Set<() => void>();
  const self: Recorder<S, T> = {
    signal,
    componentId: `test.${signal}`,
    mutates: false,
    items: [],
    gate: () => {},
    get value() {
      return consumerValue(self);
    },
    consume(batch, abort) {
      const take = () => {
        self.items.push(...copy(batch));
        batch.acknowledgement.release();
        for (const check of waiting) check();
      };
      const gated = self.gate(batch, abort);
      return gated === undefined ? take() : gated.then(take);
    },
    waitFor(count, timeoutMs = 15_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(check);
          reject(new Error(`${self.items.length} of ${count} items came within ${timeoutMs} ms`));
        }, timeoutMs);
        function check() {
          if (self.items.length < count) return;
          clearTimeout(timer);
          waiting.delete(check);
          resolve(self.items);
        }
        waiting.add(check);
        check();
      });
    },
  };
  return self;
}

function metricValue(
  registry: MetricRegistry,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  let sum: number | undefined;
  for (const family of registry.collect()) {
    for (const sample of family.samples) {
      if (sample.name !== name) continue;
      const own = new Map<string, string>();
      for (let i = 0; i < sample.labels.length; i += 2) own.set(sample.labels[i]!, sample.labels[i + 1]!);
      if (Object.entries(labels).every(([key, value]) => own.get(key) === value)) sum = (sum ?? 0) + sample.value;
    }
  }
  return sum;
}

/** An acknowledgement and whether it fired. */
export function acknowledged(): { fired: boolean; readonly acknowledgement: Acknowledgement } {
  const state = { fired: false, acknowledgement: Acknowledgement.none };
  state.acknowledgement = new Acknowledgement(() => {
    state.fired = true;
  });
  return state;
}
