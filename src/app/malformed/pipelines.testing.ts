import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ManualClock } from "#base/manual-clock.testing";
import { HashRing } from "#components/otelcol.exporter.loadbalancing/hash-ring";
import { ROUTED, ROUTING_KEYS, routeFor } from "#components/otelcol.exporter.loadbalancing/routing";
import { Exemplars } from "#components/prometheus.receive_http/exemplars";
import { HeldSeries } from "#components/prometheus.receive_http/held-series";
import { receiveWrite, WRITE_1, WRITE_2, Written } from "#components/prometheus.receive_http/write-request";
import type { Chance } from "#formats/damage.testing";
import { OtlpIndex, type OtlpKind } from "#formats/otlp/otlp";
import { WriteRequestEncoder } from "#formats/remote-write/remote-write";
import { compress } from "#formats/snappy";
import { RequestPartition } from "#kits/otelcol/partition";
import type { ContextName } from "#kits/ottl/contexts";
import { OTTL_DATA } from "#kits/ottl/data.testing";
import { runConditions, runStatements } from "#kits/ottl/run.testing";
import type { PushVisit } from "#kits/push/server";
import { type Infer, s } from "#lang/schema";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { Batch, LogBatch, MetricBatch, OtlpBatch, Signal } from "#pipeline/batch";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { PermanentError } from "#pipeline/errors";
import { testServices } from "#pipeline/testing";
import { ComponentNode } from "#runtime/component-node";
import { testController } from "#runtime/controller.testing";
import { registry } from "../registry.ts";
import { readAll } from "./requests.testing.ts";

interface Vector {
  readonly kind: OtlpKind;
  readonly context: ContextName | "";
  readonly statements?: readonly string[];
  readonly condition?: string;
  readonly outcome: unknown;
}

/** Statements and conditions of OTTL with every function, and whether they are right. */
export const STATEMENTS = (
  JSON.parse(readFileSync(new URL("../../kits/testdata/ottl-vectors.json", import.meta.url), "utf8")) as Vector[]
).flatMap(({ kind, context, statements, condition, outcome }) =>
  (statements ?? [condition!]).map((text) => {
    return { kind, context, isCondition: condition !== undefined, text, isRight: outcome !== "refused" };
  }),
);

const CONFIG = readFileSync(new URL("./pipelines.alloy", import.meta.url), "utf8");
const TIME = 1_721_000_000_000;
const SIGNAL = new AbortController().signal;
const RING = new HashRing(["a:1", "b:1", "c:1"]);
/** Faults of those who wrote the statement, not of the agent. */
const EXPECTED = ["statement_error"];

const sourceArgs = s.object({
  traces: s.list(s.consumer("otlp")),
  metrics: s.list(s.consumer("otlp")),
  logs: s.list(s.consumer("otlp")),
  entries: s.list(s.consumer("logs")),
  samples: s.list(s.consumer("metrics")),
});

/**
 * What comes after the receivers: the components of `pipelines.alloy`, and statements of OTTL. What comes out must be sound,
 * everything must be acknowledged, and no component may refuse what a receiver let in.
 */
export class Pipelines {
  /** Of the request that came last. */
  readonly index = new OtlpIndex();
  readonly clock = new ManualClock(TIME);
  readonly #services = testServices();
  readonly #held = new HeldSeries(this.#services.series);
  readonly #exemplars = new Exemplars(this.#services.series);
  readonly #partition = new RequestPartition();
  readonly #encoder = new WriteRequestEncoder();
  readonly #outIndex = new OtlpIndex();
  readonly #last: Record<OtlpKind, Uint8Array> = { ...OTTL_DATA };
  readonly #controller = testController([], {
    clock: this.clock,
    services: this.#services,
    registry: { ...registry, names: [...registry.names, "test.source", "test.sink"], load: (name) => this.#load(name) },
  });
  #heads!: Infer<typeof sourceArgs>;
  #nodes: readonly ComponentNode[] = [];
  #fault: unknown;
  #given = 0;
  #released = 0;

  /** `pick` chooses the statements of OTTL that run on all requests. */
  static async start(pick: Chance): Promise<Pipelines> {
    const self = new Pipelines();
    const text = CONFIG + transforms(pick);
    await self.#controller.load([{ name: "pipelines.alloy", text }], "/nonexistent");
    self.#nodes = [...self.#controller.nodes()].map(({ node }) => node).filter((node) => node instanceof ComponentNode);
    return self;
  }

  /** Takes a request that `index` has just read. */
  request(kind: OtlpKind, bytes: Uint8Array, pick: Chance): boolean | Promise<boolean> {
    const { items } = this.index;
    if (pick(4) === 0) readAll(kind, bytes, items);
    this.#last[kind] = bytes;
    if (items === 0) return true;
    if (pick(8) === 0) this.#route(kind, bytes, items);
    const heads = this.#heads[kind];
    return this.#give(heads[pick(heads.length)]!, {
      signal: "otlp",
      kind,
      parts: [bytes],
      items,
      bytes: bytes.length,
      clientMetadata: undefined,
      clientAddress: "10.1.2.3",
      acknowledgement: this.#acknowledgement(),
    });
  }

  entries(batch: LogBatch): boolean | Promise<boolean> {
    return this.#give(this.#heads.entries[0]!, { ...batch, acknowledgement: this.#acknowledgement() });
  }

  /** Rejects with an HttpError for what is no such message. */
  async write(version: 1 | 2, bytes: Uint8Array, pick: Chance): Promise<boolean> {
    const packed = Buffer.from(compress(bytes));
    if (pick(8) === 0) packed[pick(packed.length)] = pick(256);
    const to = this.#heads.samples[pick(this.#heads.samples.length)]!;
    const visit = {
      request: { headers: new Headers({ "content-encoding": "snappy" }) },
      lease: { take() {} },
      content: async () => packed,
      deliver: async (batch: MetricBatch) =>
        void (await this.#give(to, { ...batch, acknowledgement: this.#acknowledgement() })),
    } as unknown as PushVisit<"metrics">;
    const settings = { append_metadata: true, enable_type_and_unit_labels: pick(2) === 0 };
    const memory = { registry: this.#services.series, held: this.#held, exemplars: this.#exemplars };
    await receiveWrite(visit, version === 1 ? WRITE_1 : WRITE_2, settings, memory, TIME, new Written());
    return true;
  }

  /** Compiles a statement or condition and runs it on a request, one that was let in or a sound one. Whether it compiled. */
  statement(text: string, pick: Chance): boolean {
    const { kind, context, isCondition } = STATEMENTS[pick(STATEMENTS.length)]!;
    const request = pick(2) === 0 ? OTTL_DATA[kind] : this.#last[kind];
    const outcome =
      isCondition && context !== ""
        ? runConditions(kind, context, [text], request)
        : runStatements(kind, context, [text], request);
    if ("bytes" in outcome && outcome.bytes !== undefined) this.#outIndex.read(kind, outcome.bytes);
    return !("refused" in outcome);
  }

  /** Throws what went wrong where no caller was told. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
    for (const { id, flow, health } of this.#nodes) {
      for (const reason of ["internal_error", "malformed"]) {
        const dropped = flow.dropped.get("otlp")?.get(reason) ?? flow.dropped.get("metrics")?.get(reason) ?? 0;
        assert.equal(
          dropped,
          0,
          `${id} dropped for ${reason}: ${[...flow.sent.values()].map((edge) => edge.lastError?.message)}`,
        );
      }
      assert.notEqual(health.state, "unhealthy", `${id}: ${health.message}`);
    }
  }

  /** Ends everything; then all that was given must have been acknowledged. */
  async stop(): Promise<void> {
    await this.clock.until(this.#controller.stop(60_000));
    this.#exemplars[Symbol.dispose]();
    this.check();
    assert.equal(this.#given - this.#released, 0, "batches that were not acknowledged");
  }

  #give<S extends Signal>(to: Consumer<S>, batch: Batch<S>): boolean | Promise<boolean> {
    const failed = (error: unknown) => {
      if (!(error instanceof PermanentError && EXPECTED.includes(error.reason))) throw error;
      this.#released += 1;
      return true;
    };
    try {
      return to.consume(batch, SIGNAL)?.then(() => true, failed) ?? true;
    } catch (error) {
      return failed(error);
    }
  }
  #acknowledgement(): Acknowledgement {
    this.#given += 1;
    return new Acknowledgement(() => {
      this.#released += 1;
    });
  }

  async #load(name: string): Promise<ComponentDefinition> {
    if (name === "test.source") return this.#source() as ComponentDefinition;
    return name === "test.sink" ? (this.#sink() as unknown as ComponentDefinition) : registry.load(name);
  }
  #source() {
    return defineComponent({
      name: "test.source",
      stability: "generally-available",
      summary: "Gives requests to one of its consumers each.",
      example: "",
      args: sourceArgs,
      start: (_ctx, args) => {
        this.#heads = args;
      },
    });
  }
  #sink() {
    return defineComponent({
      name: "test.sink",
      stability: "generally-available",
      summary: "Looks at what comes out.",
      example: "",
      args: s.object({}),
      exports: s.object({ input: s.consumer("otlp"), samples: s.consumer("metrics") }),
      start: (ctx) => {
        ctx.export({
          input: ctx.receiver("otlp", (batch) => this.#end(batch, () => this.#judge(batch))),
          samples: ctx.receiver("metrics", (batch) => this.#end(batch, () => this.#encode(batch))),
        });
      },
    });
  }
  #end(batch: Batch, judge: () => void): void {
    try {
      judge();
    } catch (error) {
      this.#fault ??= error;
    }
    batch.acknowledgement.release();
  }
  /** What comes out can be read, and is as much as it says. */
  #judge(batch: OtlpBatch): void {
    let items = 0;
    let bytes = 0;
    for (const part of batch.parts) {
      this.#outIndex.read(batch.kind, part);
      items += this.#outIndex.items;
      bytes += part.length;
    }
    assert.deepEqual([items, bytes], [batch.items, batch.bytes]);
  }
  /** What remote write does with samples. */
  #encode({ registry: series, ref, timestamp, value, flags, count }: MetricBatch): void {
    this.#encoder.reset();
    this.#encoder.samples(series, ref, timestamp, value, flags, 0, count);
    compress(this.#encoder.bytes());
  }
  /** What the load balancing exporter does before it sends: a request in parts, by each key. */
  #route(kind: OtlpKind, bytes: Uint8Array, items: number): void {
    const partition = this.#partition;
    for (const key of ROUTING_KEYS) {
      if (!ROUTED[key].includes(kind)) continue;
      partition.read(kind, bytes);
      const homeless = routeFor(kind, key)(partition, RING);
      const written = partition.write(RING.endpoints.length);
      assert.equal(
        written.reduce((sum, chunk) => sum + (chunk?.items ?? 0), homeless),
        items,
        key,
      );
      partition.clear();
    }
  }
}

/** A transform and a filter with some of all statements. */
function transforms(pick: Chance): string {
  const rules = (isCondition: boolean) =>
    (["traces", "metrics", "logs"] as const)
      .flatMap((kind) => {
        const known = STATEMENTS.filter((each) => {
          return each.kind === kind && each.context !== "" && each.isRight && each.isCondition === isCondition;
        });
        return Array.from({ length: 6 }, () => known[pick(known.length)]!);
      })
      .map(({ kind, context, text }) => {
        const [block, field] = isCondition ? ["conditions", "conditions"] : ["statements", "statements"];
        return `${kind.slice(0, -1)}_${block} {\n context = "${context}"\n ${field} = [${JSON.stringify(text)}]\n}\n`;
      })
      .join("");
  const output = (next: string) =>
    `output {\n traces = [${next}.input]\n metrics = [${next}.input]\n logs = [${next}.input]\n}\n}\n`;
  return [
    `otelcol.processor.transform "chosen" {\nerror_mode = "silent"\n${rules(false)}${output("otelcol.processor.filter.chosen")}`,
    `otelcol.processor.filter "chosen" {\nerror_mode = "silent"\n${rules(true)}${output("test.sink.out")}`,
  ].join("");
}
