import assert from "node:assert/strict";
import type { MetricSpecs } from "#base/metrics";
import { oracleDecode, oracleEncode } from "#formats/otlp/oracle.testing";
import { countItems, type OtlpKind } from "#formats/otlp/otlp";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentDefinition } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { acknowledged, recordOtlp, type StartOptions, startComponent, type TestComponent } from "#pipeline/testing";

/** For tests: runs requests through a processor, as protobufjs writes and reads them. */

type Plain = Record<string, unknown>;
interface Exports {
  readonly input: Consumer<"otlp">;
}

export interface RunningProcessor<A> extends AsyncDisposable {
  readonly component: TestComponent<A, Exports>;
  /** What comes out of a request; undefined if nothing does. Checks that it was counted and acknowledged. */
  run(kind: OtlpKind, request: object, client?: Client): Promise<Plain | undefined>;
  /** Whether the very bytes of the last request came out. */
  readonly isSame: boolean;
}
export interface Client {
  readonly metadata?: Readonly<Record<string, readonly string[]>>;
  readonly address?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** `config` is the inside of the block, without `output`. */
export async function startProcessor<A, M extends MetricSpecs>(
  definition: ComponentDefinition<A, Exports, M>,
  config: string,
  kinds: readonly OtlpKind[] = ["traces", "metrics", "logs"],
  options: StartOptions = {},
): Promise<RunningProcessor<A>> {
  const sink = recordOtlp();
  const output = `output {\n${kinds.map((kind) => `${kind} = [sink]`).join("\n")}\n}`;
  const scope = { ...options.scope, sink: sink.value };
  const component = await startComponent(definition, `${config}\n${output}`, { ...options, scope });
  let isSame = false;
  return {
    component,
    get isSame() {
      return isSame;
    },
    async run(kind, request, client = {}) {
      const part = oracleEncode(kind, request);
      const state = acknowledged();
      const batch: OtlpBatch = {
        signal: "otlp",
        kind,
        parts: [part],
        items: countItems(kind, part),
        bytes: part.length,
        clientMetadata: client.metadata && new Map(Object.entries(client.metadata)),
        clientAddress: client.address,
        clientAttributes: client.attributes && new Map(Object.entries(client.attributes)),
        acknowledgement: state.acknowledgement,
      };
      sink.items.length = 0;
      await component.exports.input.consume(batch, new AbortController().signal);
      assert.ok(state.fired, "the batch is acknowledged");
      const [out] = sink.items;
      if (out === undefined) return undefined;
      const bytes = Buffer.concat(out.parts);
      assert.deepEqual([out.items, out.bytes], [countItems(kind, bytes), bytes.length]);
      isSame = out.parts[0] === part;
      return oracleDecode(kind, bytes);
    },
    [Symbol.asyncDispose]: () => component.stop(),
  };
}

/** Attributes by key, each a text, a number (a double), a bigint (an int), a bool, or an AnyValue. */
export function attributesOf(values: Readonly<Record<string, unknown>>): Plain[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }));
}
function anyValue(value: unknown): Plain {
  switch (typeof value) {
    case "string":
      return { stringValue: value };
    case "bigint":
      return { intValue: String(value) };
    case "number":
      return { doubleValue: value };
    case "boolean":
      return { boolValue: value };
  }
  return value as Plain;
}

/** A request with one resource, one scope and these spans. */
export function tracesOf(spans: readonly object[], resource: Readonly<Record<string, unknown>> = {}, scope?: object) {
  return { resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans: [{ scope, spans }] }] };
}
export function logsOf(logRecords: readonly object[], resource: Readonly<Record<string, unknown>> = {}) {
  return { resourceLogs: [{ resource: { attributes: attributesOf(resource) }, scopeLogs: [{ logRecords }] }] };
}

/** All spans or log records that came out. */
export function itemsIn(request: Plain | undefined): Plain[] {
  if (request === undefined) return [];
  const groups = (request.resourceSpans ?? request.resourceLogs ?? request.resourceMetrics ?? []) as Plain[];
  return groups.flatMap((group) =>
    ((group.scopeSpans ?? group.scopeLogs ?? group.scopeMetrics ?? []) as Plain[]).flatMap(
      (scope) => (scope.spans ?? scope.logRecords ?? scope.metrics ?? []) as Plain[],
    ),
  );
}
/** The attributes of an item or resource by key: texts, bools and doubles as they are, ints as texts with an n. */
export function valuesOf(holder: unknown): Record<string, unknown> {
  const { attributes = [] } = holder as { attributes?: readonly { key?: string; value?: Plain }[] };
  return Object.fromEntries(
    attributes.map(({ key = "", value = {} }) => [
      key,
      "intValue" in value ? `${value.intValue}n` : (Object.values(value)[0] ?? null),
    ]),
  );
}
