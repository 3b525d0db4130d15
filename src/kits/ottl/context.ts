import type { PointKind } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { KeyValues } from "#formats/otlp/values";
import type { OtlpClient } from "#pipeline/batch";
import { OttlError, type OttlValue } from "./value.ts";

const MOST_LAMBDA_CALLS = 1_000_000;
const NOTHING = new OtlpRecord();

/** Where a statement is at: the item that it is evaluated on, and what the item is part of. One serves all items. */
export class OttlContext {
  /** ResourceSpans, ResourceMetrics or ResourceLogs: resource and schema URL. */
  resourceGroup: OtlpRecord = NOTHING;
  /** ScopeSpans, ScopeMetrics or ScopeLogs. */
  scopeGroup: OtlpRecord = NOTHING;
  span: OtlpRecord = NOTHING;
  event: OtlpRecord = NOTHING;
  /** Undefined where events have no numbers, as in conditions of `otelcol.processor.filter`. */
  eventIndex: bigint | undefined;
  log: OtlpRecord = NOTHING;
  metric: OtlpRecord = NOTHING;
  /** The metrics of the scope, for functions that add some. */
  metrics: RecordList | undefined;
  point: OtlpRecord = NOTHING;
  pointKind: PointKind = "number";
  exemplar: OtlpRecord = NOTHING;
  clientMetadata: OtlpClient["clientMetadata"];
  clientAttributes: OtlpClient["clientAttributes"];
  /** Values of lambdas' parameters. */
  readonly locals: OttlValue[] = [];
  #lambdaCalls = 0;
  /** Belongs to the item, for as long as one group of statements has it. */
  readonly cache = new KeyValues();
  #cacheUsed = false;

  /** Keeps nothing else of what may be a batch. */
  setClient({ clientMetadata, clientAttributes }: OtlpClient): void {
    this.clientMetadata = clientMetadata;
    this.clientAttributes = clientAttributes;
  }
  usedCache(): KeyValues {
    this.#cacheUsed = true;
    return this.cache;
  }
  /** Lambdas within lambdas could go on for hours over large lists. */
  countLambdaCall(): void {
    this.#lambdaCalls += 1;
    if (this.#lambdaCalls > MOST_LAMBDA_CALLS) {
      throw OttlError.of(`lambdas are called more than ${MOST_LAMBDA_CALLS} times for one item`);
    }
  }
  /** To be called between items. */
  clearCache(): void {
    this.#lambdaCalls = 0;
    if (this.#cacheUsed) this.cache.forget();
    this.#cacheUsed = false;
  }
}
